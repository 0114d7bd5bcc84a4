"""What a scan came to: counts, and a few of the files that failed, however many there are."""

from collections import Counter
from dataclasses import dataclass, field

from worker_client.scan.tracks import Outcome

LISTED_FAILURES_MAX = 20
"""Failed files that a summary names; the lines of a scan hold the error of each."""


@dataclass(slots=True)
class Failures:
    """Files that failed: how many, and the first of them, as path and reason."""

    count: int = 0
    listed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, reason: str) -> None:
        self.count += 1
        if self.count <= LISTED_FAILURES_MAX:
            self.listed.append((path, reason))


@dataclass(slots=True)
class Summary:
    """
    What a scan came to. It grows with the vocabulary, not with the library.

    Attributes:
        tracks: Files that were read, or could not be.
        genres: Their ids; the keys of those that a dry run found, which have none.
        review: Compounds that want review, by their text.
        unchanged: Files that were not read, as they are those of the scan before.
        gone: Files of the scan before that are there no more.
        stopped_by: The signal that ended it early; "" if none did.
        other_registry: Whether the scan before was of another, and everything was read again.
    """

    tracks: int = 0
    tagged: int = 0
    raw_values: int = 0
    created: int = 0
    genres: set[int | str] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    review: set[str] = field(default_factory=set)
    unread: Failures = field(default_factory=Failures)
    unresolved: Failures = field(default_factory=Failures)
    unchanged: int = 0
    gone: int = 0
    stopped_by: str = ""
    other_registry: bool = False

    @property
    def complete(self) -> bool:
        """Whether every file was read and resolved."""
        return not (self.unread.count or self.unresolved.count or self.stopped_by)

    def add(self, outcome: Outcome) -> None:
        """Count one track."""
        track, resolved = outcome.track, outcome.resolved
        self.tracks += 1
        self.tagged += bool(track.tags.values)
        self.raw_values += len(track.tags.values)
        if outcome.error is not None:
            failures = self.unresolved if track.error is None else self.unread
            failures.add(track.path, outcome.error)
        elif resolved is not None:
            for each in resolved.genres:
                self.genres.add(each.genre.id or each.key)
                self.created += each.created
            for dropped in resolved.dropped:
                self.dropped[dropped.reason] += 1
            for compound in resolved.review:
                self.review.add(compound.text)
