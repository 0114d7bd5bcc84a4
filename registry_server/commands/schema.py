"""`genre-registry schema`: the contract, for tools that may not ask the server for it."""

import sys
from pathlib import Path

import click

from registry_server.commands.options import refuse

EXIT_NOT_WRITTEN = 73
"""Source: sysexits.h, EX_CANTCREAT."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def schema(file: Path | None) -> None:
    """Write the contract as a protoset to FILE, or to standard output.

    Use it as in: grpcurl -protoset FILE ...
    """
    from registry_server.transport.schema import protoset

    if file is None:
        if sys.stdout.isatty():
            raise click.UsageError("A protoset is nothing for a terminal; name a FILE.")
        sys.stdout.buffer.write(protoset())
        return
    try:
        file.write_bytes(protoset())
    except OSError as error:
        refuse(OSError(f"{file}: can't be written: {error.strerror}."), EXIT_NOT_WRITTEN)
    click.echo(f"{file}: the contract; for example: grpcurl -protoset {file} describe")
