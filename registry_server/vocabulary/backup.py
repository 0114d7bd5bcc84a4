"""Backups as values, and what a backup is refused for."""

from dataclasses import dataclass
from typing import NamedTuple

from registry_server.vocabulary.refusals import InvalidRequest, RegistryError, shown

NOTE_END = ".backed-up"
"""What the file's name ends in, beside the database, whose time is that of the last backup."""


class Stands(NamedTuple):
    """Which registry a database holds, and where that stands."""

    incarnation: str
    revision: int


@dataclass(frozen=True, slots=True)
class Backup:
    """
    A backup that was verified.

    Attributes:
        path: Where it is, on the server's machine.
        revision: The last change that it holds.
        incarnation: The registry that it is of.
        size_bytes: The file's length.
    """

    path: str
    revision: int
    incarnation: str
    size_bytes: int


class BackupTargetInvalid(InvalidRequest):
    reason = "BACKUP_TARGET_INVALID"

    def __init__(self, target: str) -> None:
        super().__init__(
            f"The target {shown(target)} is no absolute path on the server's machine.",
            field="target",
        )


class BackupTargetTaken(RegistryError):
    """There is something already, which no backup replaces."""

    reason = "BACKUP_TARGET_TAKEN"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{shown(path)} exists already, and no backup replaces a file. Name another, or a "
            "folder, in which every backup has a name of its own.",
            path=path,
        )


class BackupTargetIsDatabase(RegistryError):
    """The target is the database itself, or what SQLite keeps beside it."""

    reason = "BACKUP_TARGET_IS_DATABASE"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{shown(path)} belongs to the database itself. Name a file elsewhere, best on "
            "another disk.",
            path=path,
        )


class BackupTargetUnwritable(RegistryError):
    """The server's user can't write there."""

    reason = "BACKUP_TARGET_UNWRITABLE"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"No backup can be written to {shown(path)}: {why}. See that the folder exists and "
            "that the user who runs the server may write there; under systemd its unit has to "
            "allow it too (ReadWritePaths=).",
            path=path,
        )


class BackupDiskFull(RegistryError):
    """The disk of the target is full; the registry's own may have room."""

    reason = "BACKUP_DISK_FULL"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The disk that {shown(path)} is to be on is full; no backup was made. Make room, or "
            "name a folder on another disk.",
            path=path,
        )


class BackupFailed(RegistryError):
    """What was written is not what the registry holds."""

    reason = "BACKUP_FAILED"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"No sound backup could be made at {shown(path)}: {why}. Look with genre-registry "
            "check whether the database is sound, and try another disk.",
            path=path,
        )


class BackupStopped(RegistryError):
    """The caller left, or the server stopped, before it was done."""

    reason = "BACKUP_STOPPED"

    def __init__(self) -> None:
        super().__init__("The backup was stopped before it was done; nothing was left of it.")
