"""A scan from end to end: read, resolve, tell what became of each track, sum up."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from worker_client import GenreRegistryClient, RegistryError, ResolvedTags
from worker_client.scan.reading import Track, live_with_the_parent, read_tracks

BATCH_TRACKS = 32
"""Tracks in one request: more would save little, and lose more when one fails."""
BATCH_CHARACTERS_MAX = 500_000
"""Characters in one request, which gRPC limits to 4 MiB."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one track.

    `resolved` is None if it has no tags or an `error`, which is of reading if the track's
    own, else of resolving.
    """

    track: Track
    resolved: ResolvedTags | None = None
    error: str | None = None


@dataclass(slots=True)
class Summary:
    """
    What a scan came to.

    `genres` are counted by id, those of a dry run that have none by their key. `review`
    counts compounds that want review, by their text. `unread` and `unresolved` are paths
    with the reason.
    """

    tracks: int = 0
    tagged: int = 0
    raw_values: int = 0
    created: int = 0
    genres: Counter[int | str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    review: Counter[str] = field(default_factory=Counter)
    unread: dict[str, str] = field(default_factory=dict)
    unresolved: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every file was read and resolved."""
        return not self.unread and not self.unresolved

    def add(self, outcome: Outcome) -> None:
        """Count one track."""
        track, resolved = outcome.track, outcome.resolved
        self.tracks += 1
        self.tagged += bool(track.tags.values)
        self.raw_values += len(track.tags.values)
        if outcome.error is not None:
            failed = self.unresolved if track.error is None else self.unread
            failed[track.path] = outcome.error
        elif resolved is not None:
            self.genres.update(each.genre.id or each.key for each in resolved.genres)
            self.created += sum(each.created for each in resolved.genres)
            self.dropped.update(part.reason for part in resolved.dropped)
            self.review.update(part.text for part in resolved.review)


def scan(
    registry: GenreRegistryClient,
    paths: Sequence[str],
    tell: Callable[[Outcome], object],
    *,
    jobs: int,
    advance: Callable[[int], object],
    validate_only: bool = False,
) -> Summary:
    """
    Read and resolve the audio files *paths*, and tell what became of each, in order.

    A batch that fails is told with the error, and the scan goes on.

    Args:
        jobs: Processes that read tags, at least 1.
        advance: Told how many tracks each batch was.
        validate_only: Resolve as if, and write nothing.
    """
    summary = Summary()
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, live_with_the_parent) as pool:
        try:
            for tracks in _read_ahead(pool, paths, ahead=2 * jobs):
                for batch in _batches(tracks):
                    for outcome in _resolve(registry, batch, validate_only=validate_only):
                        summary.add(outcome)
                        tell(outcome)
                advance(len(tracks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return summary


def _read_ahead(
    pool: ProcessPoolExecutor, paths: Sequence[str], *, ahead: int
) -> Iterator[list[Track]]:
    """Give the tracks of *paths* in order, a batch at a time, with *ahead* batches under way."""
    batches = iter(_chunks(paths, BATCH_TRACKS))
    under_way: deque[Future[list[Track]]] = deque()
    for batch in islice(batches, ahead):
        under_way.append(pool.submit(read_tracks, batch))
    while under_way:
        tracks = under_way.popleft().result()
        for batch in islice(batches, 1):
            under_way.append(pool.submit(read_tracks, batch))
        yield tracks


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _batches(tracks: Iterable[Track]) -> Iterator[list[Track]]:
    """Part *tracks* so that each batch fits into a request, a huge tag in one of its own."""
    batch: list[Track] = []
    characters = 0
    for track in tracks:
        length = sum(map(len, track.tags.values))
        if batch and characters + length > BATCH_CHARACTERS_MAX:
            yield batch
            batch, characters = [], 0
        batch.append(track)
        characters += length
    yield batch


def _resolve(
    registry: GenreRegistryClient, tracks: list[Track], *, validate_only: bool
) -> Iterator[Outcome]:
    """Give what becomes of each of *tracks*, which are one request."""
    tagged = [track.tags for track in tracks if track.tags.values]
    answers: Iterator[ResolvedTags] = iter(())
    error: str | None = None
    if tagged:
        try:
            answers = iter(registry.resolve_tags(tagged, validate_only=validate_only))
        except RegistryError as failure:
            error = str(failure)
    for track in tracks:
        if track.error is not None or not track.tags.values:
            yield Outcome(track, error=track.error)
        elif error is not None:
            yield Outcome(track, error=error)
        else:
            yield Outcome(track, next(answers))
