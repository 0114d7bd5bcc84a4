"""
What was resolved before, by exact spelling and by raw tag value, kept true by a watch.

While the watch is up, what is here is true but for changes on their way, and answered as it
is. While it is down, what was known then serves for a stated time more and is then
asked again. Misses and errors are never kept, nor is what may have changed while it was asked.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from itertools import islice
from typing import Generic, TypeVar

from worker_client._curation_values import ChangeType, GenreChange
from worker_client._values import Genre, GenreState, Resolution, ResolvedTags, TagSet

SIZE_DEFAULT = 4096
"""Spellings, and as many tag sets, that are kept: some 4 MiB if all differ."""
AGE_S_DEFAULT = 10.0
"""
How long, in seconds, what is known serves without a watch. It spans a restart under systemd,
about 6 s on a Pi, in which nobody can change the registry, so that a scan goes on.
"""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Shelf(Generic[Key, Value]):
    """
    Values by key, the oldest of them let go when it is full.

    Args:
        told: What a later caller is told in place of a value, or None if that must ask.
        genres: The genres that a value holds.
    """

    def __init__(
        self,
        size_max: int,
        age_s_max: float,
        *,
        told: Callable[[Value], Value | None],
        genres: Callable[[Value], tuple[Genre, ...]],
    ) -> None:
        self.told = told
        self.true: dict[Key, Value] = {}
        """What may be answered as it is; empty while the watch is down."""
        self._aged: dict[Key, tuple[Value, float]] = {}
        """What was true at a time of the monotonic clock; empty while the watch is up."""
        self._size_max = size_max
        self._age_s_max = age_s_max
        self._genres = genres

    def get(self, key: Key) -> Value | None:
        """Return what is known by *key* and not too old; None if it has to be asked."""
        value = self.true.get(key)
        if value is None and self._aged:
            aged = self._aged.get(key)
            if aged is not None and time.monotonic() < aged[1] + self._age_s_max:
                return aged[0]
        return value

    def put(self, key: Key, value: Value, *, is_watched: bool) -> None:
        """Keep *value*, unless a genre of it is no genre in use."""
        if any(genre.state is not GenreState.ACTIVE for genre in self._genres(value)):
            return
        if is_watched:
            self.true[key] = value
            if len(self.true) > self._size_max:
                self.true = dict(islice(self.true.items(), self._size_max // 2, None))
        else:
            self._aged[key] = (value, time.monotonic())
            if len(self._aged) > self._size_max:
                self._aged = dict(islice(self._aged.items(), self._size_max // 2, None))

    def age(self) -> None:
        """From now on nothing is known to be still true."""
        now_s = time.monotonic()
        true, self.true = self.true, {}
        self._aged.update((key, (value, now_s)) for key, value in true.items())

    def forget(self, genre_id: int) -> None:
        """Forget whatever holds the genre."""
        self.true = {k: v for k, v in self.true.items() if not self._holds(v, genre_id)}
        self._aged = {k: v for k, v in self._aged.items() if not self._holds(v[0], genre_id)}

    def clear(self) -> None:
        """Forget everything."""
        self.true, self._aged = {}, {}

    def _holds(self, value: Value, genre_id: int) -> bool:
        return any(genre.id == genre_id for genre in self._genres(value))


class Cache:
    """
    Two shelves, and what a watch says of them. Safe to share between threads.

    Reading `names.true` and `tags.true` takes no lock: each is one dict, replaced as a whole.
    """

    def __init__(self, size_max: int, age_s_max: float) -> None:
        self.names = Shelf[str, Resolution](
            size_max, age_s_max, told=_known, genres=lambda known: (known.genre,)
        )
        self.tags = Shelf[TagSet, ResolvedTags](
            size_max,
            age_s_max,
            told=_known_tags,
            genres=lambda tags: tuple([each.genre for each in tags.genres]),
        )
        self.lock = threading.RLock()
        self.voided = 0
        """How often something was made void; what is older is not put on a shelf."""
        self.is_watched = False

    def keep(self, shelf: Shelf[Key, Value], key: Key, value: Value, *, voided: int) -> None:
        """
        Put *value* on *shelf* for later callers.

        Args:
            voided: The number of that name when it was asked.
        """
        told = shelf.told(value)
        with self.lock:
            if told is not None and voided == self.voided:
                shelf.put(key, told, is_watched=self.is_watched)

    def hear(self, change: GenreChange) -> None:
        """Follow what the watch heard."""
        if change.type is ChangeType.HEARTBEAT:
            if not self.is_watched:
                # It has caught up. What was known before may be older than a change that it
                # missed, or from a server with other packs and settings.
                with self.lock:
                    self.clear()
                    self.is_watched = True
        elif change.type is ChangeType.LINKED and change.genre is not None:
            with self.lock:
                self.voided += 1
                for shelf in (self.names, self.tags):
                    shelf.forget(change.genre.id)
        elif change.type is not ChangeType.CREATED:
            # A curator's: rare, and it may change how raw values fall into parts too. A
            # creation changes nothing that is known: no spelling of another genre's, no rule.
            self.clear()

    def clear(self) -> None:
        """Forget everything, and whatever is being asked."""
        with self.lock:
            self.voided += 1
            for shelf in (self.names, self.tags):
                shelf.clear()

    def age(self) -> None:
        """Note that the watch is down."""
        with self.lock:
            if self.is_watched:
                self.is_watched = False
                for shelf in (self.names, self.tags):
                    shelf.age()


def _known(resolution: Resolution) -> Resolution:
    return replace(resolution, created=False) if resolution.created else resolution


def _known_tags(tags: ResolvedTags) -> ResolvedTags | None:
    """Return *tags* for later callers; what wants review is asked each time, to be counted."""
    if tags.review:
        return None
    if not any(each.created for each in tags.genres):
        return tags
    return replace(tags, genres=tuple([replace(each, created=False) for each in tags.genres]))
