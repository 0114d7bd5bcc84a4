"""Owning a database file: one process, one writing connection, from its opening to its end."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from registry_server.store.engines import inspecting_engine, writing_engine
from registry_server.store.failures import (
    BEFORE,
    DatabaseDamaged,
    DatabaseDiskFull,
    DatabaseFailed,
    DatabaseHeld,
    DatabaseReadOnly,
    at_the_desk,
    refuse_no_file,
    refuse_wal_alone,
)
from registry_server.store.lock import Held, announce, exclusive_lock, lock_unwritten
from registry_server.store.migrating import check_ours, due, migrate
from registry_server.store.wal import unread_changes
from registry_server.vocabulary.backup import BackupDiskFull, BackupFailed
from registry_server.vocabulary.refusals import RegistryError

log = logging.getLogger(__name__)

_SECOND_NAME = (
    "it has a second name, a hard link, under which another server could write it too. "
    "Remove one of the names"
)


@contextmanager
def owned(path: Path) -> Iterator[Path]:
    """
    Own the database file *path* for as long as the block lasts; makes its folder. Gives the
    file's one real path: SQLite finds the WAL by name, and so does the lock.

    Raises:
        DatabaseHeld: another process owns it.
        DatabaseFailed: the folder or the lock can't be made.
    """
    with ExitStack() as stack:
        with at_the_desk(path):
            refuse_no_file(path)
            path = path.resolve()
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            try:
                stack.enter_context(exclusive_lock(path.with_name(path.name + ".lock")))
            except Held as held:
                raise DatabaseHeld(path, held) from held
            if path.exists() and path.stat().st_nlink > 1:
                raise DatabaseFailed(path, ValueError(_SECOND_NAME))
        yield path


@contextmanager
def held_still(path: Path) -> Iterator[Path]:
    """
    Own the database file *path*, to read it, for as long as the block lasts, also where nothing
    can be written, as on a disk that is mounted read-only. Gives its one real path.

    Raises:
        DatabaseHeld: another process owns it.
        DatabaseUnusable: the lock can't be looked at.
    """
    with ExitStack() as stack:
        try:
            real_path = stack.enter_context(owned(path))
        except DatabaseReadOnly:
            with at_the_desk(path):
                real_path = path.resolve()
                lock = real_path.with_name(real_path.name + ".lock")
                try:
                    stack.enter_context(lock_unwritten(lock))
                except Held as held:
                    raise DatabaseHeld(real_path, held) from held
        yield real_path


def say_where(database: Path, address: str) -> None:
    """Say beside *database*, which this process owns, that it is served at *address*."""
    path = database.resolve()
    scheme, is_socket, socket = address.partition("unix:")
    if is_socket:
        address = f"{scheme}unix:{Path(socket).absolute()}"
    with at_the_desk(path):
        announce(path.with_name(path.name + ".lock"), address)


def open_writer(path: Path) -> tuple[Connection, list[str]]:
    """
    Return the connection that writes *path*, and what bringing it up to date changed. What
    holds something is backed up before it is migrated, beside the file.

    The caller owns the file and calls `close_writer` in the end.

    Raises:
        DatabaseUnusable: it can't be opened or migrated.
    """
    with at_the_desk(path):
        refuse_wal_alone(path)
        had_wal = path.with_name(path.name + "-wal").exists()
        backed_up = _back_up_before(path, _due(path))
        connection = writing_engine(path).connect()
        try:
            lost = _unread(connection, path) if had_wal else []
            migrated = migrate(connection, path)
            if migrated:
                _sync_folder(path)
        except BaseException:
            connection.close()
            raise
        return connection, lost + backed_up + migrated


def _unread(connection: Connection, path: Path) -> list[str]:
    """Say in a line what SQLite left unread in the WAL that it found; nothing is written yet."""
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None
    try:
        moved = driver_connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error:
        return []  # the disk is full, say: whatever it is, it is met again
    unread = unread_changes(path, frames_read=max(0, moved[1]))
    return [f"WAL: {unread}"] if unread else []


def _due(path: Path) -> str:
    """
    Return the migration that is due, "" if none is. It looks before opening to write, which
    alone would turn another application's file to WAL.
    """
    if not path.exists():
        return ""
    engine = inspecting_engine(path)
    try:
        with engine.begin() as connection:
            check_ours(connection, path)
            return due(connection, path)
    finally:
        engine.dispose()


def _back_up_before(path: Path, migration: str) -> list[str]:
    """Copy *path* before *migration*, once, unless it is ""; say so in a line."""
    if not migration:
        return []
    from registry_server.store.backing_up import back_up, stands_at

    revision = stands_at(path).revision
    copy = path.with_name(f"{path.name}{BEFORE}{migration}.r{revision}")
    if copy.exists():
        return []
    try:
        back_up(path, copy)
    except BackupDiskFull as refusal:
        raise DatabaseDiskFull(path, refusal) from refusal
    except BackupFailed as refusal:
        raise DatabaseDamaged(path, refusal) from refusal
    except RegistryError as refusal:
        raise DatabaseFailed(path, refusal) from refusal
    return [f"backup before the migration: {copy}"]


def close_writer(connection: Connection) -> None:
    """Move what the WAL holds into the file and close; no reader may be open."""
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None
    try:
        # Past SQLAlchemy, which would begin a transaction around it.
        driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        log.warning("the WAL stays beside the database; the next start moves it: %s", error)
    finally:
        connection.close()


def _sync_folder(path: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
