"""
Asking once for what many want: what is known is not asked, what is being asked is waited for.

One generator says what is to be done; threads and tasks each do it in their own way.
"""

from collections.abc import Callable, Generator, Hashable, Sequence
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
        self._flights: dict[Key, Flight] = {}

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
            mine, others, voided = self._missing(keys, answers, told, each_once=is_first)
            is_first = False
            if mine:
                asked = [keys[at] for at in mine]
                try:
                    replies = dict(zip(mine, (yield Asked(asked)), strict=True))
                except BaseException as failure:
                    # What befell several keys at once may be the fault of another than this.
                    self._land(asked, failure if len(set(asked)) == 1 else None)
                    raise
                for at, answer in replies.items():
                    answers[at] = answer
                    if not isinstance(answer, RegistryError):
                        self._cache.keep(self._shelf, keys[at], answer, voided=voided)
                        answer = self._shelf.told(answer)
                    if answer is not None:
                        told[keys[at]] = answer
                    self._land([keys[at]], answer)
            for at, flight in others.items():
                answer = yield Awaited(flight)
                if isinstance(answer, RegistryError):
                    answers[at] = answer.again()
                elif answer is not None:
                    answers[at] = answer
        return [answers[at] for at in range(len(keys))]

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
    ) -> tuple[list[int], dict[int, Flight], int]:
        """
        Take what is known, or *told* to this caller, as answers; return what is to be asked,
        and what others ask.

        Args:
            each_once: Ask once for what *keys* hold several times: most is kept, and answers
                the rest. What is not is then asked as often as it is there, for the registry
                counts it.
        """
        mine: list[int] = []
        claimed: set[Key] = set()
        others: dict[int, Flight] = {}
        with self._cache.lock:
            for at, key in enumerate(keys):
                if at in answers:
                    continue
                known = told.get(key) or self._shelf.get(key)
                if known is not None:
                    answers[at] = known
                elif key in claimed:
                    if not each_once:
                        mine.append(at)
                elif key in self._flights:
                    others[at] = self._flights[key]
                else:
                    mine.append(at)
                    claimed.add(key)
                    self._flights[key] = self._new_flight()
            return mine, others, self._cache.voided

    def _land(self, keys: Sequence[Key], told: object) -> None:
        """Tell those who wait for *keys*; None has each ask for itself."""
        if isinstance(told, BaseException) and not isinstance(told, FINAL):
            told = None
        with self._cache.lock:
            landed = [self._flights.pop(key) for key in keys if key in self._flights]
        for flight in landed:
            if not flight.done():
                flight.set_result(told)
