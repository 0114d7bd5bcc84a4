"""A scan from end to end: read, resolve, tell what became of each track, sum up."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from worker_client import GenreRegistryClient, RegistryError, ResolvedTags
from worker_client.scan.readers import Readers
from worker_client.scan.stopping import Stopped
from worker_client.scan.summary import Summary
from worker_client.scan.tracks import Outcome, Track

BATCH_CHARACTERS_MAX = 500_000
"""Characters in one request, which gRPC limits to 4 MiB."""


def scan(
    registry: GenreRegistryClient,
    paths: Iterable[str],
    tell: Callable[[Outcome], object],
    *,
    readers: Readers,
    advance: Callable[[int], object],
    validate_only: bool = False,
    awaiting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Summary:
    """
    Read and resolve the audio files *paths*, and tell what became of each, in order.

    A batch that fails is told with the error, and the scan goes on.

    Args:
        advance: Told how many tracks each batch was.
        validate_only: Resolve as if, and write nothing.
        awaiting: Entered around reading and around resolving; if it raises Stopped, the
            scan ends there, and what was not told is as if it was not read.
    """
    summary = Summary()
    read = readers.read(paths)
    try:
        while True:
            with awaiting():
                tracks = next(read, None)
            if tracks is None:
                return summary
            for batch in _batches(tracks):
                with awaiting():
                    outcomes = list(_resolve(registry, batch, validate_only=validate_only))
                for outcome in outcomes:
                    summary.add(outcome)
                    tell(outcome)
            advance(len(tracks))
    except Stopped:
        return summary


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
