"""`genrectl history` and `genrectl watch`: what was changed, and what is being changed."""

from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice

import click

from worker_client._curation_values import Change, ChangeType, Difference, GenreChange
from worker_client._exits import calling
from worker_client._tables import printable
from worker_client.commands.naming import Named, genre_argument, id_of
from worker_client.commands.printing import Options, moment, named, say_rows, say_value
from worker_client.commands.reading import genres_of


@click.command()
@genre_argument(required=False)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Changes.")
@click.pass_obj
def history(options: Options, genre: Named | None, limit: int) -> None:
    """Print the changes of GENRE, or of all.

    The latest comes first. Who made a change is the name of a token; "local" where none was
    needed, "packs" for what a reference pack brought. The id of a merged genre gives its own
    history.
    """
    with calling(options) as registry:
        genre_id = id_of(registry, genre) if genre else 0
        changes = list(islice(registry.list_history(genre_id), limit))
        names = {}
        if not options["as_json"]:
            known = genres_of(registry, {change.genre_id for change in changes} - {0})
            names = {each: found.name for each, found in known.items()}
    if options["as_json"]:
        for change in changes:
            say_value(change)
        return
    say_rows(
        ("revision", "time", "who", "genre", "change"),
        (
            (
                str(change.revision),
                moment(change.time),
                printable(change.who),
                named(change.genre_id, names) if change.genre_id else "",
                _told(change),
            )
            for change in changes
        ),
    )


@click.command()
@click.option(
    "--from",
    "start_revision",
    type=click.IntRange(0),
    metavar="REVISION",
    help="Begin after this revision, 0 for all; by default now.",
)
@click.option("--incarnation", default="", help="The registry's, that the revision is of.")
@click.option("--no-follow", is_flag=True, help="End when all that had changed is printed.")
@click.pass_obj
def watch(options: Options, start_revision: int | None, incarnation: str, no_follow: bool) -> None:
    """Print every change as it is made.

    A line each, until Ctrl-C; it goes on by itself when the registry was restarted. Ends with
    7 if the history is not kept as far back as REVISION, or that is of another incarnation:
    list again.
    """
    with calling(options) as registry, suppress(KeyboardInterrupt):
        now = registry.list_page(page_size=1)
        if start_revision is None:
            start_revision, incarnation = now.revision, now.incarnation
        changes = registry.watch_genres(
            start_revision, incarnation, deadline_s=options["deadline_s"]
        )
        with closing(changes):
            for change in changes:
                if change.type is not ChangeType.HEARTBEAT:
                    _say_change(options, change)
                elif no_follow:
                    return


def _say_change(options: Options, change: GenreChange) -> None:
    if options["as_json"]:
        say_value(change)
        return
    genre = f"  {change.genre.id} {printable(change.genre.name)}" if change.genre else ""
    # click.echo flushes: who pipes this sees each change as it is made.
    click.echo(f"{change.revision:>6}  {_deed(change)}{genre}")


def _told(change: Change) -> str:
    return "  ".join([_deed(change), *map(_difference, change.differences)])


def _deed(change: Change | GenreChange) -> str:
    """Return what was done, and with what beside the genre."""
    verb = change.type.name.lower().replace("_", " ")
    joint = "from" if change.type is ChangeType.UNMERGED else "with"
    source = f" {joint} {change.source_id}" if change.source_id else ""
    return verb + source + (f" {change.spelling!r}" if change.spelling else "")


def _difference(difference: Difference) -> str:
    return f"{difference.field}: " + " ".join(_signed(difference))


def _signed(difference: Difference) -> Iterator[str]:
    for text in difference.removed:
        yield f"-{text!r}"
    for text in difference.added:
        yield f"+{text!r}"
