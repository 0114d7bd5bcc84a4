"""The values that travel between the rooms."""

from dataclasses import dataclass

from registry_server.vocabulary.identity import Spelling


@dataclass(frozen=True, slots=True)
class Genre:
    """
    A genre as of its last change.

    `request_id` names the logical request that created it ("" for none); it
    stays within the server. Times are microseconds since 1970, UTC.
    """

    id: int
    name: str
    revision: int
    create_time_us: int
    update_time_us: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's wish that *spelling* reach a genre, whichever is first to make it."""

    spelling: Spelling
    request_id: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of a claim: the genre, and whether this very claim made it."""

    genre: Genre
    made: bool


@dataclass(frozen=True, slots=True)
class RegistryState:
    """Where a registry stands: the revision of its last change, and which registry it is."""

    revision: int
    incarnation: str


@dataclass(frozen=True, slots=True)
class GenrePage:
    """Genres by ascending id, and the state they were read at, in one snapshot."""

    genres: tuple[Genre, ...]
    more: bool
    state: RegistryState
