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
