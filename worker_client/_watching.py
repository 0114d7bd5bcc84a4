"""Where a watch is, alike for both clients: from what it asks on, and how long it bears."""

import random
import time
from collections.abc import Callable

from worker_client import _calls
from worker_client._curation_values import ChangeType, GenreChange
from worker_client._errors import CallCancelled, RegistryError, RegistryUnavailable

PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 2.0
"""A registry is back within seconds, and a hundred watchers don't hurt it."""


class Watch:
    """
    A watch across its connections.

    Args:
        deadline_s: How long the registry may be away at a time; None for ever.
        on_away: Called whenever the stream has ended, and a new one is to come.
    """

    def __init__(
        self,
        start_revision: int,
        incarnation: str,
        *,
        target: str,
        deadline_s: float | None = None,
        on_away: Callable[[], None] = lambda: None,
    ) -> None:
        self._revision = start_revision
        self._incarnation = incarnation
        self._deadline_s = deadline_s
        self._target = target
        self._on_away = on_away
        self._away_since_s: float | None = time.monotonic()
        self._pause_s = PAUSE_MIN_S
        self._has_given_up = False

    def call(self) -> _calls.Call[GenreChange]:
        """Return the call that goes on after what was heard last."""
        return _calls.watch_genres(self._revision, self._incarnation)

    def heard(self, change: GenreChange) -> GenreChange:
        """Remember *change*, and return it."""
        if change.type is not ChangeType.HEARTBEAT:
            self._revision = change.revision
        self._incarnation = change.incarnation or self._incarnation
        self._away_since_s = None
        self._pause_s = PAUSE_MIN_S
        return change

    def left_s(self) -> float | None:
        """Return how long the registry may still be away; None for ever."""
        if self._deadline_s is None:
            return None
        since_s = time.monotonic() if self._away_since_s is None else self._away_since_s
        return max(0.0, since_s + self._deadline_s - time.monotonic())

    def give_up(self) -> None:
        """Bear no longer: the stream is cancelled next."""
        self._has_given_up = True

    def absence(self) -> RegistryUnavailable:
        """Return what says that the registry was away for too long."""
        return RegistryUnavailable(
            f"The registry at {self._target} could not be reached for {self._deadline_s} s."
        )

    def ended_by(self, error: RegistryError) -> RegistryError | None:
        """Return what a stream that ended with *error* ends the watch with; None to go on."""
        if self._has_given_up:
            return self.absence()
        # A server that stops cancels those whom it had no time to tell.
        if not isinstance(error, (RegistryUnavailable, CallCancelled)):
            return error
        return self.absence() if self.left_s() == 0 else None

    def pause_s(self) -> float:
        """Return how long to wait before the next call; a little longer each time."""
        self._on_away()
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
        pause_s = self._pause_s * random.uniform(0.5, 1)
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        left_s = self.left_s()
        return pause_s if left_s is None else min(pause_s, left_s)
