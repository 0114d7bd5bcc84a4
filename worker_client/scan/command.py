"""`genrectl scan`: what is read and written, and how it ends."""

import sys
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker_client._exits import EXIT_INCOMPLETE, EXIT_REFUSED, EXIT_STOPPED, refuse

if TYPE_CHECKING:  # loaded by the command
    from worker_client.scan.linting import Lint
    from worker_client.scan.summary import Summary


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
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Remember here what was read, and read only what has changed since.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but what went wrong.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report what the tags would become, and write nothing to the registry.",
)
@click.pass_obj
def scan(
    options: dict[str, Any],
    folder: Path,
    jobs: int,
    output: Path,
    state: Path | None,
    quiet: bool,
    dry_run: bool,
) -> None:
    """Read the genre tags of every audio file below FOLDER and resolve them.

    Writes one JSON line a track: path, container, raw values, genres with id and name. Ends
    with a summary on standard error, which is one JSON object with genrectl's --json; exits
    1, and says which, if a file could not be read or resolved. Links to folders are followed,
    and each folder is visited once.

    With --state, a second scan reads and writes only the tracks whose time or size has
    changed, those that failed, and everything if the registry is another. Ctrl-C keeps what
    is done; the same command then goes on from there, and adds its lines to the output FILE.

    With --dry-run, writes a report instead: which raw values become which genres, what is
    dropped, what wants review, which names are near-duplicates, most frequent first. With
    genrectl's --json the whole of it as one JSON document, else as tables that end after 40
    rows.
    """
    if state is not None and dry_run:
        raise click.UsageError("--dry-run reads everything, and has nothing to remember in --state")
    if state is not None and state.absolute() == output.absolute():
        raise click.UsageError("--state and --output are one file")
    if find_spec("mutagen") is None:
        refuse("mutagen is missing; pip install 'genre-registry[scan]'", EXIT_REFUSED)
    from worker_client.scan.output import OutputRefused
    from worker_client.scan.running import Request, run
    from worker_client.scan.state import StateRefused
    from worker_client.scan.stopping import Stop

    stop = Stop()
    as_json: bool = options["as_json"]
    request = Request(
        folder=folder,
        jobs=jobs,
        output=output,
        state=state,
        dry_run=dry_run,
        quiet=quiet,
        as_json=as_json,
    )
    kept = "" if dry_run else "; what was written before is kept"
    try:
        summary, lint = run(options, request, stop)
    except StateRefused as error:
        refuse(str(error), EXIT_INCOMPLETE)
    except OutputRefused as error:
        refuse(f"{error}{kept}", EXIT_INCOMPLETE)
    except BrokenProcessPool:
        refuse(
            f"a reading process was killed, perhaps for want of memory{kept}. "
            "Try again with fewer --jobs",
            EXIT_INCOMPLETE,
        )
    _say(summary, lint, as_json=as_json, quiet=quiet)
    if stop.signal_number:
        sys.exit(EXIT_STOPPED + stop.signal_number)
    if not summary.complete:
        sys.exit(EXIT_INCOMPLETE)


def _say(summary: "Summary", lint: "Lint | None", *, as_json: bool, quiet: bool) -> None:
    """Say what the scan came to on standard error; if *quiet*, only what went wrong."""
    from worker_client.scan.reporting import failure_lines, summary_lines, summary_object

    if as_json:
        if not quiet or not summary.complete:
            click.echo(summary_object(summary, lint), err=True)
        return
    if not quiet:
        for line in summary_lines(summary, lint):
            click.echo(line, err=True)
    for line in failure_lines(summary, lint):
        click.echo(line, err=True)
