"""One scan, from what was asked for to what it came to."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker_client._exits import calling
from worker_client.scan.linting import Lint
from worker_client.scan.output import STANDARD_OUTPUT, Output
from worker_client.scan.progress import progress, saying
from worker_client.scan.readers import Readers
from worker_client.scan.reporting import lint_document, lint_tables, track_line
from worker_client.scan.state import ScanState
from worker_client.scan.stopping import Stop, Stopped
from worker_client.scan.summary import Summary
from worker_client.scan.tracks import Outcome, Track
from worker_client.scan.walking import audio_files

if TYPE_CHECKING:  # gRPC is loaded while reading processes start
    from worker_client import GenreRegistryClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `genrectl scan` was asked for."""

    folder: Path
    jobs: int
    output: Path
    state: Path | None
    dry_run: bool
    quiet: bool
    as_json: bool

    @property
    def shows_progress(self) -> bool:
        """Whether somebody looks on, and not at the lines themselves."""
        lines_are_seen = self.output == STANDARD_OUTPUT and not self.dry_run and sys.stdout.isatty()
        return not self.quiet and sys.stderr.isatty() and not lines_are_seen


def run(options: dict[str, Any], request: Request, stop: Stop) -> tuple[Summary, Lint | None]:
    """
    Scan; return what it came to, and for a dry run the lint.

    Raises:
        OutputRefused, StateRefused: the file can't be used.
        BrokenProcessPool: a reading process was killed.
    """
    lint = Lint() if request.dry_run else None
    summary = Summary()
    with ExitStack() as opened:
        state = None
        if request.state is not None:
            state = opened.enter_context(ScanState(request.state, request.folder))
        readers = opened.enter_context(Readers(request.jobs))
        # Without a state all is read, and some of it before gRPC is loaded.
        read = readers.read(audio_files(request.folder)) if state is None else None
        opened.enter_context(saying(shown=not request.as_json))
        registry = opened.enter_context(calling(options, remembers=True))
        try:
            if read is not None:
                summary = _scan(registry, request, read, stop, lint)
            elif state is not None:
                summary = _scan_what_changed(registry, request, readers, stop, state)
        except Stopped:  # before it had begun
            pass
    if stop.signal_number:
        summary.stopped_by = signal.Signals(stop.signal_number).name
    return summary, lint


def _scan(
    registry: "GenreRegistryClient",
    request: Request,
    read: Iterator[list[Track]],
    stop: Stop,
    lint: Lint | None,
) -> Summary:
    """Scan everything; write a line for each track, or into *lint* and then its report."""
    from worker_client.scan.resolving import scan

    with Output(request.output) as output:

        def tell(outcome: Outcome) -> None:
            if lint is None:
                output.write(track_line(outcome))
            else:
                lint.add_outcome(outcome)

        with progress(request.folder, shown=request.shows_progress) as advance:
            summary = scan(
                registry,
                read,
                tell,
                advance=advance,
                validate_only=lint is not None,
                awaiting=stop.awaiting,
            )
        if lint is not None:
            for line in [lint_document(lint, summary)] if request.as_json else lint_tables(lint):
                output.write(line)
    return summary


def _scan_what_changed(
    registry: "GenreRegistryClient",
    request: Request,
    readers: Readers,
    stop: Stop,
    state: ScanState,
) -> Summary:
    """Scan what *state* does not know as it is; write a line for each track."""
    from worker_client.scan.resolving import scan

    with stop.awaiting():
        incarnation = registry.list_page(page_size=1).incarnation
    other_registry = state.is_of_another(incarnation)
    if other_registry and not request.quiet and not request.as_json:
        click.echo(f"{request.state} is of another registry: everything is read again", err=True)

    with (
        Output(request.output, state.goes_on_in(request.output)) as output,
        progress(request.folder, shown=request.shows_progress) as advance,
    ):

        def tell(outcome: Outcome) -> None:
            output.write(track_line(outcome))
            state.add(outcome)
            if state.is_due:
                state.commit(output.settle())

        try:
            summary = scan(
                registry,
                readers.read(state.changed(audio_files(request.folder), advance)),
                tell,
                advance=advance,
                awaiting=stop.awaiting,
            )
        finally:
            state.commit(output.settle())
    summary.unchanged = state.unchanged
    summary.other_registry = other_registry
    if not stop.signal_number:
        summary.gone = state.finish()
    return summary
