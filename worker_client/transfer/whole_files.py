"""Files that are there whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

STANDARD_OUTPUT = "-"


@contextmanager
def written_whole(path: str) -> Iterator[TextIO]:
    """
    Give a file to write; when the block ends well it takes the place of what was at *path*.

    Until then it is beside that, with ".part" after its name, and it is removed if the block
    fails. `STANDARD_OUTPUT`, and what is no plain file, is written to as it comes. The ends of
    lines are left as they are written.

    Raises:
        OSError: it can't be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        with os.fdopen(
            sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False
        ) as file:
            yield file
        return
    whole = Path(path).resolve()
    if whole.exists() and not whole.is_file():
        with whole.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    part = whole.with_name(f"{whole.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(whole)
    finally:
        part.unlink(missing_ok=True)
