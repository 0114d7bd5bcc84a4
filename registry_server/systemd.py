"""What systemd is told while the server lives. Sources: sd_notify(3), sd_watchdog_enabled(3)."""

import asyncio
import faulthandler
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


def notify_systemd(state: str) -> None:
    """
    Tell systemd *state*, as in `READY=1`; nothing happens when it did not start this process.

    Who can't reach it (a variable inherited from something else) goes on without.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
                notifying.connect("\0" + address[1:] if address.startswith("@") else address)
                notifying.sendall(state.encode("ascii"))
        except OSError as error:
            log.warning("systemd could not be told %s: %s", state, error.strerror)


def watchdog_interval_s() -> float | None:
    """Return how often the watchdog wants to hear of this process, at least; None for never."""
    try:
        limit_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return limit_s if limit_s > 0 and meant else None


@contextmanager
def fed_watchdog() -> Iterator[None]:
    """
    Let the watchdog hear, from the running event loop and twice as often as it wants, that
    the loop still turns. Nothing happens without a watchdog.

    Who stays silent gets SIGABRT, and then leaves in the log where each thread stood.
    """
    limit_s = watchdog_interval_s()
    if limit_s is None:
        yield
        return
    interval_s = limit_s / 2
    faulthandler.enable()
    loop = asyncio.get_running_loop()
    waiting: asyncio.TimerHandle

    def feed() -> None:
        nonlocal waiting
        waiting = loop.call_later(interval_s, feed)
        notify_systemd("WATCHDOG=1")

    feed()
    try:
        yield
    finally:
        waiting.cancel()
