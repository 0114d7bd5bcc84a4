"""`genrectl`: the registry from the command line."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import click

# gRPC is loaded by the command that calls: processes that read tags import this module.
from worker_client._exits import calling, exit_code
from worker_client._tables import aligned, plain, quoted
from worker_client._values import ExplainedStep, Genre, TagContainer
from worker_client.commands.backup import backup
from worker_client.commands.changes import history, watch
from worker_client.commands.completing import completion
from worker_client.commands.connecting import connection_options, token_and_tls
from worker_client.commands.duplicates import duplicates
from worker_client.commands.editing import delete, rename, set_fields, undelete
from worker_client.commands.merging import merge, unmerge
from worker_client.commands.naming import Named, find, genre_option
from worker_client.commands.printing import say_genre
from worker_client.commands.reading import search, show
from worker_client.commands.reviewing import reviews, settle
from worker_client.commands.spellings import alias, block, distinguish, unblock
from worker_client.commands.tidy import tidy
from worker_client.scan.command import scan
from worker_client.transfer.command import export_registry, import_records

COMMANDS: tuple[click.Command, ...] = (
    *(show, search, history, watch),
    *(rename, set_fields, delete, undelete, alias, block, unblock, distinguish),
    *(merge, unmerge, reviews, settle),
    *(duplicates, tidy, export_registry, import_records),
    *(backup, scan, completion),
)

container_option = click.option(
    "--container",
    type=click.Choice([container.name for container in TagContainer], case_sensitive=False),
    default=TagContainer.UNSPECIFIED.name,
    show_default=True,
    help="The kind of tag that it comes from.",
)


@click.group()
@connection_options
@click.option(
    "--deadline-s",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="For each call, all in all.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")
@click.version_option(package_name="genre-registry")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Call a genre registry.

    A GENRE is an id, if it is all digits, or else a spelling in any form that reaches it;
    name:1980 is the spelling 1980. An id that was merged stands for the genre that survives,
    and standard error says so.

    \b
    Exit codes:
      0  all is well
      1  something was left out, or the question was answered with no
      2  the command line is wrong, or nobody is there to answer a question
      3  there is no such genre or spelling
      4  the registry refused the request, and would again
      5  the registry could not be reached in time, or its disk is full
      6  the registry made a mistake
      7  something has changed meanwhile: read it again, and try again
      8  a file to import is not what it should be
      9  the registry wants a token or certificate, or another one
     10  the role of the token does not go that far
    130  a scan was stopped by Ctrl-C (128 and the number of the signal); what it did is kept
    """
    # What gRPC's core would print is said in words; it reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    context.obj = {**options, **token_and_tls(context)}


