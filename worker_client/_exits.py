"""How a command of `genrectl` calls the registry, and how it ends."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:  # gRPC is loaded by the command that calls: processes that read tags import this
    from worker_client import GenreRegistryClient, RegistryError

EXIT_INCOMPLETE = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4
EXIT_UNAVAILABLE = 5
EXIT_DEFECT = 6
EXIT_STALE = 7
EXIT_INPUT_WRONG = 8
EXIT_NOT_AUTHENTICATED = 9
EXIT_NOT_PERMITTED = 10
EXIT_STOPPED = 128
"""And the number of the signal."""


@contextmanager
def calling(options: dict[str, Any], *, remembers: bool = False) -> "Iterator[GenreRegistryClient]":
    """
    Give a client; end the command, in words, if a call fails.

    Args:
        remembers: Whether it keeps what it resolved, and a watch for that: for commands that
            ask for the same again and again.
    """
    from worker_client import RASPBERRY_PI, Deadlines, GenreRegistryClient, RegistryError
    from worker_client._cache import SIZE_DEFAULT

    given_s = options["deadline_s"]
    deadlines = (
        RASPBERRY_PI
        if given_s is None
        else Deadlines(read_s=given_s, write_s=given_s, batch_s=given_s, transfer_s=given_s)
    )
    try:
        with GenreRegistryClient(
            options["target"],
            token=options["token"],
            tls=options["tls"],
            deadlines=deadlines,
            cache_size=SIZE_DEFAULT if remembers else 0,
        ) as registry:
            yield registry
    except RegistryError as error:
        refuse(str(error), exit_code(error))


def exit_code(error: "RegistryError") -> int:
    """Return the exit code that stands for *error*."""
    from worker_client import (
        BackupRefused,
        CredentialsUnusable,
        CurationRefused,
        DeadlineExceeded,
        GenreNotFound,
        HistoryTrimmed,
        InvalidRequest,
        RegistryUnavailable,
        RevisionMismatch,
        RoleTooLow,
        StorageFull,
        TokenInvalid,
    )

    codes: Iterable[tuple[tuple[type[RegistryError], ...], int]] = (
        ((GenreNotFound,), EXIT_NOT_FOUND),
        ((InvalidRequest, CurationRefused, BackupRefused), EXIT_REFUSED),
        ((RegistryUnavailable, DeadlineExceeded, StorageFull), EXIT_UNAVAILABLE),
        ((RevisionMismatch, HistoryTrimmed), EXIT_STALE),
        ((TokenInvalid, CredentialsUnusable), EXIT_NOT_AUTHENTICATED),
        ((RoleTooLow,), EXIT_NOT_PERMITTED),
    )
    return next((code for kinds, code in codes if isinstance(error, kinds)), EXIT_DEFECT)


def must_answer(*, yes: bool) -> None:
    """End the command before it begins, if it will have to ask and nobody can answer."""
    if not yes and not sys.stdin.isatty():
        refuse("this asks before it changes anything, and needs a terminal or --yes", EXIT_USAGE)


def confirm(question: str, *, yes: bool) -> None:
    """Go on if *yes* was said, or is said now; else end the command."""
    must_answer(yes=yes)
    if not yes and not click.confirm(question, err=True):
        refuse("nothing was changed", EXIT_INCOMPLETE)


def refuse(message: str, exit_code: int) -> NoReturn:
    """Say *message* on standard error and end the command."""
    click.echo(f"genrectl: {message}", err=True)
    sys.exit(exit_code)
