"""The state file of a scan: which files were read, and as what, so as not to read them again."""

import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from worker_client.scan.tracks import Outcome

APPLICATION_ID = 0x47534341
VERSION = 1
COMMITTED_EVERY_S = 10.0
"""What a power cut may cost, of the time of a scan; oftener would wear an SD card."""

# Of an SQLite file: what it begins with, user_version, application_id.
_HEADER = struct.Struct(">16s44xI4xI28x")
_SCHEMA = (
    # `output` is the file of a scan that has not come to its end, empty if there is none.
    "CREATE TABLE scan (incarnation TEXT NOT NULL, output BLOB NOT NULL, output_bytes INTEGER)",
    "INSERT INTO scan VALUES ('', x'', 0)",
    # Paths are absolute, so that a folder is known again from wherever it is scanned.
    "CREATE TABLE file (path BLOB PRIMARY KEY, mtime_ns INTEGER NOT NULL,"
    " size_bytes INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


class StateRefused(Exception):
    """The state file can't be used; the message says what to do about it."""


class ScanState:
    """
    Remembers files that were read and resolved, by their time of change and size.

    One scan uses it at a time. Nothing is kept before `commit`, which is called when the
    lines of what was added are safe.

    Args:
        folder: What is scanned; files elsewhere stay remembered.

    Attributes:
        unchanged: How many files `changed` has left out.

    Every method raises:
        StateRefused: the file is in use, of something else, damaged, or can't be written.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.unchanged = 0
        self._path = path
        self._given = os.fsencode(folder)
        self._folder = os.path.abspath(self._given)  # noqa: PTH100 # bytes: names may be no text
        self._output = b""
        self._under_way: dict[str, tuple[int, int]] = {}
        self._read: list[tuple[bytes, int, int]] = []
        self._failed: list[tuple[bytes]] = []
        self._committed_s = time.monotonic()
        _refuse_another_kind(path)
        try:
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._refused(error) from error
        try:
            # Held until the end, through every commit.
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute("BEGIN EXCLUSIVE")
            if not self._execute("SELECT * FROM sqlite_master"):
                for statement in _SCHEMA:
                    self._execute(statement)
            self._database.create_function("is_gone", 1, _is_gone)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> "ScanState":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def is_of_another(self, incarnation: str) -> bool:
        """Return whether it is of another registry than this; if so, everything is forgotten."""
        [(before,)] = self._execute("SELECT incarnation FROM scan")
        if before != incarnation:
            self._execute("DELETE FROM file")
            self._execute("UPDATE scan SET incarnation = ?, output = x''", incarnation)
        return before not in ("", incarnation)

    def goes_on_in(self, output: Path) -> int | None:
        """
        Take *output* as the file of this scan.

        Returns:
            How many of its bytes are lines of a scan that was ended early, for this one to
            add to; None if it begins anew.
        """
        [(before, output_bytes)] = self._execute("SELECT output, output_bytes FROM scan")
        self._output = os.fsencode(output.absolute())
        return output_bytes if before == self._output else None

    def changed(self, paths: Iterable[str], skip: Callable[[int], object]) -> Iterator[str]:
        """Give those of *paths* that are not as they were; *skip* is told of each other."""
        for path in paths:
            try:
                status = os.stat(path)  # noqa: PTH116 # a Path each would double the cost
            except OSError:  # reading it says why
                yield path
                continue
            now = (status.st_mtime_ns, status.st_size)
            key = self._key(path)
            if self._execute("SELECT mtime_ns, size_bytes FROM file WHERE path = ?", key) == [now]:
                self.unchanged += 1
                skip(1)
                continue
            self._under_way[path] = now
            yield path

    def add(self, outcome: Outcome) -> None:
        """Remember a file as it was before it was read; forget it if it failed."""
        path = outcome.track.path
        looked_at = self._under_way.pop(path, None)
        if looked_at is not None and outcome.error is None:
            self._read.append((self._key(path), *looked_at))
        elif self._execute("SELECT 1 FROM file WHERE path = ?", self._key(path)):
            self._failed.append((self._key(path),))

    @property
    def is_due(self) -> bool:
        """Whether it is time for a commit."""
        return time.monotonic() - self._committed_s > COMMITTED_EVERY_S

    def commit(self, output_bytes: int) -> None:
        """Keep what was added: its lines are within the first *output_bytes* of the output."""
        self._committed_s = time.monotonic()
        if not self._read and not self._failed:
            return
        self._execute_many("REPLACE INTO file VALUES (?, ?, ?)", self._read)
        self._execute_many("DELETE FROM file WHERE path = ?", self._failed)
        self._execute("UPDATE scan SET output = ?, output_bytes = ?", self._output, output_bytes)
        self._execute("COMMIT")
        self._execute("BEGIN EXCLUSIVE")
        self._read.clear()
        self._failed.clear()

    def finish(self) -> int:
        """Note that the scan came to its end, forget files that are gone, and count them."""
        [(before,)] = self._execute("SELECT total_changes()")
        below = self._folder.rstrip(b"/")
        within = "path > ? AND path < ? AND is_gone(path)"
        self._execute(f"DELETE FROM file WHERE {within}", below + b"/", below + b"0")
        [(after,)] = self._execute("SELECT total_changes()")
        self._execute("UPDATE scan SET output = x'' WHERE output != x''")
        self._execute("COMMIT")
        gone: int = after - before
        return gone

    def _key(self, path: str) -> bytes:
        below = os.fsencode(path)[len(self._given) :].lstrip(b"/")
        return self._folder.rstrip(b"/") + b"/" + below

    def _execute(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _execute_many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StateRefused:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StateRefused(
                f"{self._path} is in use by another scan; wait for its end, or name another file"
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return StateRefused(
                f"{self._path} is damaged ({error}); remove it, and everything is read again"
            )
        return StateRefused(f"{self._path} can't be read or written: {error}")


def _refuse_another_kind(path: Path) -> None:
    """Refuse a file that is none of ours, before SQLite could change anything in it."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateRefused(f"{path} can't be read: {error.strerror}") from error
    if not header:
        return
    magic, version, application_id = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
    if magic != b"SQLite format 3\0" or application_id != APPLICATION_ID:
        raise StateRefused(f"{path} is no state file of a scan; name another, or a new one")
    if version != VERSION:
        raise StateRefused(
            f"{path} was written by a newer genrectl; use that, or name a new state file"
        )


def _is_gone(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it may be there, out of reach for now
        return False
    return False
