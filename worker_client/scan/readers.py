"""The processes that read tags: started ahead, and never far ahead of what is asked for."""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from types import TracebackType

from worker_client.scan.stopping import signals_held
from worker_client.scan.tracks import Track

BATCH_TRACKS = 32
"""Tracks that a process reads at a time."""
AHEAD = 16
"""Batches for each process that are read before they are asked for: the first of them while
gRPC is loaded, which takes as long."""


class Readers:
    """
    Processes that read tags, which start at once and end with the block.

    They load what they need and no more: neither gRPC nor the rest of the command.

    Args:
        jobs: How many, at least 1.
    """

    def __init__(self, jobs: int) -> None:
        context = get_context("spawn")
        self._ahead = AHEAD * jobs
        with signals_held():
            self._end = context.Event()
        self._pool = ProcessPoolExecutor(jobs, context, _set_up, (self._end,))
        for _ in range(jobs):
            self._submit([])

    def __enter__(self) -> "Readers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._pool.shutdown(cancel_futures=True)

    def read(self, paths: Iterable[str]) -> Iterator[list[Track]]:
        """Begin to read *paths*; give their tracks in order, a batch at a time, read ahead."""
        rest = iter(paths)
        under_way: deque[Future[list[Track]]] = deque()

        def read_ahead() -> None:
            while len(under_way) < self._ahead and (batch := list(islice(rest, BATCH_TRACKS))):
                under_way.append(self._submit(batch))

        def tracks() -> Iterator[list[Track]]:
            while under_way:
                yield under_way.popleft().result()
                read_ahead()

        read_ahead()
        return tracks()

    def _submit(self, paths: Sequence[str]) -> Future[list[Track]]:
        with signals_held():
            return self._pool.submit(_read, paths)


_end: Event
"""Set when the scan ends: what was not asked for yet need not be read. Of a reading process."""


def _set_up(end: Event) -> None:
    """Set up a reading process: it ends with its parent, however that ends."""
    global _end
    _end = end
    # With which the pool ends the others when one of them was killed.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _read(paths: Sequence[str]) -> list[Track]:
    # Here, so that the scan itself does without mutagen.
    from worker_client.scan.reading import read_track

    return [read_track(path) for path in paths if not _end.is_set()]
