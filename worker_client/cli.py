"""`genrectl`: the registry from the command line."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from worker_client._config import TARGET_DEFAULT
from worker_client._values import TagContainer

if TYPE_CHECKING:  # gRPC is loaded by the command that calls: processes that read tags import this
    from worker_client import Genre, GenreRegistryClient, RegistryError
    from worker_client.scan.resolving import Summary

EXIT_INCOMPLETE = 1
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4
EXIT_UNAVAILABLE = 5
EXIT_DEFECT = 6

_SHOWN_FAILURES_MAX = 20


@click.group()
@click.option(
    "--target",
    envvar="GENRECTL_TARGET",
    default=TARGET_DEFAULT,
    show_default=True,
    metavar="HOST:PORT|unix:PATH",
    help="The registry to call.",
)
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

    \b
    Exit codes:
      0  all is well
      1  a scan left something out
      2  the command line is wrong
      3  there is no such genre
      4  the registry refused the request
      5  the registry could not be reached in time, or its disk is full
      6  the registry made a mistake
    """
    # What gRPC's core would print is said in words; it reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    context.obj = options


@main.command("get-or-create")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def get_or_create(options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Print the genre of each NAME, created if it is new."""
    from worker_client import RegistryError

    failed: RegistryError | None = None
    with _calling(options) as registry:
        outcomes = registry.batch_get_or_create(names)
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, RegistryError):
                failed = outcome
                click.echo(f"genrectl: {name!r}: {outcome}", err=True)
            else:
                _print_genre(options, outcome.genre, created=outcome.created)
    if failed is not None:
        sys.exit(_exit_code(failed))


@main.command()
@click.argument("values", nargs=-1, required=True)
@click.option(
    "--container",
    type=click.Choice([container.name for container in TagContainer], case_sensitive=False),
    default=TagContainer.UNSPECIFIED.name,
    show_default=True,
    help="The kind of tag that the values come from.",
)
@click.pass_obj
def resolve(options: dict[str, Any], values: tuple[str, ...], container: str) -> None:
    """Print the genres that the raw tag VALUES of one file name, created where they are new."""
    from worker_client import TagSet

    with _calling(options) as registry:
        tag_set = TagSet(values, TagContainer[container.upper()])
        [resolved] = registry.resolve_tags([tag_set])
    for each in resolved.genres:
        _print_genre(
            options, each.genre, created=each.created, spelling=each.spelling, rule=each.rule
        )
    for part in resolved.dropped:
        click.echo(f"dropped: {part.text!r} ({part.reason})", err=True)


@main.command()
@click.argument("name")
@click.pass_obj
def lookup(options: dict[str, Any], name: str) -> None:
    """Print the genre that NAME reaches; never creates."""
    with _calling(options) as registry:
        _print_genre(options, registry.lookup_genre(name))


@main.command("list")
@click.pass_obj
def list_genres(options: dict[str, Any]) -> None:
    """Print every genre, by id."""
    with _calling(options) as registry:
        for genre in registry.list_genres():
            _print_genre(options, genre)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Reading processes."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    metavar="FILE",
    help="Where the lines go; standard output by default.",
)
@click.pass_obj
def scan(options: dict[str, Any], folder: Path, jobs: int, output: Path) -> None:
    """Read the genre tags of every audio file below FOLDER and resolve them.

    Writes one JSON line a track: path, container, raw values, genres with id and name. Ends
    with a summary on standard error; exits 1, and says which, if a file could not be read or
    resolved.
    """
    try:
        from worker_client.scan.reading import audio_files
    except ImportError as error:
        _refuse(f"{error}; pip install 'genre-registry[scan]'", EXIT_REFUSED)
    from tqdm import tqdm

    from worker_client.scan.resolving import scan as scan_tracks

    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _end_in_order)
    paths = list(audio_files(folder))
    try:
        with (
            click.open_file(str(output), "w", encoding="utf-8") as lines,
            _calling(options) as registry,
            tqdm(total=len(paths), unit=" tracks", disable=None) as progress,
        ):
            summary = scan_tracks(
                registry,
                paths,
                lambda line: lines.write(line + "\n"),
                jobs=jobs,
                advance=progress.update,
            )
    except OSError as error:
        _refuse(f"{output}: {error.strerror}; what was written before is kept", EXIT_INCOMPLETE)
    except BrokenProcessPool:
        _refuse(
            "a reading process was killed, perhaps for want of memory; what was written before is "
            "kept. Try again with fewer --jobs",
            EXIT_INCOMPLETE,
        )
    _print_summary(summary)
    if not summary.complete:
        sys.exit(EXIT_INCOMPLETE)


def _end_in_order(signal_number: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal_number)


def _print_summary(summary: "Summary") -> None:
    say: Callable[[str], None] = lambda text: click.echo(text, err=True)  # noqa: E731
    say(
        f"{summary.tracks} tracks, {summary.tagged} with genre tags, "
        f"{summary.raw_values} raw values -> {len(summary.genres)} genres, "
        f"{summary.created} of them created by this scan"
    )
    for reason, count in summary.dropped.most_common():
        say(f"{count} parts dropped: {reason}")
    for failures, what in ((summary.unread, "read"), (summary.unresolved, "resolved")):
        if failures:
            say(f"{len(failures)} files could not be {what}:")
        for path, reason in list(failures.items())[:_SHOWN_FAILURES_MAX]:
            say(f"  {_printable(path)}: {reason}")
        if len(failures) > _SHOWN_FAILURES_MAX:
            say(f"  and {len(failures) - _SHOWN_FAILURES_MAX} more; their lines hold an error")


@contextmanager
def _calling(options: dict[str, Any]) -> "Iterator[GenreRegistryClient]":
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
        _refuse(str(error), _exit_code(error))


def _exit_code(error: "RegistryError") -> int:
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


def _print_genre(options: dict[str, Any], genre: "Genre", **more: Any) -> None:
    """Print a genre and what else the call said of it, for people or for scripts."""
    if options["as_json"]:
        click.echo(json.dumps({"id": genre.id, "name": genre.name, **more}, ensure_ascii=False))
        return
    note = {True: "  (created)", False: "  (known)", None: ""}[more.pop("created", None)]
    origin = f"  from {more['spelling']!r} by {more['rule']}" if more else ""
    click.echo(f"{genre.id:>6}  {genre.name}{note}{origin}")


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _refuse(message: str, exit_code: int) -> NoReturn:
    click.echo(f"genrectl: {message}", err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
