"""The hot cache: known genres by exact spelling and by key, in memory."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from registry_server.vocabulary.genre import Genre

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
