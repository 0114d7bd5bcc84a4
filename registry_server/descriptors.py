"""Open files and memory: what the process may have of the system, and how near it is to that."""

import asyncio
import ctypes
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESERVED = 128
"""Descriptors that are kept for the database, the log and gRPC's own; some 25 are in use."""
NEARLY = 0.9
"""From this share of the connections on it is said that they run out."""
LOOK_S = 5.0
FLOOD = 500
"""After so many connections have ended, the memory that they took is given back."""
SAID_S_MIN = 600.0
"""How long it is not said again, however often they run out and recover."""
M_ARENA_MAX = -8
"""Source: mallopt(3)."""

log = logging.getLogger(__name__)


def raise_limit() -> int:
    """Let this process open as many files as it may let itself; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 2**31 if hard == resource.RLIM_INFINITY else hard


def connections_within(descriptors: int, wanted: int) -> int:
    """
    Return how many connections of those *wanted* may be open, so that accepting them never takes
    the last of the *descriptors*, which the database may need.
    """
    return max(min(wanted, descriptors - RESERVED), 1)


@contextmanager
def connections_looked_after(wanted: int, connections_max: int) -> Iterator[None]:
    """As `_look_after`; fewer connections than were *wanted* are said in the log at once."""
    if connections_max < wanted:
        log.warning(
            "no more than %d connections instead of the %d of connections_max, for this process "
            "may have only %d files open: raise that (LimitNOFILE= in its unit), or lower "
            "connections_max",
            *(connections_max, wanted, connections_max + RESERVED),
        )
    telling = asyncio.get_running_loop().create_task(_look_after(connections_max))
    try:
        yield
    finally:
        telling.cancel()


async def _look_after(connections_max: int) -> None:
    """
    Say once that connections run out, and once that there are some again; neither again within
    ten minutes. gRPC closes those above *connections_max* without a word to us. Once many have
    gone, give back the memory that they took.
    """
    loop = asyncio.get_running_loop()
    own = _open_descriptors()
    silent_until_s = 0.0
    is_short = False
    most = 0
    while True:
        await asyncio.sleep(LOOK_S)
        count = _open_descriptors() - own
        most = max(most, count)
        if most - count >= FLOOD:
            most = count
            _give_back_memory()
        if not is_short and count >= NEARLY * connections_max and loop.time() >= silent_until_s:
            is_short = True
            silent_until_s = loop.time() + SAID_S_MIN
            log.warning(
                "connections run out: %d of %d are open, and more are refused. Idle ones are "
                "closed by and by; see who connects (ss -tn), or raise connections_max",
                *(count, connections_max),
            )
        elif is_short and count < NEARLY / 2 * connections_max:
            is_short = False
            log.info("there are connections again: %d of %d are open", count, connections_max)


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _give_back_memory() -> None:
    """Hand the pages that hold nothing any more back to the system, where glibc can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_one_arena() -> None:
    """
    Have memory taken from one arena, whichever thread asks.

    By default glibc makes eight for each core, and what a flood of connections leaves in one of
    them the next flood does not find: every flood then adds some. Elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
