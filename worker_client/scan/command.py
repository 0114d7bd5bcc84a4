"""`genrectl scan`: what is read and written, and how it ends."""

import signal
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from worker_client._exits import EXIT_INCOMPLETE, EXIT_REFUSED, calling, refuse

if TYPE_CHECKING:  # loaded by the command: processes that read tags import this module
    from worker_client.scan.linting import Lint
    from worker_client.scan.resolving import Summary


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Reading processes."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    metavar="FILE",
    help="Where the lines, or the report, go; standard output by default.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report what the tags would become, and write nothing to the registry.",
)
@click.pass_obj
def scan(options: dict[str, Any], folder: Path, jobs: int, output: Path, dry_run: bool) -> None:
    """Read the genre tags of every audio file below FOLDER and resolve them.

    Writes one JSON line a track: path, container, raw values, genres with id and name. Ends
    with a summary on standard error; exits 1, and says which, if a file could not be read or
    resolved.

    With --dry-run, writes a report instead: which raw values become which genres, what is
    dropped, what wants review, which names are near-duplicates, most frequent first. With
    genrectl's --json the whole of it as one JSON document, else as tables that end after 40
    rows.
    """
    try:
        from worker_client.scan.reading import audio_files
    except ImportError as error:
        refuse(f"{error}; pip install 'genre-registry[scan]'", EXIT_REFUSED)
    from worker_client.scan.linting import Lint
    from worker_client.scan.reporting import summary_lines

    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _end_in_order)
    paths = list(audio_files(folder))
    lint = Lint() if dry_run else None
    kept = "" if dry_run else "; what was written before is kept"
    try:
        with click.open_file(str(output), "w", encoding="utf-8") as written:
            summary = _scan(options, paths, written, jobs=jobs, lint=lint)
    except OSError as error:
        refuse(f"{output}: {error.strerror}{kept}", EXIT_INCOMPLETE)
    except BrokenProcessPool:
        refuse(
            f"a reading process was killed, perhaps for want of memory{kept}. "
            "Try again with fewer --jobs",
            EXIT_INCOMPLETE,
        )
    for line in summary_lines(summary, lint):
        click.echo(line, err=True)
    if not summary.complete:
        sys.exit(EXIT_INCOMPLETE)


def _scan(
    options: dict[str, Any],
    paths: Sequence[str],
    written: IO[str],
    *,
    jobs: int,
    lint: "Lint | None",
) -> "Summary":
    """Scan *paths*; write a line for each, or into *lint* and then its report."""
    from tqdm import tqdm

    from worker_client.scan.reporting import lint_document, lint_tables, track_line
    from worker_client.scan.resolving import Outcome
    from worker_client.scan.resolving import scan as scan_tracks

    def tell(outcome: Outcome) -> None:
        if lint is None:
            written.write(track_line(outcome) + "\n")
        elif outcome.resolved is not None:
            lint.add(outcome.track.tags.values, outcome.resolved)

    with (
        calling(options) as registry,
        tqdm(total=len(paths), unit=" tracks", disable=None) as progress,
    ):
        summary = scan_tracks(
            registry,
            paths,
            tell,
            jobs=jobs,
            advance=progress.update,
            validate_only=lint is not None,
        )
    if lint is not None:
        lines = [lint_document(lint, summary)] if options["as_json"] else lint_tables(lint)
        written.writelines(line + "\n" for line in lines)
    return summary


def _end_in_order(signal_number: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal_number)
