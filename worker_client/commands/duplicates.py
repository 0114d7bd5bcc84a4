"""`genrectl duplicates`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from worker_client._curation_values import Change
from worker_client._duplicates import Duplicate, are_kept_apart
from worker_client._duplicates import duplicates as probable_duplicates
from worker_client._exits import calling
from worker_client._tables import plain
from worker_client._values import Genre
from worker_client.commands.printing import Options, say_json, say_rows
from worker_client.commands.proposing import genrectl_line

if TYPE_CHECKING:  # gRPC is loaded by the command that calls
    from worker_client import GenreRegistryClient


@click.command()
@click.option(
    "--all",
    "with_different",
    is_flag=True,
    help="Also pairs that are known to be two: MusicBrainz has them apart, one is a kind of "
    "the other, or a curator unmerged or distinguished them.",
)
@click.pass_obj
def duplicates(options: Options, with_different: bool) -> None:
    """Print pairs of genres that probably are one, and the commands that merge them.

    Names and aliases are compared. A pair is printed if they have the same letters (all but
    accents, punctuation and spaces is the same), or if one slip of the keyboard is between
    them, in at least five letters; digits are no slip. It changes nothing: look at each.

    With genrectl's --json, the commands do not ask.
    """
    with calling(options) as registry:
        genres = list(registry.list_genres())
        found = probable_duplicates(genres, with_different=with_different)
        if not with_different:
            found = [pair for pair in found if not are_kept_apart(pair, _history(registry, pair))]
    if options["as_json"]:
        for pair in found:
            say_json(
                likeness=pair.likeness,
                source=_end(pair.source, pair.source_spelling),
                target=_end(pair.target, pair.target_spelling),
                command=_merging(options, pair, "--yes"),
            )
        return
    rows = [
        (
            _named(pair.source, pair.source_spelling),
            _named(pair.target, pair.target_spelling),
            pair.likeness.value,
            _merging(options, pair),
        )
        for pair in found
    ]
    say_rows(("genre", "probably is", "why", "to merge them"), rows, right=())
    if not rows:
        click.echo(f"No two of {len(genres)} genres are alike.")


def _history(registry: "GenreRegistryClient", pair: Duplicate) -> Iterator[Change]:
    for genre in (pair.source, pair.target):
        yield from registry.list_history(genre.id)


def _merging(options: Options, pair: Duplicate, *more: str) -> str:
    return genrectl_line(
        options, "merge", str(pair.source.id), "--into", str(pair.target.id), *more
    )


def _end(genre: Genre, spelling: str) -> dict[str, Any]:
    return {"id": genre.id, "name": genre.name, "spelling": spelling}


def _named(genre: Genre, spelling: str) -> str:
    alias = f" (also {plain(spelling)})" if spelling != genre.name else ""
    return f"{genre.id} {plain(genre.name)}{alias}"
