"""
Copying a database while it is written to: a verified file under the target's name, or nothing.

The copy is made by `VACUUM INTO` from a connection that only reads: one snapshot, beside which
writers go on, and a file that needs no WAL beside it. (SQLite's backup interface would begin
anew with every commit in between.) It is written under another name, forced to the disk, read
again from there, and only then given its own.

Source: https://sqlite.org/lang_vacuum.html#vacuum_into
"""

import errno
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event

from registry_server.store import schema
from registry_server.store.engines import reading_mode, uri_of
from registry_server.store.failures import primary_code
from registry_server.vocabulary.backup import (
    NOTE_END,
    Backup,
    BackupDiskFull,
    BackupFailed,
    BackupStopped,
    BackupTargetIsDatabase,
    BackupTargetTaken,
    BackupTargetUnwritable,
    Stands,
)

BESIDE = ("", "-wal", "-shm", "-journal", ".lock", NOTE_END)
"""The database's own files, by what their names end in."""
STEPS_BETWEEN_LOOKS = 20_000
"""After how many steps of SQLite's machine it is asked whether to go on: some milliseconds."""
_PART = ".genre-registry-{}.part"

Prepare = Callable[[sqlite3.Connection], None]


def back_up(
    database: Path,
    target: Path,
    *,
    is_served: bool = False,
    stopped: Event | None = None,
    prepare: Prepare | None = None,
) -> Backup:
    """
    Copy *database*, which this process owns, to *target*, verified and durable.

    Args:
        target: A file that is not there yet; or a folder, in which the copy is named by the
            time, in UTC, and its revision.
        is_served: Whether somebody may write to *database* meanwhile: this process.
        stopped: Ends it early, leaving nothing.
        prepare: Changes the copy, in one transaction, before it is verified.

    Raises:
        BackupTargetTaken, BackupTargetIsDatabase, BackupTargetUnwritable, BackupDiskFull,
        BackupFailed, BackupStopped: there is no backup; nothing is left under its name.
    """
    with _told_of(target):
        is_folder = target.is_dir()
        folder = target if is_folder else target.parent
        if not is_folder:
            _refuse_taken(database, target)
    with _told_of(target), _part_in(folder, database) as part:
        with _reading(database, stopped, is_served=is_served) as source:
            seen = _stamp(database)
            before = stands(source)
            # The driver begins nothing by itself; VACUUM takes its own snapshot.
            source.execute("VACUUM INTO ?", (str(part),))
            after = stands(source)
        if not is_served and _stamp(database) != seen:
            # By another user, where this one could not take the lock.
            raise BackupFailed(str(target), "somebody wrote to the database meanwhile")
        if not _is_of(stands_at(part), before, after):
            raise BackupFailed(str(target), "it is not of the registry that was copied")
        if prepare is not None:
            _change(part, prepare)
        _sync(part)
        with _reading(part, stopped) as copy:
            _verify(target, copy)
            copied = stands(copy)
        if is_folder:
            target = folder / name_of(copied)
        size_bytes = part.stat().st_size
        _give_name(part, target)
        _sync(folder)
    return Backup(str(target), copied.revision, copied.incarnation, size_bytes)


