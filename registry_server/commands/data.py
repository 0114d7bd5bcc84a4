"""The operator's commands that keep data safe: check, backup, restore."""

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import click

from registry_server.commands.options import (
    EXIT_SETTINGS,
    absolute,
    database_options,
    refuse,
    settings_of,
)
from registry_server.settings import Settings
from registry_server.store.checking import check as check_database
from registry_server.store.checking import refuse_unservable
from registry_server.store.failures import DatabaseHeld, DatabaseUnusable, at_the_desk
from registry_server.store.owning import held_still
from registry_server.vocabulary.backup import Backup
from registry_server.vocabulary.refusals import RegistryError, shown

EXIT_UNSOUND = 1
EXIT_NOT_ANSWERED = 69
EXIT_DAMAGED = 70
EXIT_DISK_FULL = 72
EXIT_TARGET = 73
EXIT_NOT_ALLOWED = 77

EXIT_CODES = {
    "BACKUP_TARGET_INVALID": EXIT_TARGET,
    "BACKUP_TARGET_TAKEN": EXIT_TARGET,
    "BACKUP_TARGET_IS_DATABASE": EXIT_TARGET,
    "BACKUP_TARGET_UNWRITABLE": EXIT_TARGET,
    "BACKUP_DISK_FULL": EXIT_DISK_FULL,
    "BACKUP_FAILED": EXIT_DAMAGED,
    "TOKEN_INVALID": EXIT_NOT_ALLOWED,
    "ROLE_TOO_LOW": EXIT_NOT_ALLOWED,
}
"""What a refusal's reason ends the command with; every other with `EXIT_NOT_ANSWERED`."""

_A_FILE = click.Path(path_type=Path)


@click.command()
@database_options
def check(settings_file: Path | None, **flags: object) -> None:
    """Look for damage and broken promises; changes nothing, and may run beside a server.

    Looks at rights, room and clock too, and times 50 fsyncs where the database is.
    """
    settings, _ = settings_of(settings_file, **flags)
    _check(settings)


@click.command()
@click.argument("target", type=_A_FILE)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="TARGET is a folder, made if missing; of the backups there, keep the newest N.",
)
@click.option(
    "--if-changed",
    is_flag=True,
    help="Make none if the newest one there is at the database's revision already.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Ask the server there, instead of the one that owns the database.",
)
@click.option("--token", envvar="GENRE_REGISTRY_TOKEN", hidden=True)
@click.option("--token-file", type=_A_FILE, envvar="GENRE_REGISTRY_TOKEN_FILE", metavar="FILE")
@click.option("--ca", type=_A_FILE, envvar="GENRE_REGISTRY_CA", metavar="FILE")
@click.option("--certificate", type=_A_FILE, envvar="GENRE_REGISTRY_CERTIFICATE", metavar="FILE")
@click.option("--key", type=_A_FILE, envvar="GENRE_REGISTRY_KEY", metavar="FILE")
@database_options
def backup(
    settings_file: Path | None,
    database: str | None,
    target: Path,
    keep: int | None,
    if_changed: bool,
    address: str | None,
    **credentials: Any,
) -> None:
    """Copy the registry to TARGET, verified, while everybody goes on.

    TARGET is a file that is not there yet, or a folder, in which each backup is named by the
    time in UTC and its revision. A server that owns the database makes the copy, as its own
    user; without one it is made directly.
    """
    settings, _ = settings_of(settings_file, database=database)
    _backup(settings.database, target, keep, if_changed, address, credentials)


@click.command()
@click.argument("source", metavar="BACKUP", type=_A_FILE)
@database_options
def restore(settings_file: Path | None, source: Path, **flags: object) -> None:
    """Make the database of BACKUP, once that is verified; replaces nothing."""
    settings, _ = settings_of(settings_file, **flags)
    _restore(settings.database, source)


# What serving does without is loaded by the command that needs it.


def _check(settings: Settings) -> None:
    from registry_server.store.surroundings import look_around

    path = settings.database
    click.echo(f"database: {path}")
    try:
        report = check_database(path)
        with at_the_desk(path):
            around = look_around(path, settings.tokens)
    except DatabaseUnusable as error:
        refuse(error, error.exit_code)
    for fact in (*report.facts, *around.facts):
        click.echo(fact)
    for concern in (*report.concerns, *around.concerns):
        _warn(concern)
    for fault in report.faults:
        click.echo(f"FAULT: {fault}", err=True)
    if report.faults:
        click.echo(
            "Stop the server, keep a copy of the file, and restore a backup "
            f"(genre-registry restore BACKUP --database {path}, once the file is moved away).",
            err=True,
        )
        sys.exit(EXIT_UNSOUND)
    click.echo("sound" if report.judged else "not judged")


