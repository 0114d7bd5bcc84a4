"""Making a database of a backup: the same registry as of then, under a new incarnation."""

import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

from registry_server.store.backing_up import back_up
from registry_server.store.checking import check
from registry_server.store.failures import DatabaseDamaged, DatabaseThere, at_the_desk
from registry_server.store.owning import owned
from registry_server.vocabulary.backup import Backup

LEFT_BEHIND = ("", "-wal", "-shm", "-journal")
"""What must not be there: SQLite would take a WAL for the new file's own."""


def bring_back(backup: Path, database: Path) -> Backup:
    """
    Verify *backup* and copy it to *database*, where nothing may be yet.

    The copy gets an incarnation of its own, so that nobody who followed the registry beyond
    the backup takes its revisions for those they know. Revisions and journal stay as they are.

    Raises:
        DatabaseHeld: a server owns the database.
        DatabaseThere: there is one already, or a part of one.
        DatabaseUnusable: the backup is missing, damaged, newer or no registry's.
        RegistryError: it could not be written; nothing was left.
    """
    with at_the_desk(backup):
        report = check(backup)
        if report.faults:
            raise DatabaseDamaged(backup, ValueError(report.faults[0]))
        if not report.has_registry:
            raise DatabaseDamaged(backup, ValueError("it is empty"))
    with owned(database) as path:
        for end in LEFT_BEHIND:
            if os.path.lexists(there := path.with_name(path.name + end)):
                raise DatabaseThere(there)
        made = back_up(backup.resolve(), path, prepare=_give_incarnation)
        _give_to_owner_of_folder(path)
    return made


def _give_incarnation(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE registry SET incarnation = ?", (secrets.token_hex(8),))


def _give_to_owner_of_folder(path: Path) -> None:
    """Root restores what another user serves."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        with suppress(OSError):  # a file system without owners
            os.chown(path, folder.st_uid, folder.st_gid)
