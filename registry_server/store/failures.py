"""
What can be wrong with a database: said once, in words, with what to do.

While serving, a driver's error becomes a `RegistryError` (`translated`). At the
operator's desk, starting or checking, it becomes a `DatabaseUnusable`, whose
`exit_code` tells scripts the kind.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from sqlalchemy.exc import DBAPIError

from registry_server.store.lock import Held
from registry_server.vocabulary.refusals import Overloaded, StorageFailed, StorageFull

BUSY_RETRY_AFTER_S = 1.0

_FULL = {sqlite3.SQLITE_FULL}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FAILED = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


def primary_code(error: BaseException | None) -> int:
    """Return SQLite's primary result code of a driver's *error*; 0 when it has none."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


@contextmanager
def translated() -> Iterator[None]:
    """
    Turn the driver's errors into the registry's; what is none of these is a defect.

    Raises:
        StorageFull: the disk is full; nothing was written.
        StorageFailed: I/O failed, or the file is damaged, gone or not writable.
        Overloaded: somebody else's lock on the file outlasted the wait for it.
    """
    try:
        yield
    except DBAPIError as error:
        code = primary_code(error.orig)
        if code in _FULL:
            raise StorageFull from error
        if code in _FAILED:
            raise StorageFailed from error
        if code in _BUSY:
            raise Overloaded(BUSY_RETRY_AFTER_S) from error
        raise


class DatabaseUnusable(Exception):
    """The database can't be served; the message says why and what to do."""

    exit_code: ClassVar[int]


class DatabaseHeld(DatabaseUnusable):
    exit_code = 75

    def __init__(self, path: Path, held: Held) -> None:
        super().__init__(
            f"Another process ({held.holder}) serves the database {path}. "
            "One server owns a file: stop that one, or name another file with --database."
        )


class DatabaseForeign(DatabaseUnusable):
    exit_code = 65

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not a genre registry's database, and is left as it is. "
            "Name another file with --database."
        )


class DatabaseMissing(DatabaseUnusable):
    exit_code = 66

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is no database {path}. genre-registry serve makes it; "
            "name another file with --database."
        )


class DatabaseNewer(DatabaseUnusable):
    exit_code = 76

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"The database {path} was written by a newer genre-registry ({what}), and is left as "
            "it is. Install that version or a later one."
        )


class DatabaseFailed(DatabaseUnusable):
    exit_code = 74

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(f"The database {path} can't be used: {_advice(error)}")


def _advice(error: BaseException) -> str:
    code = primary_code(error)
    if code in _FULL:
        return "the disk is full. Make room and start again."
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR):
        return f"{error}. Check the disk, then restore a backup."
    if code in _BUSY:
        return "another program holds a lock on it. Close that program and start again."
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return "the disk is full. Make room and start again."
        return f"{error.strerror}: {error.filename}. See that this user may read and write there."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return f"{error}. See that its folder exists and that this user may write there."
    return f"{error}."


@contextmanager
def at_the_desk(path: Path) -> Iterator[None]:
    """Turn the driver's and the system's errors into a `DatabaseUnusable` about *path*."""
    try:
        yield
    except DBAPIError as error:
        if primary_code(error.orig) == sqlite3.SQLITE_NOTADB:
            raise DatabaseForeign(path) from error
        raise DatabaseFailed(path, error.orig or error) from error
    except OSError as error:
        raise DatabaseFailed(path, error) from error
