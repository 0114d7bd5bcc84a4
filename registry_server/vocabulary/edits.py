"""What all edits have in common, and what they come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from registry_server.vocabulary.curated import Decided
from registry_server.vocabulary.genre import Genre


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A curator's wish. `who` is the caller's name, for the journal."""

    who: str = ""


class Decision(Enum):
    """What a curator may decide of a compound. The values are those of the database."""

    NONE = ""
    KEEP = "keep"
    DROP = "drop"
    ALIAS = "alias"
    EXPAND = "expand"


@dataclass(frozen=True, slots=True)
class Clash:
    """An id elsewhere that a merge could not unite: the target has another of `whose`."""

    whose: str
    kept: str
    hidden: str
    source_id: int


@dataclass(frozen=True, slots=True)
class Review:
    """
    A compound on the review list; `genre` is what it reaches, `names` what it was
    expanded into.
    """

    key: str
    text: str
    rule: str
    raw_value: str
    first_seen_us: int
    times_seen: int
    decision: Decision
    names: tuple[str, ...]
    genre: Genre | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """
    What an edit came to, whichever it was; what it has nothing to say of is empty.

    Attributes:
        genre: The genre that the edit was about, as it is then.
        survivor: The genre that an unmerged one had been merged into.
        created: Whether the genre is new.
        redirected_ids: What answers with the genre from now on and did not before.
        reparented: Genres whose parents changed.
        clashes: What a merge could not unite.
        review: The review that was settled.
        genres: What the reviewed compound stands for now.
        imported: What became of some records.
    """

    genre: Genre | None = None
    survivor: Genre | None = None
    created: bool = False
    redirected_ids: tuple[int, ...] = ()
    reparented: tuple[Genre, ...] = ()
    clashes: tuple[Clash, ...] = ()
    review: Review | None = None
    genres: tuple[Genre, ...] = ()
    imported: "Imported | None" = None


class Mapped(NamedTuple):
    """The id of a genre there and here, and its name here."""

    old_id: int
    new_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that could not be taken in as it is, and what was done instead."""

    record: int
    text: str
    reason: str
    message: str


@dataclass(slots=True)
class Imported:
    """
    What became of some records of an import: `created` and `changed` are ids of genres,
    `revision` is the registry's after all.
    """

    done: int = 0
    total: int = 0
    created: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    mappings: list[Mapped] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    revision: int = 0

    def without(self, told: set[int]) -> "Imported":
        """Tell of no genre that changed twice, nor of one that is new; take note in *told*."""
        told.update(self.created)
        self.changed = [each for each in dict.fromkeys(self.changed) if each not in told]
        told.update(self.changed)
        return self


@dataclass(frozen=True, slots=True)
class Effects:
    """
    What edits made together changed, for whoever remembers something.

    Attributes:
        changed: Genres, as they are now.
        gone: Ids that answer with another genre from now on.
        reached: What each key reaches now that may have reached something else; None for
            nothing.
        decided: What curators decided of those keys.
        pinned: Of the strict keys that an edit pinned or freed, whether they are pinned now.
    """

    changed: Mapping[int, Genre]
    gone: frozenset[int]
    reached: Mapping[str, Genre | None]
    decided: Mapping[str, Decided]
    pinned: Mapping[str, bool]
