"""How a command of `genrectl` calls the registry, and how it ends."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:  # gRPC is loaded by the command that calls: processes that read tags import this
    from worker_client import GenreRegistryClient, RegistryError

EXIT_INCOMPLETE = 1
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4
EXIT_UNAVAILABLE = 5
EXIT_DEFECT = 6


@contextmanager
def calling(options: dict[str, Any]) -> "Iterator[GenreRegistryClient]":
    """Give a client; end the command, in words, if a call fails."""
    from worker_client import RASPBERRY_PI, Deadlines, GenreRegistryClient, RegistryError

    given_s = options["deadline_s"]
    deadlines = (
        RASPBERRY_PI
        if given_s is None
        else Deadlines(read_s=given_s, write_s=given_s, batch_s=given_s)
    )
    try:
        with GenreRegistryClient(options["target"], deadlines=deadlines) as registry:
            yield registry
    except RegistryError as error:
        refuse(str(error), exit_code(error))


def exit_code(error: "RegistryError") -> int:
    """Return the exit code that stands for *error*."""
    from worker_client import (
        DeadlineExceeded,
        GenreNotFound,
        InvalidRequest,
        RegistryUnavailable,
        StorageFull,
    )

    codes: Iterable[tuple[tuple[type[RegistryError], ...], int]] = (
        ((GenreNotFound,), EXIT_NOT_FOUND),
        ((InvalidRequest,), EXIT_REFUSED),
        ((RegistryUnavailable, DeadlineExceeded, StorageFull), EXIT_UNAVAILABLE),
    )
    return next((code for kinds, code in codes if isinstance(error, kinds)), EXIT_DEFECT)


def refuse(message: str, exit_code: int) -> NoReturn:
    """Say *message* on standard error and end the command."""
    click.echo(f"genrectl: {message}", err=True)
    sys.exit(exit_code)
