"""`genre-registry`: the operator's command line."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NoReturn, TextIO

import click

from registry_server.commands import data
from registry_server.commands.options import (
    EXIT_SETTINGS,
    Command,
    access_options,
    database_options,
    refuse,
    settings_of,
)
from registry_server.commands.schema import schema
from registry_server.commands.tls import tls
from registry_server.commands.tokens import token
from registry_server.descriptors import keep_one_arena
from registry_server.logs import DRAINED_S_MAX, PatientHandler, set_up_logging
from registry_server.packs.reading import knowledge_of, pack_of
from registry_server.settings import SettingsError
from registry_server.store.checking import imported_packs
from registry_server.store.failures import DatabaseUnusable
from registry_server.store.owning import close_writer, open_writer, owned

EXIT_ADDRESS_TAKEN = 71
EXIT_STORAGE_FAILED = 74

_pack_options = (
    click.option("--placeholders", metavar="TEXT,TEXT", help="Texts that stand for no genre."),
    click.option("--packs-off", metavar="PACK,PACK", help="Reference packs to leave out."),
)


def _serve_options(command: Command) -> Command:
    for option in (
        *_pack_options,
        click.option("--log-level", metavar="info|debug", help="debug: a line for every call."),
        click.option("--metrics", metavar="HOST:PORT", help="Serve metrics here, on loopback."),
        click.option("--shutdown-grace-s", type=float, metavar="S", help="For calls under way."),
        click.option("--watch-heartbeat-s", type=float, metavar="S", help="For idle watchers."),
        click.option("--history-kept", type=int, metavar="N", help="Changes kept to watch."),
        *access_options,
        click.option("--listen", metavar="HOST:PORT|unix:PATH", help="Where to listen."),
    ):
        command = option(command)
    return database_options(command)


@click.group()
@click.version_option(package_name="genre-registry")
def main() -> None:
    """Run and look after a genre registry.

    \b
    Exit codes:
       0  all is well
       1  check found a fault
       2  the command line is wrong
      65  the file is not a genre registry's database
      66  there is no database
      69  the server that owns the database does not answer
      70  the database, or a backup, is damaged
      71  another server has the address
      72  the disk is full
      73  what is to be written is there already, or can't be written there
      74  the storage failed, or the database can't be used
      75  another process serves the database
      76  a newer version wrote the database
      77  this user may not read or write the database, or not call
      78  a setting is wrong
    """


@main.command("serve")
@_serve_options
def serve_command(settings_file: Path | None, **flags: object) -> None:
    """Serve until SIGTERM; migrations run first."""
    settings, found = settings_of(settings_file, **flags)
    [tokens] = [setting for setting in found if setting.name == "tokens"]
    if tokens.source != "default" and not settings.tokens.exists():
        # Whoever names a token file means that callers need tokens.
        refuse(
            SettingsError(
                f"{tokens.source}: tokens: there is no {settings.tokens}; the first token makes "
                "it: genre-registry token new."
            ),
            EXIT_SETTINGS,
        )
    # What gRPC's core would print is said in words; it reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from registry_server.app import AddressTaken, StorageGone, serve

    keep_one_arena()
    logs = set_up_logging(_output(), level=settings.log_level)
    try:
        asyncio.new_event_loop().run_until_complete(serve(settings))
    except DatabaseUnusable as error:
        click.echo(f"genre-registry: {error}", err=True)
        # As below: it may have been found damaged while it was served.
        _leave(error.exit_code, logs)
    except SettingsError as error:
        refuse(error, EXIT_SETTINGS)
    except AddressTaken as error:
        refuse(error, EXIT_ADDRESS_TAKEN)
    except StorageGone:
        click.echo(
            f"genre-registry: the storage of {settings.database} failed; the log "
            "says how. Stopped, so that a fresh start reads what the disk really holds.",
            err=True,
        )
        # No closing of the database, which would write from memory that can't be trusted.
        _leave(EXIT_STORAGE_FAILED, logs)
    _leave(0, logs)


def _output() -> TextIO:
    """Return standard output, to which any character can be written."""
    # JSON is UTF-8, whatever the environment says; a terminal keeps its own encoding.
    encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
    descriptor = sys.stdout.fileno()
    return open(descriptor, "w", encoding=encoding, errors="backslashreplace", closefd=False)


def _leave(exit_code: int, logs: PatientHandler) -> NoReturn:
    """End the process as it is, its connections with it, which callers take for "try again"."""
    # If it can't be drained, nobody takes the output, and to flush it would never end.
    if logs.drain(DRAINED_S_MAX):
        sys.stdout.flush()
    os._exit(exit_code)


@main.command()
@database_options
def migrate(settings_file: Path | None, **flags: object) -> None:
    """Bring the database to this version; serve does it too.

    Looks for no damage where nothing is due, which would read the whole file: check does.
    """
    settings, _ = settings_of(settings_file, **flags)
    click.echo(f"database: {settings.database}")
    try:
        with owned(settings.database) as path:
            writer, done = open_writer(path)
            close_writer(writer)
    except DatabaseUnusable as error:
        refuse(error, error.exit_code)
    click.echo("\n".join(done) or "nothing was due; genre-registry check looks for damage")


@main.command("settings")
@_serve_options
def settings_command(settings_file: Path | None, **flags: object) -> None:
    """Print the settings in force, and where each came from."""
    _, found = settings_of(settings_file, **flags)
    width = max(len(setting.name) for setting in found)
    for setting in found:
        value = setting.value
        shown = ", ".join(value) if isinstance(value, tuple) else value
        shown = "none" if shown in (None, "") else shown
        click.echo(f"{setting.name:{width}}  {shown}  ({setting.source})")


@main.command()
@_serve_options
def packs(settings_file: Path | None, **flags: object) -> None:
    """List the reference packs: version, genres, licence, source, and whether in force."""
    settings, _ = settings_of(settings_file, **flags)
    click.echo(f"database: {settings.database}", err=True)
    try:
        imported = [pack_of(name, text) for name, text in imported_packs(settings.database).items()]
    except DatabaseUnusable as error:
        refuse(error, error.exit_code)
    knowledge = knowledge_of(imported, off=(), placeholders=())
    for pack in knowledge.packs:
        note = "off" if pack.name in settings.packs_off else "on"
        click.echo(f"{pack.name:13} {note:4} {pack.version}  {len(pack.entries):5} genres")
        click.echo(f"{'':13} {pack.title}; {pack.licence}; {pack.source}")
    for conflict in knowledge.conflicts:
        click.echo(f"not followed: {conflict}")


for command in (data.check, data.backup, data.restore, token, tls, schema):
    main.add_command(command)

if __name__ == "__main__":
    main()
