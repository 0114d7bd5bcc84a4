"""A scan from end to end: read, resolve, tell what became of each track, sum up."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from worker_client import (
    GenreRegistryClient,
    InvalidRequest,
    RegistryError,
    ResolvedTags,
    TagSet,
)
from worker_client.scan.stopping import Stopped
from worker_client.scan.summary import Summary
from worker_client.scan.tracks import Outcome, Track

REQUEST_TRACKS = 384
"""
Tracks in one request, or a few more: their tags are mostly known, and some are asked for. A
scan that asked with 128, and so three times as often, took 5 % longer.
"""
BATCH_CHARACTERS_MAX = 500_000
"""Characters in one request, which gRPC limits to 4 MiB."""


def scan(
    registry: GenreRegistryClient,
    read: Iterator[list[Track]],
    tell: Callable[[Outcome], object],
    *,
    advance: Callable[[int], object],
    validate_only: bool = False,
    awaiting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Summary:
    """
    Resolve the tracks that are *read*, and tell what became of each, in order.

    A batch that fails is told with the error, and the scan goes on.

    Args:
        advance: Told how many tracks are done, some at a time.
        validate_only: Resolve as if, and write nothing.
        awaiting: Entered around reading and around resolving; if it raises Stopped, the
            scan ends there, and what was not told is as if it was not read.
    """
    summary = Summary()
    try:
        is_over = False
        while not is_over:
            tracks: list[Track] = []
            while len(tracks) < REQUEST_TRACKS and not is_over:
                with awaiting():
                    some = next(read, None)
                is_over = some is None
                tracks += some or ()
            for batch in _batches(tracks):
                with awaiting():
                    outcomes = list(_resolve(registry, batch, validate_only=validate_only))
                for outcome in outcomes:
                    summary.add(outcome)
                    tell(outcome)
            advance(len(tracks))
    except Stopped:
        pass
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
    answers = iter(_answers(registry, tagged, validate_only=validate_only) if tagged else ())
    for track in tracks:
        if track.error is not None or not track.tags.values:
            yield Outcome(track, error=track.error)
            continue
        answer = next(answers)
        if isinstance(answer, str):
            yield Outcome(track, error=answer)
        else:
            yield Outcome(track, answer)


def _answers(
    registry: GenreRegistryClient, tag_sets: list[TagSet], *, validate_only: bool
) -> Sequence[ResolvedTags | str]:
    """Return what each of *tag_sets* comes to, or why it could not be resolved."""
    try:
        return registry.resolve_tags(tag_sets, validate_only=validate_only)
    except InvalidRequest as failure:
        # One of them can't be asked: it alone is to fail.
        if len(tag_sets) > 1:
            middle = len(tag_sets) // 2
            halves = (tag_sets[:middle], tag_sets[middle:])
            return [
                answer
                for half in halves
                for answer in _answers(registry, half, validate_only=validate_only)
            ]
        return [str(failure)]
    except RegistryError as failure:
        return [str(failure)] * len(tag_sets)
