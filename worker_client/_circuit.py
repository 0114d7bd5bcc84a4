"""
The circuits: while an RPC is known to be refused, one call at a time tries; the others wait.

    closed ── a call fails as unavailable ──> open ── one that tries is answered ──> closed

gRPC retries a call a few times, until its throttle says that the registry fails everyone's.
What fails then would be an error in a worker for each call that was under way when the
registry was killed. Here they wait, each within its own deadline, and go on together once
one of them gets an answer. Each RPC has a circuit of its own: that a registry still answers
reads says nothing of writes.
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
everyone. With gRPC's own retries, 30 calls that all fail make 38 attempts at most. No call
is made again more often than this either.
"""
PAUSE_MIN_S = 0.25
"""Before the first try; twice as long before each that follows."""
TRY_S = 2.0
"""When a try is so slow that another call may try too."""
TOLD_AGAIN_S = 60.0
"""A registry that comes and goes is told of at most this often."""

log = logging.getLogger("worker_client")
# Whoever wants to read it says where it goes.
log.addHandler(logging.NullHandler())


class Outage:
    """Says in the log that the registry is away, and that it is back: once each."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open = 0
        self._began_s = 0.0
        self._told_s = float("-inf")
        self._is_told = False

    def begins(self, error: RegistryUnavailable) -> None:
        """Note that a circuit opens."""
        self._open += 1
        now_s = time.monotonic()
        if self._open == 1 and now_s > self._told_s + TOLD_AGAIN_S:
            self._began_s = self._told_s = now_s
            self._is_told = True
            log.warning("%s Calls wait for it, each within its deadline.", error)

    def ends(self) -> None:
        """Note that a circuit closes."""
        self._open -= 1
        if not self._open and self._is_told:
            self._is_told = False
            away_s = time.monotonic() - self._began_s
            log.warning("The registry at %s answers again, after %.1f s.", self._target, away_s)


class Circuit:
    """Whether calls of one RPC may go; alike for threads and for tasks, which wait differently."""

    def __init__(self, target: str, outage: Outage) -> None:
        self.is_open = False
        self.given_up = 0
        """How often those who wait were told to wait no longer."""
        self._target = target
        self._outage = outage
        self._failure: RegistryUnavailable | None = None
        self._tried_until_s = 0.0
        self._tries_left = TRIES_MAX
        self._not_before_s = 0.0

    def wait_s(self, turn: "Turn") -> float | None:
        """
        Return how long to wait, at most, before asking again; 0 to try; None to go freely.

        Raises:
            RegistryUnavailable: the call need not wait any longer, or has waited too long.
        """
        now_s = time.monotonic()
        not_before_s = turn.not_before_s
        if self.is_open:
            if turn.given_up != self.given_up and self._failure is not None:
                raise self._failure.again()
            not_before_s = max(not_before_s, self._not_before_s, self._tried_until_s)
        if now_s >= not_before_s:
            if not self.is_open:
                return None
            self._tried_until_s = now_s + TRY_S
            turn.is_try = True
            return 0
        if now_s >= turn.ends_s:
            raise self._overdue()
        return min(not_before_s, turn.ends_s) - now_s

    def _overdue(self) -> RegistryUnavailable:
        """Return what a call is told whose deadline passed here: what was last known."""
        if self._failure is None:
            return absence(self._target)
        error = self._failure.again()
        error.args = (f"{error} The deadline passed while it was waited for.",)
        return error

    def failed(self, error: RegistryError, turn: "Turn", *, may_repeat: bool) -> bool:
        """
        Note that a call failed; return whether it may be made again, which `wait_s` then allows.

        Args:
            may_repeat: gRPC says UNAVAILABLE: nothing was wrong with the call, and its
                deadline has not passed.
        """
        if not isinstance(error, RegistryUnavailable):
            self.answered()
            return False
        self.left(turn)
        if not self.is_open:
            self.is_open = True
            self._not_before_s = 0.0
            self._outage.begins(error)
        self._failure = error
        if not may_repeat:
            return False
        turn.failures += 1
        if turn.is_try:
            self._tries_left = max(0, self._tries_left - 1)
            if not self._tries_left:
                self.given_up += 1
        if not self._tries_left or turn.failures > TRIES_MAX:
            return False
        step = max(TRIES_MAX - self._tries_left, turn.failures - 1)
        pause_s = PAUSE_MIN_S * 2**step * random.uniform(0.8, 1.2)
        turn.not_before_s = time.monotonic() + max(pause_s, error.retry_after_s or 0.0)
        self._not_before_s = max(self._not_before_s, turn.not_before_s)
        turn.given_up = self.given_up
        turn.is_try = False
        return True

    def answered(self) -> None:
        """Note that the registry answered."""
        if self.is_open:
            self.is_open = False
            self._tries_left = TRIES_MAX
            self._tried_until_s = 0.0
            self._outage.ends()

    def left(self, turn: "Turn") -> None:
        """Note that a call has ended without an answer."""
        if turn.is_try:
            self._tried_until_s = 0.0


class Turn:
    """
    One call on its way through a circuit.

    Attributes:
        ends_s: When its deadline passes, on the monotonic clock, as all moments here.
        not_before_s: When it may be made again at the earliest.
        given_up: The circuit's number of that name when the call came to wait.
        failures: How often it was made in vain.
        is_try: It tries for the others.
    """

    __slots__ = ("ends_s", "failures", "given_up", "is_try", "not_before_s")

    def __init__(self, ends_s: float, given_up: int) -> None:
        self.ends_s = ends_s
        self.not_before_s = 0.0
        self.given_up = given_up
        self.failures = 0
        self.is_try = False


class Circuits:
    """The circuits of one registry, by RPC."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._outage = Outage(target)
        self._by_rpc: dict[str, Circuit] = {}

    def of(self, rpc: str) -> Circuit:
        """Return the circuit of *rpc*."""
        circuit = self._by_rpc.get(rpc)
        if circuit is None:
            circuit = self._by_rpc.setdefault(rpc, Circuit(self._target, self._outage))
        return circuit


