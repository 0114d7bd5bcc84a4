"""
The circuit: while a registry is known to be away, one call at a time tries; the others wait.

    closed ── a call fails as unavailable ──> open ── one that tries is answered ──> closed

gRPC retries a call a few times, until its throttle says that the registry fails everyone's.
What fails then would be an error in a worker for each call that was under way when the
registry was killed. Here they wait, each within its own deadline, and go on together once
one of them gets an answer.
"""

import asyncio
import logging
import random
import threading
import time
from contextlib import suppress

from worker_client._errors import RegistryError, RegistryUnavailable, absence

TRIES_MAX = 4
"""
Tries that may fail in a row before who waits is told: a registry that is there and refuses
everyone. With gRPC's own, 30 calls that all fail make 39 attempts at most.
"""
PAUSE_MIN_S = 0.25
"""Before the first try; twice as long before each that follows."""

log = logging.getLogger("worker_client")
# Whoever wants to read it says where it goes.
log.addHandler(logging.NullHandler())


class Circuit:
    """Whether calls may go; alike for threads and for tasks, which wait in ways of their own."""

    def __init__(self, target: str) -> None:
        self.is_open = False
        self.given_up = 0
        """How often those who wait were told to wait no longer."""
        self._target = target
        self._opened_s = 0.0
        self._failure: RegistryUnavailable | None = None
        self._is_tried = False
        self._tries_left = TRIES_MAX
        self._not_before_s = 0.0

    def wait_s(self, given_up: int, ends_s: float) -> float | None:
        """
        Return how long to wait, at most, before asking again; 0 to try; None to go freely.

        Args:
            given_up: The number of that name when the call came.
            ends_s: When the call's deadline passes, on the monotonic clock.

        Raises:
            RegistryUnavailable: the call need not wait any longer, or has waited too long.
        """
        if not self.is_open:
            return None
        if given_up != self.given_up and self._failure is not None:
            raise self._failure.again()
        now_s = time.monotonic()
        if now_s >= ends_s:
            raise absence(self._target)
        if self._is_tried:
            return ends_s - now_s
        if now_s >= self._not_before_s:
            self._is_tried = True
            return 0
        return min(self._not_before_s, ends_s) - now_s

    def failed(self, error: RegistryError, *, was_try: bool, may_repeat: bool) -> bool:
        """
        Note that a call failed; return whether it may be made again.

        Args:
            was_try: It was the one that tried.
            may_repeat: gRPC says UNAVAILABLE: nothing was wrong with the call, and its
                deadline has not passed.
        """
        if not isinstance(error, RegistryUnavailable):
            self.answered()
            return False
        if was_try:
            self._is_tried = False
        if not self.is_open:
            self.is_open = True
            self._opened_s = time.monotonic()
            self._not_before_s = 0.0
            log.warning("%s Calls wait for it, each within its deadline.", error)
        self._failure = error
        if not may_repeat:
            return False
        if was_try:
            self._tries_left = max(0, self._tries_left - 1)
        if not self._tries_left:
            self.given_up += 1
            return False
        pause_s = PAUSE_MIN_S * 2 ** (TRIES_MAX - self._tries_left) * random.uniform(0.8, 1.2)
        pause_s = max(pause_s, error.retry_after_s or 0.0)
        self._not_before_s = max(self._not_before_s, time.monotonic() + pause_s)
        return True

    def answered(self) -> None:
        """Note that the registry answered."""
        self._tries_left = TRIES_MAX
        self._is_tried = False
        if self.is_open:
            self.is_open = False
            away_s = time.monotonic() - self._opened_s
            log.warning("The registry at %s answers again, after %.1f s.", self._target, away_s)

    def left(self, *, was_try: bool) -> None:
        """Note that a call was given up by its caller."""
        if was_try:
            self._is_tried = False


class Gate:
    """The circuit for threads."""

    def __init__(self, target: str) -> None:
        self._circuit = Circuit(target)
        self._changed = threading.Condition()

    def enter(self, ends_s: float) -> bool:
        """
        Wait until a call may go; return whether it tries for all.

        Raises:
            RegistryUnavailable: as of `Circuit.wait_s`.
        """
        circuit = self._circuit
        if not circuit.is_open:
            return False
        with self._changed:
            given_up = circuit.given_up
            while (wait_s := circuit.wait_s(given_up, ends_s)) is not None:
                if wait_s == 0:
                    return True
                self._changed.wait(wait_s)
        return False

    def failed(self, error: RegistryError, *, was_try: bool, may_repeat: bool) -> bool:
        """As of `Circuit.failed`."""
        with self._changed:
            try:
                return self._circuit.failed(error, was_try=was_try, may_repeat=may_repeat)
            finally:
                self._changed.notify_all()

    def answered(self) -> None:
        """As of `Circuit.answered`."""
        if self._circuit.is_open:
            with self._changed:
                self._circuit.answered()
                self._changed.notify_all()

    def left(self, *, was_try: bool) -> None:
        """As of `Circuit.left`."""
        with self._changed:
            self._circuit.left(was_try=was_try)
            self._changed.notify_all()


class AsyncGate:
    """The circuit for the tasks of one event loop."""

    def __init__(self, target: str) -> None:
        self._circuit = Circuit(target)
        self._changed = asyncio.Event()

    async def enter(self, ends_s: float) -> bool:
        """As of `Gate.enter`."""
        circuit = self._circuit
        given_up = circuit.given_up
        while (wait_s := circuit.wait_s(given_up, ends_s)) is not None:
            if wait_s == 0:
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)
        return False

    def failed(self, error: RegistryError, *, was_try: bool, may_repeat: bool) -> bool:
        """As of `Circuit.failed`."""
        try:
            return self._circuit.failed(error, was_try=was_try, may_repeat=may_repeat)
        finally:
            self._wake()

    def answered(self) -> None:
        """As of `Circuit.answered`."""
        if self._circuit.is_open:
            self._circuit.answered()
            self._wake()

    def left(self, *, was_try: bool) -> None:
        """As of `Circuit.left`."""
        self._circuit.left(was_try=was_try)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
