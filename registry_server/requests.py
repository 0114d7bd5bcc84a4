"""What is alike in all requests for many things: how many, under which id, told once."""

from collections.abc import Sized
from dataclasses import replace

from registry_server.hot_cache import Known
from registry_server.outcomes import Resolution
from registry_server.vocabulary.refusals import (
    BATCH_SIZE_MAX,
    REQUEST_ID_LENGTH_MAX,
    BatchTooLarge,
    PageSizeNegative,
    RequestIdTooLong,
)

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000


def check_batch(items: Sized, *, field: str) -> None:
    """
    See that there are at most 1000 *items*.

    Raises:
        BatchTooLarge: there are more.
    """
    if len(items) > BATCH_SIZE_MAX:
        raise BatchTooLarge(len(items), field=field)


def page_size_of(page_size: int) -> int:
    """
    Return how many items a page holds at most: 100 if 0 are asked for, and 1000 at most.

    Raises:
        PageSizeNegative: *page_size* is below 0.
    """
    if page_size < 0:
        raise PageSizeNegative
    return min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def check_request_id(request_id: str) -> None:
    """
    See that *request_id* has at most 64 characters.

    Raises:
        RequestIdTooLong: it has more.
    """
    if len(request_id) > REQUEST_ID_LENGTH_MAX:
        raise RequestIdTooLong(len(request_id))


class Telling:
    """Within one call, only the first mention of a created genre, or of a would-be, is told so."""

    def __init__(self) -> None:
        self._told: set[int | Known] = set()

    def once(self, resolution: Resolution) -> Resolution:
        if not resolution.created:
            return resolution
        genre = resolution.known.genre.id or resolution.known
        if genre in self._told:
            return replace(resolution, created=False)
        self._told.add(genre)
        return resolution
