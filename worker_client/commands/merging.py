"""`genrectl merge` and `unmerge`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from worker_client._curation_values import ChangeType, MergedGenres
from worker_client._exits import calling, confirm, must_answer
from worker_client._tables import aligned, printable
from worker_client._values import Genre
from worker_client.commands.naming import Named, find, genre_argument, genre_option
from worker_client.commands.printing import Options, named, say_genre, say_json
from worker_client.commands.reading import genres_of

if TYPE_CHECKING:  # gRPC is loaded by the command that calls
    from worker_client import GenreRegistryClient


@click.command()
@genre_argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@genre_option("--into", "target", required=True, help="The genre that survives.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def merge(
    options: Options, sources: tuple[Named, ...], target: Named, dry_run: bool, yes: bool
) -> None:
    """Join every SOURCE with another genre.

    Their ids answer with the one that --into names from now on. Prints what changes, and asks
    before it is changed. "genrectl unmerge" makes a source a genre again, but what comes to
    the survivor in the meantime stays there.
    """
    if not dry_run:
        must_answer(yes=yes)
    with calling(options) as registry:
        survivor = find(registry, target)
        source_ids = [find(registry, each).id for each in sources]
        merged = registry.merge_genres(
            source_ids, survivor.id, expected_revision=survivor.revision, validate_only=True
        )
        is_asked = not dry_run and not yes
        if is_asked or not options["as_json"]:
            for line in _plan(registry, survivor, merged):
                click.echo(line, err=options["as_json"])
        if not dry_run and merged.redirected_ids:
            confirm("Merge?", yes=yes)
            merged = registry.merge_genres(
                source_ids, survivor.id, expected_revision=survivor.revision
            )
    if options["as_json"]:
        say_json(
            dry_run=dry_run,
            genre=merged.genre,
            redirected_ids=merged.redirected_ids,
            reparented=merged.reparented,
            clashes=merged.clashes,
        )
    elif not dry_run and merged.redirected_ids:
        say_genre(options, merged.genre, "merged")


@click.command()
@genre_argument("source")
@click.pass_obj
def unmerge(options: Options, source: Named) -> None:
    """Make the merged SOURCE a genre again.

    It is best given by its id, which "genrectl history" of the survivor tells; a spelling
    that it brought will do.
    """
    with calling(options) as registry:
        undone = registry.unmerge_genre(source.id or _merged_id(registry, source.spelling))
    if options["as_json"]:
        say_json(genre=undone.genre, survivor=undone.survivor)
        return
    say_genre(options, undone.genre, "a genre again")
    say_genre(options, undone.survivor, "had survived it")


def _merged_id(registry: "GenreRegistryClient", spelling: str) -> int:
    """Return the id of the genre that brought *spelling* to the one that it reaches now."""
    from worker_client import GenreNotFound

    survivor = registry.lookup_genre(spelling)
    merged_ids: list[int] = []
    for change in registry.list_history(survivor.id):
        if change.type is not ChangeType.MERGED:
            continue
        brought = {text.casefold() for each in change.differences for text in each.added}
        if spelling.casefold() in brought:
            return change.source_id
        merged_ids.append(change.source_id)
    known = f"; say one of {', '.join(map(str, merged_ids))}" if merged_ids else ""
    raise GenreNotFound(
        f"{spelling!r} was not brought by a merge into {survivor.id}, {survivor.name!r}{known}"
    )


def _plan(registry: "GenreRegistryClient", survivor: Genre, merged: MergedGenres) -> Iterator[str]:
    """Give the lines that tell what *merged* changes, beginning with the *survivor* as it is."""
    yield f"{survivor.id:>6}  {printable(survivor.name)}"
    if not merged.redirected_ids:
        yield "        is what they answer with already: nothing changes"
        return
    before = genres_of(registry, [genre.id for genre in merged.reparented])
    parents = {
        each for genre in (*before.values(), *merged.reparented) for each in genre.parent_ids
    }
    known = before | genres_of(registry, {*merged.redirected_ids, *parents})
    names = {genre.id: genre.name for genre in known.values()}
    rows = [
        ("redirected", ", ".join(named(each, names) for each in merged.redirected_ids)),
        ("aliases", _gained(survivor.aliases, merged.genre.aliases)),
        *(
            (whose, f"+{value}")
            for whose, value in sorted(merged.genre.external_ids.items())
            if whose not in survivor.external_ids
        ),
        *(
            (each.whose, f"{each.kept} stays; {each.hidden} of {each.source_id} is hidden")
            for each in merged.clashes
        ),
        *(
            (
                f"{named(each.id, names)} is a kind of",
                _reparenting(before[each.id], each, names),
            )
            for each in merged.reparented
        ),
    ]
    for line in aligned([row for row in rows if row[1]]):
        yield f"        {line}"


def _gained(before: Sequence[str], after: Sequence[str]) -> str:
    return ", ".join(f"+{printable(text)}" for text in after if text not in before)


def _reparenting(before: Genre, after: Genre, names: Mapping[int, str]) -> str:
    held = before.parent_ids
    return ", ".join(
        [
            *(f"-{named(each, names)}" for each in held if each not in after.parent_ids),
            *(f"+{named(each, names)}" for each in after.parent_ids if each not in held),
        ]
    )
