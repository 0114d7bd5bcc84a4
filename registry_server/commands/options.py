"""What commands have in common: where settings come from, and how a refusal ends one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from registry_server.settings import Setting, Settings, SettingsError, read_settings

EXIT_SETTINGS = 78
"""A setting, a certificate or the token file is wrong. Source: sysexits.h, EX_CONFIG."""

Command = TypeVar("Command", bound=Callable[..., Any])


def refuse(error: Exception, exit_code: int) -> NoReturn:
    """Say what is wrong, in a line, and end."""
    click.echo(f"genre-registry: {error}", err=True)
    sys.exit(exit_code)


def settings_of(file: Path | None, **flags: object) -> tuple[Settings, list[Setting]]:
    """Return the settings in force and their sources; a wrong one ends the command."""
    try:
        return read_settings(file, os.environ, flags)
    except SettingsError as error:
        refuse(error, EXIT_SETTINGS)


def absolute(path: Path, exit_code: int) -> Path:
    """Return *path* from the root; one in a working directory that is gone ends the command."""
    try:
        return path.absolute()
    except FileNotFoundError:
        why = f"{path}: the working directory is gone. Go to another, or name the whole path."
        refuse(ValueError(why), exit_code)


def database_options(command: Command) -> Command:
    """Have *command* take `--settings` and `--database`."""
    for option in (
        click.option("--database", metavar="FILE", help="The SQLite file."),
        click.option(
            "--settings",
            "settings_file",
            metavar="FILE",
            envvar="GENRE_REGISTRY_SETTINGS",
            type=click.Path(path_type=Path),
            help="A TOML file of settings.",
        ),
    ):
        command = option(command)
    return command


def _or_none(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> object:
    """Return what a flag was given, time and again; None if it was not."""
    return values or None


tokens_option = click.option("--tokens", metavar="FILE", help="The token file.")

access_options = (
    click.option("--socket-mode", metavar="0660", help="The unix socket's file mode."),
    click.option(
        "--plaintext-network",
        "plaintext_networks",
        metavar="CIDR",
        multiple=True,
        callback=_or_none,
        help="A private network that may call without TLS, with a token; repeatable.",
    ),
    click.option("--tls-client-ca", metavar="FILE", help="The authority of callers."),
    click.option("--tls-key", metavar="FILE", help="The certificate's key."),
    click.option("--tls-certificate", metavar="FILE", help="The server's certificate."),
    tokens_option,
)
"""Who may call a server, as flags."""
