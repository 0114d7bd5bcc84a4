"""How long calls may take: profiles with their reasons, and the deadline around several calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """
    How long a call may take in all, retries and waiting for a restarting server included.

    Attributes:
        read_s: Looking up, getting by id, listing a page.
        write_s: Getting or creating one name.
        batch_s: Up to 1000 names, ids or tag sets; merging; taking in a reference pack.
        transfer_s: Exporting or importing everything, from the first record to the last.
    """

    read_s: float
    write_s: float
    batch_s: float
    transfer_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("read_s", "write_s", "batch_s", "transfer_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: a deadline is more than 0 seconds")


CARD_WRITE_S_MAX = 0.4
"""
How long a write to the card may take at its worst (reported of SD cards, not measured here);
`genre-registry check` times the card and says whether it keeps to that.
"""

RASPBERRY_PI = Deadlines(
    # A server that systemd restarts is away for about 6 s: 1 s until systemd starts it,
    # 2 to 3 s until Python serves on a Pi (estimated from 0.6 s on x86-64, not measured on
    # a Pi), and up to 2 s until the channel tries again.
    read_s=8.0,
    # The same, and three writes to the card, each of which may take `CARD_WRITE_S_MAX`:
    # the round under way, one's own, and a
    # checkpoint between them.
    write_s=10.0,
    # The same, and the work of 1000 names: 0.05 s on x86-64, allowed to take ten times as
    # long on a Pi, behind as many other workers' batches as fit. A pack is the keys of some
    # 5000 names and as many rows at most, which is five such batches.
    batch_s=20.0,
    # A hundred thousand genres with their journal are some hundred batches in one transaction,
    # and a person waits for it, who sees how far it is: it ends only if all hope is gone.
    transfer_s=600.0,
)
"""For a registry on a Raspberry Pi with its database on an SD card."""

WORKSTATION = Deadlines(
    # A server that systemd restarts is away for about 4 s: 1 s until systemd starts it, 0.6 to
    # 0.8 s until it serves (measured on x86-64), and up to 2 s until the channel tries again.
    read_s=5.0,
    # The same; a write takes 0.2 ms to a server's virtual disk (measured), and three that take
    # 100 ms each, as a disk that sleeps or is shared may, still fit.
    write_s=5.5,
    # The same, and the work of 1000 names, 0.05 to 0.07 s (measured), behind those of a dozen
    # other workers, twice over.
    batch_s=8.0,
    # 120,000 records took 17 s to export, 20,000 names 15 s to import (measured).
    transfer_s=300.0,
)
"""For a registry on a desktop or server machine with a solid-state disk."""

DEADLINE_S_MAX = 365 * 86_400.0
"""What "for ever" comes to: no clock that a call waits by takes more."""

_ends_s: ContextVar[float] = ContextVar("ends_s", default=float("inf"))


@contextmanager
def overall_deadline(deadline_s: float) -> Iterator[None]:
    """
    Let every call within the block end *deadline_s* from now at the latest.

    What a caller has promised to somebody else is so kept over several calls: the deadline
    of a job, or of a request that is being answered (`context.time_remaining()` of a gRPC
    servicer). It holds for the thread or the asyncio task that enters the block, and for
    tasks started in it. Blocks within blocks only shorten. Watches go on.

    Every call within raises, once the time is up:
        DeadlineExceeded: nothing was sent.
    """
    before = _ends_s.set(min(_ends_s.get(), time.monotonic() + deadline_s))
    try:
        yield
    finally:
        _ends_s.reset(before)


def ending_s(deadline_s: float) -> float:
    """
    Return when a call that may take *deadline_s* is over, on the monotonic clock.

    Raises:
        DeadlineExceeded: that, or the deadline around it, has passed already.
    """
    now_s = time.monotonic()
    ends_s = min(now_s + min(deadline_s, DEADLINE_S_MAX), _ends_s.get())
    if ends_s <= now_s:
        from worker_client._errors import DeadlineExceeded

        raise DeadlineExceeded("The deadline of this call had passed before it was made.")
    return ends_s


def left_s(ends_s: float) -> float:
    """Return how long a call may still take; 0 if it is over."""
    return max(0.0, ends_s - time.monotonic())
