"""
How the client survives a fork: before it, everything open is closed; a later call opens anew.

gRPC's core has threads and locks that a forked child gets in whatever state they were. The only
state that is safe to copy is that of a process whose core isn't running. Closing the last channel
stops the core, but its threads need some milliseconds more to end, and a fork in that time hangs
the child at its first channel. So the hook closes, and waits until those threads are gone: 1000
forks of 1000 went well so, 56 of 60 without the waiting (grpcio 1.85.1).
"""

import os
import threading
import weakref
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from worker_client import _settling

_GRACE_S = 0.05
"""How long short calls under way may take to end by themselves before a fork."""

_LEAVE_S = 5.0
"""How long threads may take to come back from calls whose channel was closed."""


class Open(Protocol):
    """
    Something that holds gRPC channels. None of its methods may raise.

    A call that fails on a channel closed here (CANCELLED, or ValueError where it hadn't begun) is
    to be repeated: note on the channel's holder that it was closed for a fork, before closing it.
    """

    def _close_before_fork(self) -> None:
        """Close the channels, which ends the calls on them; the object stays usable."""

    def _after_fork_in_child(self) -> None:
        """Replace locks and forget what was open, without a call to gRPC."""


class _Gate:
    """Who is inside gRPC, and whether a fork keeps the others out."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.forker: int | None = None
        self.short: Counter[int] = Counter()
        self.long: Counter[int] = Counter()

    def wait_for_leaving(self, *, with_long: bool, limit_s: float) -> bool:
        """Wait until no other thread is inside; call with the condition held."""
        own = threading.get_ident()

        def is_left() -> bool:
            inside = set(self.short) | (set(self.long) if with_long else set())
            return inside <= {own}

        return self.changed.wait_for(is_left, limit_s)


_gate = _Gate()
_open: weakref.WeakSet[Open] = weakref.WeakSet()
_registering = threading.Lock()
_is_registered = False


def add(thing: Open) -> None:
    """
    Have *thing* closed before forks. Call it when its first channel has been made, not earlier.

    By then gRPC has registered its own hooks (if GRPC_ENABLE_FORK_SUPPORT is set). Hooks before a
    fork run in reverse order: ours must run first, for gRPC's halts the threads that closing needs.
    """
    global _is_registered
    with _registering:
        _open.add(thing)
        if not _is_registered and hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before,
                after_in_parent=_after_in_parent,
                after_in_child=_after_in_child,
            )
            _is_registered = True


def is_under_way() -> bool:
    """
    Tell whether a thread forks just now: then open no channel, leave `calling` and begin again.

    Ask with the lock held that *_close_before_fork* takes, else a channel may be opened after it.
    """
    return _gate.forker is not None


@contextmanager
def calling(*, is_long: bool = False) -> Generator[None, None, None]:
    """
    Surround whatever goes into gRPC: making a channel, a call, waiting for a stream's next reply.

    Forks wait for it, and it waits while another thread forks. Never hold it across a ``yield``.
    A fork gives short calls a moment to end, and ends long ones (waiting for a watch) at once.
    """
    gate = _gate
    own = threading.get_ident()
    inside = gate.long if is_long else gate.short
    with gate.changed:
        while gate.forker not in (None, own) and own not in gate.short and own not in gate.long:
            gate.changed.wait()
        inside[own] += 1
    try:
        yield
    finally:
        if gate is _gate:  # else this is a child, forked inside the block
            with gate.changed:
                inside[own] -= 1
                if not inside[own]:
                    del inside[own]
                    gate.changed.notify_all()


def _before() -> None:
    own = threading.get_ident()
    with _gate.changed:
        while _gate.forker is not None:
            _gate.changed.wait()
        _gate.forker = own
        _gate.wait_for_leaving(with_long=False, limit_s=_GRACE_S)
    # Without the condition: threads need it to leave.
    for thing in list(_open):
        thing._close_before_fork()
    with _gate.changed:
        _gate.wait_for_leaving(with_long=True, limit_s=_LEAVE_S)
    _settling.settle()


def _after_in_parent() -> None:
    with _gate.changed:
        _gate.forker = None
        _gate.changed.notify_all()


def _after_in_child() -> None:
    global _gate, _registering
    _gate = _Gate()
    _registering = threading.Lock()
    _settling.forget()
    for thing in list(_open):
        thing._after_fork_in_child()
