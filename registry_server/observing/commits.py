"""What is noted of the writer: how many calls a turn served, how long its commits took."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from registry_server.observing.histogram import COMMIT_BOUNDS_S, SIZE_BOUNDS, Histogram

if TYPE_CHECKING:  # loaded where traces are wanted
    from registry_server.observing.tracing import Traces


class Commits:
    """
    Takes note as a `rounds.Watching` of the writer's turns, and of the store's commits.

    Attributes:
        calls: How many calls one turn of the writer served, one fsync for all of them.
        transactions_s: From the lock to the end of the COMMIT, where anything was written.
        commits_s: The COMMIT alone.
    """

    def __init__(self, traces: "Traces | None" = None) -> None:
        self.calls = Histogram(SIZE_BOUNDS)
        self.transactions_s = Histogram(COMMIT_BOUNDS_S)
        self.commits_s = Histogram(COMMIT_BOUNDS_S)
        self._traces = traces

    def joined(self) -> object:
        """Return what is to be remembered of the call that joins the queue: its span."""
        return self._traces.current_span() if self._traces is not None else None

    @contextmanager
    def serving(self, joined: Sequence[object]) -> Iterator[None]:
        """Note a turn that serves the calls that *joined*."""
        self.calls.note(len(joined))
        if self._traces is None:
            yield
            return
        with self._traces.commit(joined):
            yield

    def committed(self, transaction_s: float, commit_s: float) -> None:
        """Note a commit that wrote something; called in the writer's thread."""
        self.transactions_s.note(transaction_s)
        self.commits_s.note(commit_s)