def note_backup(database: Path) -> None:
    """
    Keep, beside *database*, that there is at this moment a verified backup of all it holds: for
    metrics, and longer than the server runs. Where nothing can be written, nothing is kept.
    """
    note = database.with_name(database.name + NOTE_END)
    new = note.with_name(f".{note.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        # In the place of what may be another user's.
        new.touch(mode=0o640)
        new.replace(note)


def name_of(copied: Stands) -> str:
    """Return the name of a backup in a folder of backups; names ascend with time."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"registry-{now}-r{copied.revision}.db"


def stands(connection: sqlite3.Connection) -> Stands:
    """Return which registry it is and where it stands; nothing of one that never began."""
    has_it = "SELECT 1 FROM sqlite_schema WHERE name = 'registry'"
    if connection.execute(has_it).fetchone() is None:
        return Stands("", 0)
    row = connection.execute("SELECT incarnation, revision FROM registry").fetchone()
    return Stands("", 0) if row is None else Stands(*row)


def stands_at(path: Path) -> Stands:
    """
    Return which registry the database *path* holds, and where that stands.

    Raises:
        sqlite3.Error: it can't be read.
    """
    with _reading(path) as connection:
        return stands(connection)


def newest_change_us(path: Path) -> int:
    """Return when the newest change of the database *path* was made; 0 if there is none."""
    with _reading(path) as connection:
        newest = "SELECT time_us FROM change ORDER BY revision DESC LIMIT 1"
        row = connection.execute(newest).fetchone()
    return 0 if row is None else int(row[0])


def _is_of(copied: Stands, before: Stands, after: Stands) -> bool:
    """Whether *copied* is a moment between two."""
    if before.incarnation != after.incarnation:
        # An import into an empty registry made it another one meanwhile.
        return copied.incarnation in (before.incarnation, after.incarnation)
    if copied.incarnation != before.incarnation:
        return False
    return before.revision <= copied.revision <= after.revision


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when the file does."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_taken(database: Path, target: Path) -> None:
    own = [database.with_name(database.name + end) for end in BESIDE]
    # Unlike a path's own way it takes links that lead in circles for what they are.
    if os.path.realpath(target) in map(os.path.realpath, own):
        raise BackupTargetIsDatabase(str(target))
    if os.path.lexists(target):
        raise BackupTargetTaken(str(target))


@contextmanager
def _part_in(folder: Path, database: Path) -> Iterator[Path]:
    """
    Give an empty file in *folder*, removed in the end; what killed processes left there
    goes too.
    """
    for left in folder.glob(_PART.format("*")):
        _remove_dead(left)
    part = folder / _PART.format(secrets.token_hex(6))
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # It says that somebody is at work on it; SQLite's own locks are of another kind.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(OSError):  # USB sticks know no modes
            os.fchmod(descriptor, 0o600 | (database.stat().st_mode & 0o060))
        yield part
    finally:
        os.close(descriptor)
        _remove(part)


def _remove(part: Path) -> None:
    # The journal first: without its part nobody would look for it.
    part.with_name(part.name + "-journal").unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _remove_dead(left: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(left, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(left)
        finally:
            os.close(descriptor)


@contextmanager
def _reading(
    path: Path, stopped: Event | None = None, *, is_served: bool = False
) -> Iterator[sqlite3.Connection]:
    """Give a connection that changes nothing of *path*, and asks *stopped* now and then."""
    mode = "ro" if is_served else reading_mode(path)
    connecting = sqlite3.connect(uri_of(path, mode), uri=True, isolation_level=None)
    with closing(connecting) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA mmap_size = 0")
        if stopped is not None:
            connection.set_progress_handler(stopped.is_set, STEPS_BETWEEN_LOOKS)
        yield connection


def _change(part: Path, prepare: Prepare) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        prepare(connection)
        connection.execute("COMMIT")


def _verify(target: Path, copy: sqlite3.Connection) -> None:
    if copy.execute("PRAGMA application_id").fetchone() != (schema.APPLICATION_ID,):
        raise BackupFailed(str(target), "the copy is no genre registry's database")
    if copy.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        raise BackupFailed(str(target), "the copy is damaged")
    if copy.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise BackupFailed(str(target), "rows of the copy point to nothing")


def _sync(path: Path) -> None:
    """Have *path*, a file or a folder, on the disk, and what is read of it come from there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _give_name(part: Path, target: Path) -> None:
    """Name *part*, replacing nothing."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise BackupTargetTaken(str(target)) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without links, as on a USB stick.
        if os.path.lexists(target):
            raise BackupTargetTaken(str(target)) from None
        part.rename(target)


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """Turn the driver's and the system's errors into refusals."""
    try:
        yield
    except sqlite3.Error as error:
        code = primary_code(error)
        if code == sqlite3.SQLITE_INTERRUPT:
            raise BackupStopped from error
        if code == sqlite3.SQLITE_FULL:
            raise BackupDiskFull(str(target)) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise BackupFailed(str(target), "what was read is damaged") from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise BackupTargetUnwritable(str(target), "it can't be opened") from error
        raise BackupFailed(str(target), "reading or writing failed") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BackupDiskFull(str(target)) from error
        if error.errno == errno.EIO:
            raise BackupFailed(str(target), "the disk failed") from error
        why = (error.strerror or "it can't be written").lower()
        raise BackupTargetUnwritable(str(target), why) from error
