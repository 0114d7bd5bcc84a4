"""What is alike in all requests for many things: how many, under which id, told once."""

from collections.abc import Sized

from registry_server.outcomes import Resolution
from registry_server.vocabulary.refusals import (
    BATCH_SIZE_MAX,
    REQUEST_ID_LENGTH_MAX,
    BatchTooLarge,
    RequestIdTooLong,
)


def check_batch(items: Sized, *, field: str) -> None:
    """
    See that there are at most 1000 *items*.

    Raises:
        BatchTooLarge: there are more.
    """
    if len(items) > BATCH_SIZE_MAX:
        raise BatchTooLarge(len(items), field=field)


def check_request_id(request_id: str) -> None:
    """
    See that *request_id* has at most 64 characters.

    Raises:
        RequestIdTooLong: it has more.
    """
    if len(request_id) > REQUEST_ID_LENGTH_MAX:
        raise RequestIdTooLong(len(request_id))


class Telling:
    """Within one call, only the first mention of a created genre is told so."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def once(self, resolution: Resolution) -> Resolution:
        genre_id = resolution.known.genre.id
        if not resolution.created or genre_id == 0:
            return resolution
        if genre_id in self._told:
            return Resolution(resolution.known, created=False)
        self._told.add(genre_id)
        return resolution
