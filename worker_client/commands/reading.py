"""`genrectl show` and `genrectl search`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from worker_client._exits import calling
from worker_client._tables import plain, printable
from worker_client._values import Genre
from worker_client.commands.naming import Named, find, genre_argument
from worker_client.commands.printing import Options, card, say_genre, say_rows

if TYPE_CHECKING:  # gRPC is loaded by the command that calls
    from worker_client import GenreRegistryClient

BATCH_MAX = 1000
"""Ids of one call."""


@click.command()
@genre_argument()
@click.pass_obj
def show(options: Options, genre: Named) -> None:
    """Print all that is known of GENRE, also of a deleted one."""
    with calling(options) as registry:
        found = find(registry, genre)
        parents = genres_of(registry, found.parent_ids)
    if options["as_json"]:
        say_genre(options, found, redirected_from_id=found.redirected_from_id)
        return
    for line in card(found, {each: genre.name for each, genre in parents.items()}):
        click.echo(line)


@click.command()
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.pass_obj
def search(options: Options, query: str, limit: int) -> None:
    """Print the genres that are like QUERY.

    Those whose name or alias begins with it, then those where it begins a word, then those
    that hold it anywhere, then those that are nearly it.
    """
    with calling(options) as registry:
        genres = registry.search_genres(query, limit)
    if options["as_json"]:
        for genre in genres:
            say_genre(options, genre)
        return
    say_rows(
        ("id", "name", "aliases"),
        ((str(g.id), printable(g.name), plain(", ".join(g.aliases))) for g in genres),
    )
    if not genres:
        click.echo(f"genrectl: nothing is like {query!r}", err=True)


def genres_of(registry: "GenreRegistryClient", ids: Iterable[int]) -> dict[int, Genre]:
    """Return the genres that have *ids*, of which there may be any number, by these ids."""
    from worker_client import RegistryError

    wanted = sorted(set(ids))
    answers: list[Genre | RegistryError] = []
    for start in range(0, len(wanted), BATCH_MAX):
        answers += registry.batch_get_genres(wanted[start : start + BATCH_MAX])
    return {
        genre_id: genre
        for genre_id, genre in zip(wanted, answers, strict=True)
        if not isinstance(genre, RegistryError)
    }
