"""`genre-registry token`: who may call."""

from collections.abc import Mapping
from pathlib import Path

import click

from registry_server.authority import is_signed_by
from registry_server.commands.credentials import PEM_BYTES_MAX
from registry_server.commands.options import (
    EXIT_SETTINGS,
    database_options,
    refuse,
    settings_of,
    tokens_option,
)
from registry_server.files import content_of
from registry_server.settings import Settings
from registry_server.tokens import (
    ANY_CERTIFICATE,
    TokensUnusable,
    add_certificate,
    add_token,
    fingerprint_of,
    read_tokens,
    revoke_token,
)
from registry_server.vocabulary.callers import Role

EXIT_USAGE = 2


@click.group()
def token() -> None:
    """Make, list and revoke tokens; a running server follows within two seconds.

    Once there is a token file, every caller needs a token, on this machine too.
    """


@token.command()
@click.option("--name", required=True, help="The caller's; the journal of changes keeps it.")
@click.option(
    "--role",
    required=True,
    type=click.Choice([str(role) for role in Role]),
    help="What the caller may do; each may also do what those before it may.",
)
@click.option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Have this certificate stand for a token, and none that the caller had before.",
)
@click.option(
    "--any-certificate",
    is_flag=True,
    help="Have whatever certificate tls_client_ca signed for that name stand for a token.",
)
@tokens_option
@database_options
def new(
    settings_file: Path | None,
    name: str,
    role: str,
    certificate: Path | None,
    any_certificate: bool,
    **flags: object,
) -> None:
    """Make a token and print it, this once; or have a certificate stand for one."""
    if certificate is not None and any_certificate:
        raise click.UsageError(
            "--certificate lists one certificate, --any-certificate all of the name: give one "
            "of the two."
        )
    settings = _looked_at(settings_file, flags)
    is_first = not settings.tokens.exists()
    try:
        if certificate is not None or any_certificate:
            known = ANY_CERTIFICATE if certificate is None else _fingerprint(certificate)
            add_certificate(settings.tokens, name, Role.of(role), known)
            click.echo(
                f"{'A' if certificate is None else 'That'} certificate for {name} stands for "
                f"{Role.of(role).with_article}'s token now."
            )
            if certificate is not None:
                _warn_of_stranger(certificate, settings.tls_client_ca)
        else:
            click.echo(add_token(settings.tokens, name, Role.of(role)))
            _say_token(name, Role.of(role), settings.tokens)
    except ValueError as error:
        refuse(error, EXIT_USAGE)
    except TokensUnusable as error:
        refuse(error, EXIT_SETTINGS)
    if is_first:
        click.echo("From now on every caller needs a token, on this machine too.", err=True)


def _looked_at(settings_file: Path | None, flags: Mapping[str, object]) -> Settings:
    """Return the settings in force, once it is said which token file they name."""
    settings, _ = settings_of(settings_file, **flags)
    click.echo(f"token file: {settings.tokens}", err=True)
    return settings


def _say_token(name: str, role: Role, file: Path) -> None:
    click.echo(
        f"This is {name}'s token, {role.with_article}'s, and can't be shown again; {file} keeps "
        "only a hash. Callers send it as metadata, authorization: Bearer TOKEN; genrectl and the "
        "client take it from GENRE_REGISTRY_TOKEN, or the file GENRE_REGISTRY_TOKEN_FILE.",
        err=True,
    )


def _warn_of_stranger(certificate: Path, authority: Path | None) -> None:
    if authority is not None and not is_signed_by(authority, certificate):
        click.echo(
            f"WARNING: no authority in {authority} (tls_client_ca) signed {certificate}: a server "
            "with these settings ends every connection that shows it.",
            err=True,
        )


def _fingerprint(certificate: Path) -> str:
    """Return the hash of the first certificate in a file; raises ValueError if there is none."""
    try:
        return fingerprint_of(content_of(certificate, PEM_BYTES_MAX))
    except OSError as error:
        raise ValueError(f"{certificate}: can't be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{certificate}: holds no certificate in PEM") from None


@token.command("list")
@tokens_option
@database_options
def list_command(settings_file: Path | None, **flags: object) -> None:
    """List who may call: name, role, what is shown, and since when."""
    settings = _looked_at(settings_file, flags)
    try:
        entries = read_tokens(settings.tokens)
    except FileNotFoundError:
        click.echo(f"There is no {settings.tokens}: nobody has a token.", err=True)
        return
    except TokensUnusable as error:
        refuse(error, EXIT_SETTINGS)
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        click.echo(f"{entry.name:{width}}  {entry.role:8}  {entry.shows:11}  {entry.created}")
    if not entries:
        click.echo(f"{settings.tokens} holds no token: nobody may call by one.", err=True)


@token.command()
@click.argument("name")
@tokens_option
@database_options
def revoke(settings_file: Path | None, name: str, **flags: object) -> None:
    """Take NAME's token away, or no longer take NAME's certificate for one."""
    settings = _looked_at(settings_file, flags)
    try:
        revoke_token(settings.tokens, name)
    except ValueError as error:
        refuse(error, EXIT_USAGE)
    except TokensUnusable as error:
        refuse(error, EXIT_SETTINGS)
    click.echo(f"{name} may no longer call; a running server knows it within two seconds.")
