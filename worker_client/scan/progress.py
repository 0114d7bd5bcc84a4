"""How far a scan is, for who sits before a terminal; and what the client has to say meanwhile."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worker_client.scan.walking import audio_files

_COUNTED_AT_A_TIME = 500


class Said(logging.Handler):
    """Says on standard error what the client logs: that the registry is away, or back."""

    def emit(self, record: logging.LogRecord) -> None:
        said = f"genrectl: {record.getMessage()}\n"
        if bars := sys.modules.get("tqdm"):
            bars.tqdm.write(said, file=sys.stderr, end="")
        else:
            sys.stderr.write(said)
            sys.stderr.flush()


@contextmanager
def saying(*, shown: bool) -> Iterator[None]:
    """Say what the client logs until the block ends."""
    said = Said()
    log = logging.getLogger("worker_client")
    if shown:
        log.addHandler(said)
    try:
        yield
    finally:
        log.removeHandler(said)


@contextmanager
def progress(folder: Path, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """
    Show tracks done, rate and time left, and give what is told how many more are done.

    The files of *folder* are counted meanwhile, so that reading need not wait for the total.
    """
    if not shown:
        yield lambda _tracks: None
        return
    from tqdm import tqdm  # 9 MiB, for terminals alone

    ended = threading.Event()
    with tqdm(total=0, unit=" tracks", dynamic_ncols=True) as bar:

        def count() -> None:
            files = 0
            for files, _ in enumerate(audio_files(folder), 1):
                if files % _COUNTED_AT_A_TIME == 0:
                    bar.total = files
                    if ended.is_set():
                        return
            bar.total = files

        threading.Thread(target=count, daemon=True).start()
        try:
            yield bar.update
        finally:
            ended.set()