@main.command("get-or-create")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def get_or_create(options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Print the genre of each NAME, created if it is new."""
    from worker_client import RegistryError

    failed: RegistryError | None = None
    with calling(options) as registry:
        outcomes = registry.batch_get_or_create(names)
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, RegistryError):
                failed = outcome
                click.echo(f"genrectl: {name!r}: {outcome}", err=True)
            else:
                _print_genre(options, outcome.genre, created=outcome.created)
    if failed is not None:
        sys.exit(exit_code(failed))


@main.command()
@click.argument("values", nargs=-1, required=True)
@container_option
@click.option("--dry-run", is_flag=True, help="Create nothing; say what would be.")
@click.pass_obj
def resolve(
    options: dict[str, Any], values: tuple[str, ...], container: str, dry_run: bool
) -> None:
    """Print the genres that the raw tag VALUES of one file name, created where they are new."""
    from worker_client import TagSet

    with calling(options) as registry:
        tag_set = TagSet(values, TagContainer[container.upper()])
        [resolved] = registry.resolve_tags([tag_set], validate_only=dry_run)
    for each in resolved.genres:
        _print_genre(
            options, each.genre, created=each.created, spelling=each.spelling, rule=each.rule
        )
    for part in resolved.dropped:
        click.echo(f"dropped: {part.text!r} ({part.reason})", err=True)
    for compound in resolved.review:
        click.echo(f"left whole, wants review: {compound.text!r} ({compound.rule})", err=True)


@main.command()
@click.argument("value")
@container_option
@click.pass_obj
def explain(options: dict[str, Any], value: str, container: str) -> None:
    """Print every step from the raw tag VALUE to its genres; never creates.

    What each step looked at and what it made of that ("-" if it dropped it), why, and the
    key and the reference packs that decided; then the genres.
    """
    with calling(options) as registry:
        steps = registry.explain_spelling(value, TagContainer[container.upper()])
    for line in _step_objects(steps) if options["as_json"] else _step_table(steps):
        click.echo(line)


@main.command()
@click.argument("name")
@click.pass_obj
def lookup(options: dict[str, Any], name: str) -> None:
    """Print the genre that NAME reaches; never creates."""
    with calling(options) as registry:
        say_genre(options, registry.lookup_genre(name))


@main.command("list")
@genre_option("--parent", help="Only those that are a kind of this, directly.")
@click.option("--deleted", is_flag=True, help="Deleted ones too.")
@click.pass_obj
def list_genres(options: dict[str, Any], parent: Named | None, deleted: bool) -> None:
    """Print every genre, by id."""
    with calling(options) as registry:
        parent_id = find(registry, parent).id if parent else 0
        for genre in registry.list_genres(parent_id=parent_id, show_deleted=deleted):
            say_genre(options, genre)


@main.command("import-pack")
@click.argument("pack")
@click.argument("files", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@click.pass_obj
def import_pack(options: dict[str, Any], pack: str, files: tuple[BinaryIO, ...]) -> None:
    """Give the registry a newer version of the reference pack PACK, for good.

    For musicbrainz, the FILEs are what https://musicbrainz.org/ws/2/genre/all?fmt=json
    answers, every page of it (limit=100&offset=0, 100, ...), as it came; - is standard
    input. Genres that are there gain what the pack knows of them; none is renamed or merged.
    """
    with calling(options) as registry:
        taken = registry.import_pack(pack, [file.read() for file in files])
    if options["as_json"]:
        click.echo(json.dumps({"pack": pack, **asdict(taken)}, ensure_ascii=False))
        return
    click.echo(
        f"{pack} {taken.version}: {taken.genres} genres; "
        f"{taken.changed} genres of the registry changed"
    )
    for name in taken.skipped:
        click.echo(f"left out, as it can be no genre's name: {name!r}", err=True)


for command in COMMANDS:
    main.add_command(command)


def _step_objects(steps: Sequence[ExplainedStep]) -> Iterator[str]:
    for step in steps:
        genre = step.genre and {"id": step.genre.id, "name": step.genre.name}
        yield json.dumps({**asdict(step), "genre": genre}, ensure_ascii=False)


def _step_table(steps: Sequence[ExplainedStep]) -> Iterator[str]:
    rows = [
        (
            step.rule,
            quoted(step.text),
            "→",
            _made_of(step),
            step.note,
            plain(step.key),
            ", ".join(step.packs),
        )
        for step in steps
    ]
    if rows:
        yield from aligned([("rule", "text", "", "parts", "why", "key", "packs"), *rows])
        yield ""
    genres = dict.fromkeys((step.genre.id, step.genre.name) for step in steps if step.genre)
    for genre_id, name in genres:
        yield f"{genre_id:>6}  {name}" if genre_id else f"{'new':>6}  {name}  (would be created)"
    if not genres:
        yield "It names no genre."


def _made_of(step: ExplainedStep) -> str:
    if step.parts:
        return plain(", ".join(map(quoted, step.parts)))
    return plain(step.genre.name) if step.genre else "-"


def _print_genre(options: dict[str, Any], genre: Genre, **more: Any) -> None:
    """Print a genre and what else the call said of it, for people or for scripts."""
    if options["as_json"]:
        click.echo(json.dumps({"id": genre.id, "name": genre.name, **more}, ensure_ascii=False))
        return
    created = more.pop("created", None)
    note = {True: "  (created)", False: "  (known)", None: ""}[created]
    if not genre.id:
        note = "  (would be created)"
    origin = f"  from {more['spelling']!r} by {more['rule']}" if more else ""
    click.echo(f"{genre.id or 'new':>6}  {genre.name}{note}{origin}")


if __name__ == "__main__":
    main()
