"""How a command is told which genre is meant: by id, or by any spelling of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker_client._values import Genre
from worker_client.commands.completing import matching_names

if TYPE_CHECKING:  # gRPC is loaded by the command that calls
    from worker_client import GenreRegistryClient

Command = TypeVar("Command", bound=Callable[..., Any])

ID_MAX = (1 << 63) - 1
NAME_PREFIX = "name:"
"""Before a spelling that would pass for an id: `name:1980`."""


@dataclass(frozen=True, slots=True)
class Named:
    """What was given for a genre: an id, or else a spelling."""

    id: int
    spelling: str

    def __str__(self) -> str:
        return str(self.id or self.spelling)


def genre_argument(name: str = "genre", **more: Any) -> Callable[[Command], Command]:
    """Return what gives a command the argument *name*: a GENRE."""
    return click.argument(name, type=_named, shell_complete=matching_names, **more)


def genre_option(*names: str, **more: Any) -> Callable[[Command], Command]:
    """Return what gives a command the option *names*, which takes a GENRE."""
    return click.option(*names, type=_named, metavar="GENRE", shell_complete=matching_names, **more)


def find(registry: "GenreRegistryClient", named: Named) -> Genre:
    """
    Return the genre that is meant, also a deleted one, whichever way it was named.

    Says on standard error whither an id was merged.
    """
    if named.id:
        genre = registry.get_genre(named.id)
        if genre.redirected_from_id:
            click.echo(f"genrectl: {named.id} was merged into {genre.id}, {genre.name!r}", err=True)
        return genre
    from worker_client import SpellingBlocked

    try:
        return registry.lookup_genre(named.spelling)
    except SpellingBlocked as blocked:
        deleted_id = blocked.metadata.get("genre_id")
        if deleted_id is None:
            raise
        return registry.get_genre(int(deleted_id))


def id_of(registry: "GenreRegistryClient", named: Named) -> int:
    """Return the very id that was given, also one that was merged, or that of the spelling."""
    return named.id or find(registry, named).id


def _named(given: str) -> Named:
    """Read a GENRE: all digits are an id, all else is a spelling, perhaps after `name:`."""
    if not re.fullmatch("[0-9]+", given):
        return Named(0, given.removeprefix(NAME_PREFIX))
    if not 1 <= int(given[:20]) <= ID_MAX:
        raise click.BadParameter(f"{given} is no id; a genre named so is {NAME_PREFIX}{given}.")
    return Named(int(given), "")
