"""
SQLite connections as the registry needs them: one that writes, some that read.

Exactly one connection ever writes or checkpoints: SQLite before 3.51.3 can corrupt a
WAL that two connections reset at once. Transactions are begun here, not by the
driver, whose default leaves a failed step's new table behind.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

READERS = 2
"""Reading threads and connections: one for the rounds of look-ups, one for lists and ids."""
BUSY_TIMEOUT_MS = 5000

_SHARED = {
    "busy_timeout": BUSY_TIMEOUT_MS,
    "mmap_size": 0,  # under mmap an I/O error is a signal, not an error
    "foreign_keys": "ON",
}
_WRITER = {
    **_SHARED,
    "journal_mode": "WAL",
    "synchronous": "FULL",  # NORMAL lost acknowledged writes in simulated power cuts
}
_READER = {
    **_SHARED,
    "query_only": "ON",
    # KiB. Watchers that read on filled the 2 MiB of each; looking up 100 keys takes 0.1 ms longer.
    "cache_size": -256,
}


def writing_engine(path: Path) -> Engine:
    """Return an engine whose transactions begin IMMEDIATE; makes the file if it is missing."""
    return _engine(path, "rwc", _WRITER, begin="BEGIN IMMEDIATE", poolclass=NullPool)


def reading_engine(path: Path) -> Engine:
    """Return an engine for several threads, whose connections can't write."""
    return _engine(
        path, "rw", _READER, begin="BEGIN", poolclass=QueuePool, pool_size=READERS, max_overflow=0
    )


def inspecting_engine(path: Path) -> Engine:
    """
    Return an engine for looking at a file that a server may be serving, or another
    application's. It leaves nothing behind.
    """
    return _engine(path, reading_mode(path), _READER, begin="BEGIN", poolclass=NullPool)


def reading_mode(path: Path) -> str:
    """
    Return how SQLite is to open *path* in order to read it and leave nothing behind: where no
    WAL lies beside the file nobody has it open, and it is read as if it could not change. So it
    is with an empty WAL where nothing can be written, nor what SQLite would need beside it.
    """
    try:
        wal_bytes = path.with_name(path.name + "-wal").stat().st_size
        is_still = not wal_bytes and bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except FileNotFoundError:
        is_still = True
    return "ro&immutable=1" if is_still else "ro"


def uri_of(path: Path, mode: str) -> str:
    """Return *path* as SQLite reads it from a URI, whatever characters are in it."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


def _engine(path: Path, mode: str, pragmas: dict[str, Any], *, begin: str, **pool: Any) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri_of(path, mode), uri=True, check_same_thread=False)

    # Not by a URL, of which a part of the path would be read as something else.
    engine = create_engine("sqlite://", creator=connect, **pool)
    event.listen(engine, "connect", _set_up(pragmas))

    @event.listens_for(engine, "begin")
    def begin_ourselves(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _set_up(pragmas: dict[str, Any]) -> Callable[[Any, Any], None]:
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    return set_up