class Gate:
    """The circuits for threads."""

    def __init__(self, target: str) -> None:
        self._circuits = Circuits(target)
        self._changed = threading.Condition()

    def turn(self, rpc: str, ends_s: float) -> tuple[Circuit, Turn]:
        """Return the circuit of a call, and its turn there."""
        circuit = self._circuits.of(rpc)
        return circuit, Turn(ends_s, circuit.given_up)

    def enter(self, circuit: Circuit, turn: Turn) -> None:
        """
        Wait until a call may go.

        Raises:
            RegistryUnavailable: as of `Circuit.wait_s`.
        """
        if circuit.is_open or turn.not_before_s:
            with self._changed:
                while wait_s := circuit.wait_s(turn):
                    self._changed.wait(wait_s)

    def failed(
        self, circuit: Circuit, error: RegistryError, turn: Turn, *, may_repeat: bool
    ) -> bool:
        """As of `Circuit.failed`."""
        with self._changed:
            try:
                return circuit.failed(error, turn, may_repeat=may_repeat)
            finally:
                self._changed.notify_all()

    def answered(self, circuit: Circuit) -> None:
        """As of `Circuit.answered`."""
        if circuit.is_open:
            with self._changed:
                circuit.answered()
                self._changed.notify_all()

    def left(self, circuit: Circuit, turn: Turn) -> None:
        """As of `Circuit.left`."""
        with self._changed:
            circuit.left(turn)
            self._changed.notify_all()


class AsyncGate:
    """The circuits for the tasks of one event loop."""

    def __init__(self, target: str) -> None:
        self._circuits = Circuits(target)
        self._changed = asyncio.Event()

    def turn(self, rpc: str, ends_s: float) -> tuple[Circuit, Turn]:
        """As of `Gate.turn`."""
        circuit = self._circuits.of(rpc)
        return circuit, Turn(ends_s, circuit.given_up)

    async def enter(self, circuit: Circuit, turn: Turn) -> None:
        """As of `Gate.enter`."""
        while (circuit.is_open or turn.not_before_s) and (wait_s := circuit.wait_s(turn)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)

    def failed(
        self, circuit: Circuit, error: RegistryError, turn: Turn, *, may_repeat: bool
    ) -> bool:
        """As of `Circuit.failed`."""
        try:
            return circuit.failed(error, turn, may_repeat=may_repeat)
        finally:
            self._wake()

    def answered(self, circuit: Circuit) -> None:
        """As of `Circuit.answered`."""
        if circuit.is_open:
            circuit.answered()
            self._wake()

    def left(self, circuit: Circuit, turn: Turn) -> None:
        """As of `Circuit.left`."""
        circuit.left(turn)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
