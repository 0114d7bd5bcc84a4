"""Where the lines of a scan go, and when they are safe there."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import click

STANDARD_OUTPUT = Path("-")


class OutputRefused(Exception):
    """The output can't be written; the message names it and says why."""


class Output:
    """
    A file, or standard output.

    Args:
        added_to_bytes: How many bytes of the file stay, for lines to be added; None if it is
            written anew, as it also is if it holds less.

    Every method raises:
        OutputRefused: the file can't be written.
    """

    def __init__(self, path: Path, added_to_bytes: int | None = None) -> None:
        self._path = path
        mode = "w"
        with self._telling_why():
            if added_to_bytes and _holds(path, added_to_bytes):
                # A kill may have left lines that the state knows nothing of, or half of one.
                os.truncate(path, added_to_bytes)
                mode = "a"
            self._file = click.open_file(str(path), mode, encoding="utf-8")

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._telling_why():
            self._file.flush()
            if self._path != STANDARD_OUTPUT:
                self._file.close()

    def write(self, line: str) -> None:
        """Write *line* and its end."""
        try:  # not as below, which would cost as much as the writing
            self._file.write(line + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def settle(self) -> int:
        """Have what was written outlast a power cut, if it goes to a file; return its bytes."""
        with self._telling_why():
            self._file.flush()
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return 0
            os.fsync(self._file.fileno())
            return status.st_size

    @contextmanager
    def _telling_why(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> OutputRefused:
        if self._path == STANDARD_OUTPUT:
            # Python would try once more when it ends, and say so in its own words.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            return OutputRefused(f"standard output: {error.strerror}")
        return OutputRefused(f"{self._path}: {error.strerror}")


def _holds(path: Path, size_bytes: int) -> bool:
    return path != STANDARD_OUTPUT and path.is_file() and path.stat().st_size >= size_bytes
