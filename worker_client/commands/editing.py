"""`genrectl rename`, `set`, `delete` and `undelete`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from worker_client._exits import calling
from worker_client._values import Genre
from worker_client.commands.naming import Named, find, genre_argument, genre_option, id_of
from worker_client.commands.printing import Options, say_genre

if TYPE_CHECKING:  # gRPC is loaded by the command that calls
    from worker_client import GenreRegistryClient

TRIES_MAX = 5
"""Of changing a genre that somebody else changes between its reading and its writing."""


@click.command()
@genre_argument()
@click.argument("name")
@click.pass_obj
def rename(options: Options, genre: Named, name: str) -> None:
    """Name GENRE anew; the old name stays an alias."""
    with calling(options) as registry:
        renamed = registry.update_genre(find(registry, genre).id, name=name)
    say_genre(options, renamed)


@click.command("set")
@genre_argument()
@click.option("--description", metavar="TEXT", help="Words about it; empty for none.")
@genre_option("--parent", "parents", multiple=True, help="It is a kind of this.")
@genre_option("--no-parent", "no_parents", multiple=True, help="It is not, for good.")
@click.option(
    "--external-id",
    "external_ids",
    metavar="WHOSE=ID",
    multiple=True,
    help="Its id elsewhere, as in musicbrainz=..., discogs=..., wikidata=...",
)
@click.option(
    "--no-external-id",
    "no_external_ids",
    metavar="WHOSE",
    multiple=True,
    help="It has none there, for good.",
)
@click.pass_obj
def set_fields(
    options: Options,
    genre: Named,
    description: str | None,
    parents: tuple[Named, ...],
    no_parents: tuple[Named, ...],
    external_ids: tuple[str, ...],
    no_external_ids: tuple[str, ...],
) -> None:
    """Change GENRE's parents, ids, description.

    What no option names stays as it is. Options that add or take away may be repeated.
    """
    has_parents, has_ids = bool(parents or no_parents), bool(external_ids or no_external_ids)
    if description is None and not has_parents and not has_ids:
        raise click.UsageError("Nothing is to be changed: give at least one option.")
    ids_gained = dict(map(_external_id, external_ids))
    with calling(options) as registry:
        added = {find(registry, each).id for each in parents}
        removed = {find(registry, each).id for each in no_parents}

        def change(found: Genre) -> Genre:
            kept = {w: i for w, i in found.external_ids.items() if w not in no_external_ids}
            return registry.update_genre(
                found.id,
                description=description,
                parent_ids=sorted({*found.parent_ids, *added} - removed) if has_parents else None,
                external_ids={**kept, **ids_gained} if has_ids else None,
                expected_revision=found.revision,
            )

        changed = _changed(registry, find(registry, genre), change)
    say_genre(options, changed)


@click.command()
@genre_argument()
@click.pass_obj
def delete(options: Options, genre: Named) -> None:
    """Take GENRE out of use.

    Its id says so then, and its spellings name no genre any more. "genrectl undelete" undoes
    it. The id of a merged genre is refused, lest the surviving one be deleted by mistake.
    """
    with calling(options) as registry:
        deleted = registry.delete_genre(id_of(registry, genre))
    say_genre(options, deleted)


@click.command()
@genre_argument()
@click.pass_obj
def undelete(options: Options, genre: Named) -> None:
    """Bring the deleted GENRE back as it was."""
    with calling(options) as registry:
        restored = registry.undelete_genre(id_of(registry, genre))
    say_genre(options, restored)


def _external_id(given: str) -> tuple[str, str]:
    whose, separator, elsewhere_id = given.partition("=")
    if not separator:
        raise click.UsageError(f"{given!r} is not of the form WHOSE=ID, as in musicbrainz=...")
    return whose, elsewhere_id


def _changed(
    registry: "GenreRegistryClient", genre: Genre, change: Callable[[Genre], Genre]
) -> Genre:
    """Return what *change* makes of *genre*, read anew if it has changed meanwhile."""
    from worker_client import RevisionMismatch

    for _ in range(TRIES_MAX - 1):
        try:
            return change(genre)
        except RevisionMismatch:
            genre = registry.get_genre(genre.id)
    return change(genre)
