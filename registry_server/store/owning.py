"""Owning a database file: one process, one writing connection, from its opening to its end."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from registry_server.store.engines import inspecting_engine, writing_engine
from registry_server.store.failures import DatabaseFailed, DatabaseHeld, at_the_desk
from registry_server.store.lock import Held, exclusive_lock
from registry_server.store.migrating import check_ours, migrate

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
            path = path.resolve()
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            try:
                stack.enter_context(exclusive_lock(path.with_name(path.name + ".lock")))
            except Held as held:
                raise DatabaseHeld(path, held) from held
            if path.exists() and path.stat().st_nlink > 1:
                raise DatabaseFailed(path, ValueError(_SECOND_NAME))
        yield path


def open_writer(path: Path) -> tuple[Connection, list[str]]:
    """
    Return the connection that writes *path*, and what bringing it up to date changed.

    The caller owns the file and calls `close_writer` in the end.

    Raises:
        DatabaseUnusable: it can't be opened or migrated.
    """
    with at_the_desk(path):
        _refuse_foreign(path)
        connection = writing_engine(path).connect()
        try:
            migrated = migrate(connection, path)
            if migrated:
                _sync_folder(path)
        except BaseException:
            connection.close()
            raise
        return connection, migrated


def _refuse_foreign(path: Path) -> None:
    """Look before opening to write, which alone would turn another application's file to WAL."""
    if path.exists():
        engine = inspecting_engine(path)
        with engine.begin() as connection:
            check_ours(connection, path)
        engine.dispose()


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
