"""Which registry `genrectl` calls, and what it shows there: the token and certificates."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from worker_client._config import TARGET_DEFAULT
from worker_client._credentials import Credentials
from worker_client._tls import Tls

TOKEN_VARIABLE = "GENRE_REGISTRY_TOKEN"
FILES = {
    "token_file": ("--token-file", "GENRE_REGISTRY_TOKEN_FILE", "Holds the token to call with."),
    "ca": (
        "--ca",
        "GENRE_REGISTRY_CA",
        "Speak TLS; the certificate of the authority that signed the registry's.",
    ),
    "certificate": (
        "--certificate",
        "GENRE_REGISTRY_CERTIFICATE",
        "Your own, where the registry asks for one.",
    ),
    "key": ("--key", "GENRE_REGISTRY_KEY", "The private key of --certificate."),
}

Command = TypeVar("Command", bound=Callable[..., Any])


def connection_options(command: Command) -> Command:
    """Give *command* the options that say which registry, and what it is shown."""
    for name, (flag, variable, told) in reversed(FILES.items()):
        command = click.option(
            flag,
            name,
            envvar=variable,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help=f"{told}  [env: {variable}]",
        )(command)
    return click.option(
        "--target",
        envvar="GENRECTL_TARGET",
        default=TARGET_DEFAULT,
        show_default=True,
        metavar="HOST:PORT|unix:PATH",
        help="The registry to call.",
    )(command)


def token_and_tls(context: click.Context) -> dict[str, Any]:
    """
    Return what the command line and the environment say of *context*, for a client.

    A token itself comes from the environment alone: on a command line everyone on the machine
    could read it.

    Raises:
        click.UsageError: the files do not go together, or the token is none.
    """
    given = context.params
    token: str | Path | None = given["token_file"]
    is_said = context.get_parameter_source("token_file") is click.core.ParameterSource.COMMANDLINE
    if not is_said:
        token = os.environ.get(TOKEN_VARIABLE, "").strip() or token
    ca, certificate, key = given["ca"], given["certificate"], given["key"]
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together: give both or neither.")
    if ca is None and certificate is not None:
        raise click.UsageError("--certificate is for TLS, which wants --ca too.")
    try:
        Credentials(token, None)
    except ValueError as error:
        raise click.UsageError(f"{TOKEN_VARIABLE}: {error}") from None
    return {"token": token, "tls": None if ca is None else Tls(ca, certificate, key)}