def _backup(
    database: Path,
    target: Path,
    keep: int | None,
    if_changed: bool,
    address: str | None,
    credentials: dict[str, Any],
) -> None:
    from registry_server.store.backing_up import note_backup
    from registry_server.store.surroundings import on_one_disk

    click.echo(f"database: {database}")
    target = absolute(target, EXIT_TARGET)
    try:
        str(target).encode()
    except UnicodeEncodeError:
        why = f"The target {shown(str(target))} is not UTF-8, as SQLite and servers want a path."
        refuse(ValueError(why), EXIT_TARGET)
    try:
        if address is None:
            refuse_unservable(database)
        if keep is not None:
            _make_folder(target)
        if if_changed and (same := _unchanged_since(database, target)):
            note_backup(database.resolve())
            click.echo(f"unchanged since {same}; no backup was made")
            return
        if address is None:
            made = _directly(database, target, credentials)
        else:
            made = _by_server(address, target, credentials)
    except DatabaseUnusable as error:
        refuse(error, error.exit_code)
    except RegistryError as refusal:
        refuse(refusal, EXIT_CODES.get(refusal.reason, EXIT_NOT_ANSWERED))
    click.echo(f"backup: {made.path}, revision {made.revision}, {made.size_bytes} bytes, verified")
    made_at = Path(made.path)
    try:
        if keep is not None:
            _rotate(made_at, keep)
        same_disk = on_one_disk(database, made_at.parent)
    except OSError as error:
        _warn(f"{error.filename} can't be looked at by this user: {error.strerror}.")
        return
    if same_disk:
        _warn(
            "the backup is on the same disk or card as the database, and fails with it: name a "
            "folder on another one, such as a USB stick, or copy it to another machine."
        )


def _directly(database: Path, target: Path, credentials: dict[str, Any]) -> Backup:
    """Back up without a server, or by the one that owns the database after all."""
    from registry_server.store.backing_up import back_up, note_backup

    try:
        with held_still(database) as path:
            made = back_up(path, target)
            note_backup(path)
            return made
    except DatabaseHeld as held:
        if not held.address:
            raise
        return _by_server(held.address, target, credentials)


def _by_server(address: str, target: Path, given: dict[str, Any]) -> Backup:
    from registry_server.commands.credentials import CredentialsWrong, credentials_of

    try:
        credentials = credentials_of(**given)
    except CredentialsWrong as error:
        refuse(error, EXIT_SETTINGS)
    # What gRPC's core would print is said in words; it reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # What scripts without a server do without: gRPC's 21 MiB and its second on a Pi.
    from registry_server.commands.asking import ServerRefused, backup

    try:
        made = backup(address, target, credentials)
    except ServerRefused as refusal:
        refuse(refusal, EXIT_CODES.get(refusal.reason, EXIT_NOT_ANSWERED))
    return Backup(made.path, made.revision, made.incarnation, made.size_bytes)


def _make_folder(target: Path) -> None:
    try:
        target.mkdir(mode=0o750, parents=True, exist_ok=True)
    except FileExistsError:
        refuse(ValueError(f"--keep wants a folder, and {target} is a file."), EXIT_TARGET)
    except OSError as error:
        why = f"The folder {target} can't be made: {error.strerror}."
        refuse(ValueError(why), EXIT_TARGET)


def _unchanged_since(database: Path, target: Path) -> Path | None:
    """Return the newest backup at *target* if it is all that *database* holds."""
    from registry_server.store.backing_up import stands_at
    from registry_server.store.surroundings import backups_in

    try:
        backups = backups_in(target) if target.is_dir() else [target] if target.is_file() else []
    except OSError as error:
        refuse(ValueError(f"{target} can't be read: {error.strerror}."), EXIT_TARGET)
    if not backups:
        return None
    try:
        newest = stands_at(backups[-1])
    except sqlite3.Error:
        _warn(f"{backups[-1]} can't be read, and is no backup: remove it.")
        return None
    with at_the_desk(database):
        return backups[-1] if newest == stands_at(database.resolve()) else None


def _rotate(made: Path, keep: int) -> None:
    """Remove the oldest backups beside *made*, which stays whatever the clock says."""
    from registry_server.store.surroundings import backups_in

    others = [each for each in backups_in(made.parent) if each != made]
    for old in others[: max(0, len(others) - (keep - 1))]:
        try:
            old.unlink()
        except OSError as error:
            _warn(f"{old} can't be removed ({error.strerror}): remove it yourself.")
        else:
            click.echo(f"removed: {old}")


def _restore(database: Path, source: Path) -> None:
    from registry_server.store.bringing_back import bring_back

    click.echo(f"database: {database}")
    try:
        made = bring_back(source, database)
    except DatabaseUnusable as error:
        refuse(error, error.exit_code)
    except RegistryError as refusal:
        refuse(refusal, EXIT_CODES.get(refusal.reason, EXIT_NOT_ANSWERED))
    click.echo(
        f"restored from {source}: revision {made.revision}, {made.size_bytes} bytes, verified. "
        f"Its incarnation is {made.incarnation}, a new one: whoever kept a copy of the registry "
        "lists it again. Start the server now (genre-registry serve, or systemctl start "
        "genre-registry)."
    )


def _warn(concern: str) -> None:
    click.echo(f"WARNING: {concern}", err=True)
