"""Ctrl-C and its like: a scan ends in order, and keeps what is done."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A scan was told to stop; like KeyboardInterrupt, nothing catches it by accident."""


class Stop:
    """
    Listens for signals that ask for a stop.

    The first breaks off what may be broken off, or else the next such thing; a second ends
    the process at once. What was ignored from the start, as under nohup, stays ignored.

    Attributes:
        signal_number: Of the signal that came; 0 before.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._may_break_off = False
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """Around what may take long, and loses nothing that was told if it is broken off."""
        self._may_break_off = True
        try:
            if self.signal_number:
                raise Stopped
            yield
        finally:
            self._may_break_off = False

    def _hear(self, signal_number: int, _frame: FrameType | None) -> None:
        if self.signal_number:
            signal.signal(signal_number, signal.SIG_DFL)
            os.kill(os.getpid(), signal_number)
        self.signal_number = signal_number
        if self._may_break_off:
            raise Stopped


@contextmanager
def signals_held() -> Iterator[None]:
    """
    Hold the signals back until the block ends, and for good in processes that it starts.

    Ctrl-C and a closed terminal reach every process at once, and are this one's to answer.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
