"""A scan from end to end: read, resolve, write a line a track, sum up."""

import json
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


@dataclass(slots=True)
class Summary:
    """What a scan came to. `unread` and `unresolved` are paths with the reason."""

    tracks: int = 0
    tagged: int = 0
    raw_values: int = 0
    created: int = 0
    genres: Counter[int] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unread: dict[str, str] = field(default_factory=dict)
    unresolved: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every file was read and resolved."""
        return not self.unread and not self.unresolved


def scan(
    registry: GenreRegistryClient,
    paths: Sequence[str],
    write_line: Callable[[str], object],
    *,
    jobs: int,
    advance: Callable[[int], object],
) -> Summary:
    """
    Read and resolve the audio files *paths*, and write one JSON line for each.

    A batch that fails is written down with the error, and the scan goes on.

    Args:
        jobs: Processes that read tags, at least 1.
        write_line: Takes each line, without its end.
        advance: Told how many tracks each batch was.
    """
    summary = Summary()
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, live_with_the_parent) as pool:
        try:
            for tracks in _read_ahead(pool, paths, ahead=2 * jobs):
                for batch in _batches(tracks):
                    for line in _resolve(registry, batch, summary):
                        write_line(json.dumps(line, ensure_ascii=_is_odd(line["path"])))
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
    registry: GenreRegistryClient, tracks: list[Track], summary: Summary
) -> Iterator[dict[str, object]]:
    """Give one line for each of *tracks*, and count it."""
    tagged = [track for track in tracks if track.tags.values]
    answers: Iterator[ResolvedTags] | None = None
    error = ""
    if tagged:
        try:
            answers = iter(registry.resolve_tags(track.tags for track in tagged))
        except RegistryError as failure:
            error = str(failure)
    for track in tracks:
        summary.tracks += 1
        line: dict[str, object] = {
            "path": track.path,
            "container": track.tags.container.name,
            "raw_values": track.tags.values,
            "genres": [],
        }
        if track.error is not None:
            summary.unread[track.path] = line["error"] = track.error
        elif track.tags.values:
            summary.tagged += 1
            summary.raw_values += len(track.tags.values)
            if answers is None:
                summary.unresolved[track.path] = line["error"] = error
            else:
                _tell(line, next(answers), summary)
        yield line


def _tell(line: dict[str, object], resolved: ResolvedTags, summary: Summary) -> None:
    line["genres"] = [
        {"id": each.genre.id, "name": each.genre.name, "created": each.created}
        for each in resolved.genres
    ]
    if resolved.dropped:
        line["dropped"] = [{"text": part.text, "reason": part.reason} for part in resolved.dropped]
    summary.genres.update(each.genre.id for each in resolved.genres)
    summary.created += sum(each.created for each in resolved.genres)
    summary.dropped.update(part.reason for part in resolved.dropped)


def _is_odd(path: object) -> bool:
    """Whether *path* holds bytes that are no UTF-8 and must be escaped to be written."""
    return not str(path).isascii() and any("\ud800" <= c <= "\udfff" for c in str(path))
