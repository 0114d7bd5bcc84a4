"""
Asking once for what many want: what is known is not asked, what is being asked is waited for.

One generator says what is to be done; threads and tasks each do it in their own way.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from worker_client._cache import Cache, Shelf
from worker_client._errors import (
    CurationRefused,
    GenreNotFound,
    InvalidRequest,
    RegistryError,
    StorageFull,
)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

FINAL = (InvalidRequest, GenreNotFound, CurationRefused, StorageFull)
"""What is the same for everyone who asks; after other errors each asks for itself."""


class Flight(Protocol):
    """A request under way, as those see it who wait for its answer: a future."""

    def done(self) -> bool: ...
    def set_result(self, answer: Any, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked(Generic[Key]):
    """To be sent: a request for *keys*; its answers, in their order, are sent back."""

    keys: list[Key]


@dataclass(frozen=True, slots=True)
class Awaited:
    """To be waited for; its result is sent back."""

    flight: Any


class Desk(Generic[Key, Value]):
    """
    Where callers ask for one kind of thing.

    Args:
        cache: That of *shelf*, where what is known of it is kept.
        new_flight: Makes a future for a request under way.
    """

    def __init__(
        self, cache: Cache, shelf: Shelf[Key, Value], new_flight: Callable[[], Flight]
    ) -> None:
        self._cache = cache
        self._shelf = shelf
        self._new_flight = new_flight
        self._flights: dict[Key, tuple[Flight, int]] = {}
        """What is being asked, and the cache's `voided` when that began."""

    def answers(
        self, keys: Sequence[Key]
    ) -> Generator[Asked[Key] | Awaited, Any, list[Value | RegistryError]]:
        """
        Return an answer for each of *keys*, and say on the way what is to be done for that.

        Raises:
            RegistryError: as the one who sent the request was told.
        """
        answers: dict[int, Value | RegistryError] = {}
        told: dict[Key, Value | RegistryError] = {}
        is_first = True
        while len(answers) < len(keys):
            mine, flights, others, voided = self._missing(keys, answers, told, each_once=is_first)
            is_first = False
            if mine:
                asked = [keys[at] for at in mine]
                try:
                    replies = dict(zip(mine, (yield Asked(asked)), strict=True))
                except BaseException as failure:
                    # What befell several keys at once may be the fault of another than this.
                    self._land(flights, dict.fromkeys(asked, failure) if len(asked) == 1 else {})
                    if isinstance(failure, RegistryError) and failure.index is not None:
                        raise failure.placed(mine[failure.index]) from failure.__cause__
                    raise
                for at, answer in replies.items():
                    answers[at] = answer
                    if not isinstance(answer, RegistryError):
                        self._cache.keep(self._shelf, keys[at], answer, voided=voided)
                        answer = self._shelf.told(answer)
                    if answer is not None:
                        told[keys[at]] = answer
                self._land(flights, told)
            for at, flight in others.items():
                answer = yield Awaited(flight)
                if answer is not None:
                    answers[at] = answer
        return [_placed(answers[at], at) for at in range(len(keys))]

    def forget(self) -> None:
        """Forget what is being asked, as whoever asked it is gone."""
        self._flights.clear()

    def _missing(
        self,
        keys: Sequence[Key],
        answers: dict[int, Value | RegistryError],
        told: dict[Key, Value | RegistryError],
        *,
        each_once: bool,
    ) -> tuple[list[int], dict[Key, Flight], dict[int, Flight], int]:
        """
        Take what is known, or *told* to this caller, as answers; return what is to be asked,
        with a flight for each key, and what others ask.

        Args:
            each_once: Ask once for what *keys* hold several times: most is kept, and answers
                the rest. What is not is then asked as often as it is there, for the registry
                counts it.
        """
        mine: list[int] = []
        flights: dict[Key, Flight] = {}
        others: dict[int, Flight] = {}
        with self._cache.lock:
            for at, key in enumerate(keys):
                if at in answers:
                    continue
                known = told.get(key) or self._shelf.get(key)
                if known is not None:
                    answers[at] = known
                elif key in flights:
                    if not each_once:
                        mine.append(at)
                elif (flight := self._flights.get(key)) and flight[1] == self._cache.voided:
                    others[at] = flight[0]
                else:
                    # Or one that began before the last change, which this caller may know of.
                    mine.append(at)
                    flights[key] = self._new_flight()
                    self._flights[key] = (flights[key], self._cache.voided)
            return mine, flights, others, self._cache.voided

    def _land(self, flights: dict[Key, Flight], told: Mapping[Key, object]) -> None:
        """Tell those who wait for *flights*; who is told nothing asks for itself."""
        with self._cache.lock:
            for key, flight in flights.items():
                if self._flights.get(key, (None,))[0] is flight:
                    del self._flights[key]
        for key, flight in flights.items():
            answer = told.get(key)
            if isinstance(answer, BaseException) and not isinstance(answer, FINAL):
                answer = None
            if not flight.done():
                flight.set_result(answer)


def _placed(answer: Value | RegistryError, at: int) -> Value | RegistryError:
    return answer.placed(at) if isinstance(answer, RegistryError) else answer
