"""The values that travel between the rooms."""

from dataclasses import dataclass
from enum import Enum

from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Knowledge, Reference


class State(Enum):
    """What has become of a genre."""

    ACTIVE = "active"
    DELETED = "deleted"
    BLOCKED = "blocked"
    """No genre at all, but what a blocked spelling reaches: it names none."""


@dataclass(frozen=True, slots=True)
class Genre:
    """
    A genre as of its last change.

    `request_id` names the logical request that created it ("" for none); it
    stays within the server. Times are microseconds since 1970, UTC. `aliases` are in
    the order of their keys, `parent_ids` ascend, `external_ids` are pairs of whose
    and which, sorted. An id of 0 is that of a genre that would be created, or of what a
    blocked spelling reaches.
    """

    id: int
    name: str
    revision: int
    create_time_us: int
    update_time_us: int
    request_id: str
    aliases: tuple[str, ...] = ()
    parent_ids: tuple[int, ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()
    state: State = State.ACTIVE
    description: str = ""

    @property
    def is_active(self) -> bool:
        return self.state is State.ACTIVE

    @classmethod
    def blocked(cls, spelling: str) -> "Genre":
        """Return what the blocked *spelling* reaches."""
        return cls(0, spelling, 0, 0, 0, "", state=State.BLOCKED)


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A caller's wish that *spelling* reach a genre, whichever is first to make it.

    `reference` is what `knowledge` says of that genre: the spelling reaches what the key of
    the reference reaches, and a new genre takes its synonyms, ids and parents. `who` is the
    caller's name, for the journal. `genre_id` is the id that a new genre is to have; 0 for
    the next.
    """

    spelling: Spelling
    request_id: str
    reference: Reference | None = None
    knowledge: Knowledge | None = None
    who: str = ""
    genre_id: int = 0

    @classmethod
    def by(
        cls,
        knowledge: Knowledge,
        spelling: Spelling,
        request_id: str = "",
        who: str = "",
        genre_id: int = 0,
    ) -> "Claim":
        """Return the claim to what *spelling* reaches, with what *knowledge* says of it."""
        meaning = knowledge.meaning(spelling)
        reference = meaning.reference if meaning else None
        return cls(spelling, request_id, reference, knowledge, who, genre_id)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that the spelling reaches a genre by, the first that does."""
        if self.reference is None or self.reference.key == self.spelling.fold:
            return (self.spelling.fold,)
        return (self.spelling.fold, self.reference.key)

    @property
    def name(self) -> Spelling:
        """What a new genre is called: a mere variant gives way to the packs' preferred name."""
        if self.reference is None or self.reference.may_be_named(self.spelling):
            return self.spelling
        return self.reference.name


@dataclass(frozen=True, slots=True)
class Sighting:
    """A compound that no rule could decide, seen *times* times; first in *raw_value*."""

    spelling: Spelling
    rule: str
    raw_value: str
    times: int


@dataclass(frozen=True, slots=True)
class Granted:
    """
    What became of a claim: the genre, and whether this very claim made it. `keys` reach it:
    all of a genre just made, else the one that did.
    """

    genre: Genre
    made: bool
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grants:
    """What became of claims made together, in their order; `changed` genres gained a parent."""

    granted: tuple[Granted, ...]
    changed: tuple[Genre, ...]


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
