"""What curating answers, as plain frozen values: merges, reviews, the journal, the change feed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Self

from worker_client._values import Genre


class ChangeType(Enum):
    """
    What a change did; the names are the contract's.

    HEARTBEAT is no change: the watch is alive and has caught up. OTHER is what only a newer
    server than this client knows.
    """

    OTHER = -1
    HEARTBEAT = 0
    CREATED = 1
    LINKED = 2
    UPDATED = 3
    ALIAS_ADDED = 4
    ALIAS_REMOVED = 5
    MERGED = 6
    UNMERGED = 7
    DELETED = 8
    UNDELETED = 9
    SPELLING_BLOCKED = 10
    SPELLING_UNBLOCKED = 11
    SPELLING_DISTINGUISHED = 12
    REVIEW_SETTLED = 13
    PACKS_CHANGED = 14


@dataclass(frozen=True, slots=True)
class GenreChange:
    """
    A change as a watcher hears of it, or a heartbeat.

    Attributes:
        revision: The change's own; a heartbeat's is the last one told.
        genre: As of then; None for a heartbeat, and where no genre was concerned.
        source_id: The other genre, of a merge or its undoing; else 0.
        spelling: What was blocked, freed, pinned or decided on; else "".
        incarnation: The registry's; revisions compare only within one.
    """

    revision: int
    type: ChangeType
    genre: Genre | None
    source_id: int
    spelling: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Difference:
    """
    What became of one field of a genre.

    Attributes:
        field: "name", "aliases", "parent_ids", "external_ids" (as "whose=value"),
            "description" or "state".
        removed: What it no longer holds, as text.
        added: What it holds now, as text.
    """

    field: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """
    A change, as the journal has it.

    Attributes:
        who: The name of the token that was shown; "local" where none was needed, "packs" for
            what a reference pack brought, "" if it is not known.
        genre_id: The genre that was concerned; 0 if none.
        source_id: The other genre, of a merge or its undoing; else 0.
        spelling: What was blocked, freed, pinned or decided on; else "".
    """

    revision: int
    type: ChangeType
    time: datetime
    who: str
    genre_id: int
    source_id: int
    spelling: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class IdClash:
    """
    An id elsewhere that could not be united, as the target of a merge has another.

    Attributes:
        whose: "musicbrainz" and the like.
        kept: The value that stays.
        hidden: The value that is shown no more; an unmerge brings it back.
        source_id: The genre that brought it.
    """

    whose: str
    kept: str
    hidden: str
    source_id: int


@dataclass(frozen=True, slots=True)
class MergedGenres:
    """
    What a merge comes to.

    Attributes:
        genre: The target as it is then.
        redirected_ids: Every id that answers with the target now and did not before.
        reparented: The genres whose parents changed, as they are then, by ascending id.
        clashes: What could not be united.
    """

    genre: Genre
    redirected_ids: tuple[int, ...]
    reparented: tuple[Genre, ...]
    clashes: tuple[IdClash, ...]


@dataclass(frozen=True, slots=True)
class UnmergedGenre:
    """What undoing a merge came to: the genre that is one again, and what had survived it."""

    genre: Genre
    survivor: Genre


class ReviewDecision(Enum):
    """What a curator decided on a compound; the names are the contract's."""

    UNDECIDED = 0
    KEEP = 1
    DROP = 2
    ALIAS = 3
    EXPAND = 4


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    What a compound is; made by one of the four methods.

    Attributes:
        genre_id: The genre that it is a spelling of, if *decision* is ALIAS; else 0.
        names: What it means, if *decision* is EXPAND; else empty.
    """

    decision: ReviewDecision
    genre_id: int = 0
    names: tuple[str, ...] = ()

    @classmethod
    def keep(cls) -> Self:
        """It is one genre as it stands, and known from now on, as if a pack knew it."""
        return cls(ReviewDecision.KEEP)

    @classmethod
    def drop(cls) -> Self:
        """It names no genre: its own is deleted, or else the spelling blocked."""
        return cls(ReviewDecision.DROP)

    @classmethod
    def alias_of(cls, genre_id: int) -> Self:
        """It is another spelling of a genre: its own is merged into that one."""
        return cls(ReviewDecision.ALIAS, genre_id=genre_id)

    @classmethod
    def expand_into(cls, names: Iterable[str]) -> Self:
        """It means genres of 1 to 100 *names*, created if new: its own is deleted."""
        return cls(ReviewDecision.EXPAND, names=tuple(names))


@dataclass(frozen=True, slots=True)
class Review:
    """
    A compound that no rule could decide.

    Attributes:
        text: The compound.
        rule: The splitting rule that could not decide: "R7" (slash) or "R8" (comma).
        raw_value: The first raw value that held it.
        times_seen: How often; counts are written down now and then.
        genre: What it reaches now; None if nothing.
        names: What it means, if it was expanded.
    """

    text: str
    rule: str
    raw_value: str
    first_seen_time: datetime
    times_seen: int
    genre: Genre | None
    decision: ReviewDecision
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettledReview:
    """A review, decided, and the genres that the compound stands for now."""

    review: Review
    genres: tuple[Genre, ...]
