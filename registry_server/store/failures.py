"""
What can be wrong with a database: said once, in words, with what to do.

While serving, a driver's error becomes a `RegistryError` (`translated`). At the
operator's desk, starting or checking, it becomes a `DatabaseUnusable`, whose
`exit_code` tells scripts the kind.
"""

import errno
import glob
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from sqlalchemy.exc import DBAPIError

from registry_server.store.lock import Held
from registry_server.store.schema import HEAD
from registry_server.vocabulary.refusals import Overloaded, StorageFailed, StorageFull

BUSY_RETRY_AFTER_S = 1.0
PAGE_BYTES = 4096
"""SQLite's, of every file that a registry makes."""
PAGES_LOOKED_AT = 9
_PAGE_KINDS = {0, 2, 5, 10, 13}

_FULL = {sqlite3.SQLITE_FULL}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CLOSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FAILED = {
    sqlite3.SQLITE_IOERR,
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
        StorageFailed: I/O failed, or the file is damaged (which it says), gone or not writable.
        Overloaded: somebody else's lock on the file outlasted the wait for it.
    """
    try:
        yield
    except DBAPIError as error:
        code = primary_code(error.orig)
        if code in _FULL:
            raise StorageFull from error
        if code in _DAMAGED:
            raise StorageFailed(str(error.orig)) from error
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
        self.address = held.address
        super().__init__(
            f"Another process ({held.holder}) serves the database {path}. "
            "One server owns a file: stop that one, or name another file with --database."
        )


class DatabaseThere(DatabaseUnusable):
    exit_code = 73

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is {path} already, which no restore replaces. Stop the server, move what is "
            "there (the file, and those beside it that end in -wal and -shm) to a safe place, "
            "and restore then."
        )


class DatabaseForeign(DatabaseUnusable):
    exit_code = 65

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not a genre registry's database, and is left as it is. Name another file."
        )


class DatabaseIsFolder(DatabaseForeign):
    def __init__(self, path: Path) -> None:
        DatabaseUnusable.__init__(
            self,
            f"{path} is a folder, and no database. Name the file in it, as in "
            f"{path / 'registry.db'}",
        )


class DatabaseIsNoFile(DatabaseForeign):
    def __init__(self, path: Path) -> None:
        DatabaseUnusable.__init__(
            self, f"{path} is a pipe, a device or a socket, and no database. Name a file."
        )


def refuse_no_file(path: Path) -> None:
    """
    Refuse what is there, and no file, where a database is meant.

    Raises:
        DatabaseIsFolder, DatabaseIsNoFile: *path* is one.
    """
    if path.is_dir():
        raise DatabaseIsFolder(path)
    if path.exists() and not path.is_file():
        raise DatabaseIsNoFile(path)


class DatabaseMissing(DatabaseUnusable):
    exit_code = 66

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is no database {path}. genre-registry serve makes it; "
            "name another file with --database."
        )


class DatabaseVanished(DatabaseMissing):
    """Only its WAL is left; SQLite would remove that, and begin an empty registry."""

    def __init__(self, path: Path, wal: Path) -> None:
        DatabaseUnusable.__init__(
            self,
            f"The database {path} is gone: {wal.name}, with its latest changes, lies there alone. "
            f"Put {path.name} back beside it, or move {wal.name} to a safe place and restore a "
            f"backup: genre-registry restore BACKUP --database {path}",
        )


def refuse_wal_alone(path: Path) -> None:
    """
    Refuse to begin anew where a database was.

    Raises:
        DatabaseVanished: *path* is gone, and its WAL is not.
    """
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and not path.exists():
        raise DatabaseVanished(path, wal)


class DatabaseNewer(DatabaseUnusable):
    exit_code = 76

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"The database {path} was written by a newer genre-registry ({what}), and is left as "
            f"it is. Install that version or a later one.{_way_back(path)}"
        )


BEFORE = ".before-"
"""Between a database's name and the migration that a backup of it was taken before."""


def _way_back(path: Path) -> str:
    """Say which backup the upgrade took, and how to go back to it."""
    try:
        taken = sorted(path.parent.glob(glob.escape(path.name) + BEFORE + "*"))
    except OSError:
        return ""
    # Those of earlier upgrades were taken before migrations that this version has.
    later = [each for each in taken if each.name.removeprefix(path.name + BEFORE)[:4] > HEAD]
    if not later:
        return ""
    return (
        f" Or go back to {later[0]}, the backup that the upgrade took first, and lose what came "
        f"since: stop the server, move {path} and the files beside it that end in -wal and -shm "
        f"to a safe place, then genre-registry restore {later[0]} --database {path}"
    )


class DatabaseFailed(DatabaseUnusable):
    exit_code = 74

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(f"The database {path} can't be used: {_advice(error)}")


class DatabaseDamaged(DatabaseUnusable):
    exit_code = 70

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(
            f"The database {path} is damaged: {error}. Check the disk, move what is there to a "
            "safe place, then restore a backup: genre-registry restore BACKUP --database "
            f"{path}"
        )


class DatabaseDiskFull(DatabaseUnusable):
    exit_code = 72

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(
            f"The database {path} can't be used: the disk is full. Make room and start again."
        )
        self.__cause__ = error


class DatabaseReadOnly(DatabaseUnusable):
    """It can't be opened, or only to read."""

    exit_code = 77

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(f"The database {path} can't be used: {_advice(error)}")


def unusable(path: Path, error: BaseException) -> DatabaseUnusable:
    """Return what says that *error*, the driver's or the system's, keeps *path* from being used."""
    code, number = primary_code(error), getattr(error, "errno", None)
    if code == sqlite3.SQLITE_NOTADB:
        if _lost_its_first_page(path):
            return DatabaseDamaged(path, ValueError("its first page is overwritten"))
        return DatabaseForeign(path)
    if code == sqlite3.SQLITE_CORRUPT:
        return DatabaseDamaged(path, error)
    # SQLite says so of a WAL's index that finds no room.
    has_no_room = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE
    if has_no_room or code in _FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return DatabaseDiskFull(path, error)
    if code == sqlite3.SQLITE_CANTOPEN and (unread := _unread_changes(path)):
        return DatabaseReadOnly(path, ValueError(unread))
    if code in _CLOSED or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DatabaseReadOnly(path, error)
    return DatabaseFailed(path, error)


def _unread_changes(path: Path) -> str:
    """Say, of *path* that SQLite can't open, where changes of it are that it can't read."""
    wal = path.with_name(path.name + "-wal")
    with suppress(OSError):
        if path.stat().st_size and wal.stat().st_size:
            return (
                f"its latest changes are in {wal.name}, which can't be read by this user, or on a "
                f"read-only disk. Copy {path.name} and {wal.name} together to a folder where this "
                "user may write, and name the copy with --database"
            )
    return ""


def _lost_its_first_page(path: Path) -> bool:
    """
    Whether *path*, which does not begin as SQLite's files do, goes on as they do: in whole
    pages that each begin with the number of a kind, or with a small number.

    Source: https://sqlite.org/fileformat2.html#b_tree_pages
    """
    with suppress(OSError), path.open("rb") as file:
        pages, rest = divmod(path.stat().st_size, PAGE_BYTES)
        if pages < 2 or rest:
            return False
        for page in range(1, min(pages, PAGES_LOOKED_AT)):
            file.seek(page * PAGE_BYTES)
            if file.read(1)[0] not in _PAGE_KINDS:
                return False
        return True
    return False


def _advice(error: BaseException) -> str:
    code = primary_code(error)
    if code == sqlite3.SQLITE_IOERR:
        return f"{error}. Check the disk, then restore a backup."
    if code in _BUSY:
        return "another program holds a lock on it. Close that program and start again."
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}. See that this user may read and write there."
    if code in _CLOSED:
        return f"{error}. See that its folder exists and that this user may write there."
    return f"{error}."


@contextmanager
def at_the_desk(path: Path) -> Iterator[None]:
    """Turn the driver's and the system's errors into a `DatabaseUnusable` about *path*."""
    try:
        yield
    except DBAPIError as error:
        raise unusable(path, error.orig or error) from error
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error
