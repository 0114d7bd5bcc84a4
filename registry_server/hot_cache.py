"""The hot cache: known genres by exact spelling and by key, in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.refusals import NAME_LENGTH_MAX

if TYPE_CHECKING:
    from registry_server.vocabulary.edits import Effects

HOT_SPELLINGS_MAX = 16_384
"""
Spellings, and as many keys, in each of two generations of the hot cache: some 10 MiB with
the names that people give, ten times that if each were as long as a name may be.
"""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Known:
    """
    A known genre, as of now, and its replies once the transport has prepared them.

    `single` and `batched` are the transport's own: encoded answers to one name
    and to one name of many, both not created.
    """

    genre: Genre
    single: bytes | None = None
    batched: bytes | None = None

    def renew(self, genre: Genre) -> None:
        """Take the genre as it has become; what was prepared of the old one is void."""
        self.genre = genre
        self.single = self.batched = None


class Recent(Generic[Key, Value]):
    """
    A bounded map in plain dicts that keeps what was used of late.

    Two generations of at most *size_max* entries each: what is found in the old
    one moves to the young one, and a full young one becomes the old one. A hit
    costs one `dict.get`.
    """

    def __init__(self, size_max: int) -> None:
        self.complete = True
        """Whether everything that was ever put is still here."""
        self._size_max = size_max
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        if len(self._young) >= self._size_max:
            self.complete = self.complete and not self._old
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def discard(self, key: Key) -> None:
        """Forget *key*; whatever else was put is still here."""
        self._young.pop(key, None)
        self._old.pop(key, None)


class HotCache:
    """What is known to be reached by spelling and by key; one `Known` to a genre."""

    def __init__(self) -> None:
        self.changes = 0
        """Counts the commits that changed what was there before."""
        self._by_spelling = Recent[str, Known](HOT_SPELLINGS_MAX)
        self._by_key = Recent[str, Known](HOT_SPELLINGS_MAX)
        self._by_id = WeakValueDictionary[int, Known]()
        self._is_warm = False

    @property
    def knows_all(self) -> bool:
        """Whether a key that is not here is nowhere."""
        return self._is_warm and self._by_key.complete

    def by_spelling(self, name: str) -> Known | None:
        return self._by_spelling.get(name)

    def by_key(self, key: str) -> Known | None:
        return self._by_key.get(key)

    def keeps(self, known: Known) -> bool:
        """Whether *known* is a genre in use that is kept true, and may be remembered."""
        return known.genre.is_active and self._by_id.get(known.genre.id) is known

    def remember(self, name: str, known: Known) -> None:
        """Have *name*, exactly as written, reach *known*, if that is kept true."""
        # A name's length is checked trimmed; what is remembered must be bounded too.
        if len(name) <= NAME_LENGTH_MAX and self.keeps(known):
            self._by_spelling.put(name, known)

    def know(self, keys: Iterable[str], genre: Genre) -> Known:
        """Return the one cached value of *genre*, reached by *keys* from now on."""
        known = self._by_id.get(genre.id) if genre.id else Known(genre)
        if known is None:
            known = self._by_id[genre.id] = Known(genre)
        elif known.genre.revision < genre.revision:
            known.renew(genre)
        for key in keys:
            self._by_key.put(key, known)
        return known

    def warm_up(self, everything: Mapping[str, Genre] | None) -> None:
        """Take every key there is; None if they would not fit."""
        for key, genre in (everything or {}).items():
            self.know([key], genre)
        self._is_warm = everything is not None

    def cool_down(self) -> bool:
        """Expect keys that are not here; return whether all were here."""
        was_warm, self._is_warm = self._is_warm, False
        return was_warm

    def keep_warm(self, was_warm: bool) -> None:
        """Take `cool_down` back, as nothing came of it."""
        self._is_warm = was_warm

    def renew(self, changed: Iterable[Genre]) -> None:
        """Take genres as they have become."""
        for genre in changed:
            self.changes += 1
            known = self._by_id.get(genre.id)
            if known is not None:
                known.renew(genre)

    def forget_spellings(self) -> None:
        """Forget what was reached by what may no longer be so."""
        self._by_spelling = Recent(HOT_SPELLINGS_MAX)

    def follow(self, effects: "Effects") -> None:
        """Take what edits have changed."""
        self.forget_spellings()
        self.changes += 1
        for genre_id in effects.gone:
            self._by_id.pop(genre_id, None)
        self.renew(effects.changed.values())
        for key, genre in effects.reached.items():
            self._by_key.discard(key)
            if genre is not None:
                self.know([key], genre)

    def clear(self) -> None:
        """Forget everything; what is being read meanwhile is not to be kept."""
        self.changes += 1
        self.forget_spellings()
        self._by_key = Recent(HOT_SPELLINGS_MAX)
        self._by_id = WeakValueDictionary()
        self._is_warm = False
