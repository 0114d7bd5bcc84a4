"""
A drop-in for code that used to search for genres over HTTP and then create them.

    genres = resolve_genres(["Hip-Hop", "hip hop", "R&B"])
    track.genre_ids = [genre.id for genre in genres.values()]

What each branch over status codes became:

    the old way                                   now
    200, and a genre of that name in the list     a genre in the answer
    200, and none, or one that only holds it      never seen: names are matched whole
    201 after POST                                a genre in the answer
    307, followed by hand                         no redirects
    400, 422: search once more, then give up      the name is left out: it can be no genre's
    409, UNIQUE constraint failed: search again   never seen: creating is atomic
    500: search again                             RegistryDefect, with an id for the log
    502, 503, 504: sleep and retry                waited and retried within the deadline,
                                                  then RegistryUnavailable
    time-out, swallowed                           DeadlineExceeded, or RegistryUnavailable
    the loser of a race got None                  every caller gets the genre
"""

import sys
from collections.abc import Iterable

from worker_client import (
    Genre,
    GenreRegistryClient,
    InvalidName,
    RegistryError,
    SpellingBlocked,
)

registry = GenreRegistryClient()  # 127.0.0.1:50051; opens nothing before the first call


def resolve_genres(names: Iterable[str]) -> dict[str, Genre]:
    """
    Return the genre of each name, created if it was not there; names that can be no genre's,
    or that a curator blocked, are left out.

    Raises:
        RegistryError: the registry could not be asked; nothing is half done.
    """
    wanted = list(dict.fromkeys(names))
    genres: dict[str, Genre] = {}
    for start in range(0, len(wanted), 1000):
        some = wanted[start : start + 1000]
        for name, outcome in zip(some, registry.batch_get_or_create(some), strict=True):
            if isinstance(outcome, (InvalidName, SpellingBlocked)):
                continue
            if isinstance(outcome, RegistryError):
                raise outcome
            genres[name] = outcome.genre
    return genres


if __name__ == "__main__":
    registry = GenreRegistryClient(sys.argv[1])
    for name, genre in resolve_genres(sys.argv[2:]).items():
        print(repr(name), genre.id, genre.name)
