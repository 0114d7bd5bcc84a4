"""`genre-registry tls`: certificates for a home network."""

from collections.abc import Sequence
from pathlib import Path

import click

from registry_server.authority import DAYS_DEFAULT, Authority, AuthorityError
from registry_server.commands.options import (
    Command,
    absolute,
    database_options,
    refuse,
    settings_of,
)

EXIT_NOT_WRITTEN = 73
"""Source: sysexits.h, EX_CANTCREAT."""


@click.group()
def tls() -> None:
    """Make certificates for a home network, signed by an authority of its own."""


def _folder_options(command: Command) -> Command:
    for option in (
        click.option(
            "--days",
            type=click.IntRange(1, 36500),
            default=DAYS_DEFAULT,
            show_default=True,
            help="How long the certificates hold.",
        ),
        click.option(
            "--directory",
            metavar="FOLDER",
            type=click.Path(path_type=Path),
            help="Where the certificates are; tls beside the database by default.",
        ),
    ):
        command = option(command)
    return database_options(command)


def _authority(settings_file: Path | None, directory: Path | None, flags: object) -> Authority:
    """Return the authority that was named, or that of the database, once it is said where."""
    if directory is None:
        assert isinstance(flags, dict)
        directory = settings_of(settings_file, **flags)[0].database.with_name("tls")
    directory = absolute(directory, EXIT_NOT_WRITTEN)
    click.echo(f"certificates: {directory}", err=True)
    return Authority(directory)


_hosts = click.option(
    "--host",
    "hosts",
    metavar="NAME-OR-IP",
    multiple=True,
    required=True,
    help="What callers call this machine: raspberrypi.local, 192.168.1.20; repeatable.",
)


@tls.command()
@_hosts
@click.option(
    "--client",
    "clients",
    metavar="NAME",
    multiple=True,
    help="A caller to make a certificate for; repeatable.",
)
@_folder_options
def init(
    settings_file: Path | None,
    hosts: tuple[str, ...],
    clients: tuple[str, ...],
    directory: Path | None,
    days: int,
    **flags: object,
) -> None:
    """Make a private authority, and the server's certificate."""
    authority = _authority(settings_file, directory, flags)
    try:
        authority.make(hosts, clients, days=days)
    except AuthorityError as error:
        refuse(error, EXIT_NOT_WRITTEN)
    click.echo(f"{authority.certificate}: give this to callers (GENRE_REGISTRY_CA).")
    _say_server(authority, days)
    if clients:
        _say_clients(authority, clients)


@tls.command()
@_hosts
@_folder_options
def server(
    settings_file: Path | None,
    hosts: tuple[str, ...],
    directory: Path | None,
    days: int,
    **flags: object,
) -> None:
    """Make the server's certificate anew; a running server takes it up by itself."""
    authority = _authority(settings_file, directory, flags)
    try:
        authority.sign_server(hosts, days=days)
    except AuthorityError as error:
        refuse(error, EXIT_NOT_WRITTEN)
    _say_server(authority, days)


@tls.command()
@click.argument("name")
@_folder_options
def client(
    settings_file: Path | None, name: str, directory: Path | None, days: int, **flags: object
) -> None:
    """Make a certificate for the caller NAME, to stand for a token."""
    authority = _authority(settings_file, directory, flags)
    try:
        authority.sign_client(name, days=days)
    except AuthorityError as error:
        refuse(error, EXIT_NOT_WRITTEN)
    _say_clients(authority, [name])


def _say_server(authority: Authority, days: int) -> None:
    certificate, key = authority.server
    click.echo(f"The server's certificate holds for {days} days. Put this into the settings file:")
    click.echo(f'tls_certificate = "{certificate}"\ntls_key = "{key}"')


def _say_clients(authority: Authority, names: Sequence[str]) -> None:
    for name in names:
        certificate, key = authority.client(name)
        click.echo(
            f"{certificate}, {key}: give these to {name} alone (GENRE_REGISTRY_CERTIFICATE, "
            "GENRE_REGISTRY_KEY)."
        )
    click.echo("To take it in place of a token, where it was given out before too:")
    for name in names:
        certificate, _ = authority.client(name)
        click.echo(
            f"genre-registry token new --name {name} --role worker --certificate {certificate}"
        )
    click.echo("Put this into the settings file, and every connection needs a certificate:")
    click.echo(f'tls_client_ca = "{authority.certificate}"')
