"""What calls come to, before the transport writes it down."""

from dataclasses import dataclass, field

from registry_server.hot_cache import Known
from registry_server.vocabulary.change import Change
from registry_server.vocabulary.edits import Review
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Meaning
from registry_server.vocabulary.tags import Dropped, Rule, Step, Undecided


@dataclass(frozen=True, slots=True)
class Resolution:
    """
    The genre that a name reaches, and whether this logical request created it.

    `key` is the one that reached it, "" for one that had to be created. A genre that would
    be created has the id 0.
    """

    known: Known
    created: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedPart:
    """
    A part of a raw tag value, resolved; `meaning` is what the packs say of it, `key` one for
    all spellings of the genre.
    """

    resolution: Resolution
    spelling: Spelling
    rule: Rule
    meaning: Meaning | None
    key: str


@dataclass(slots=True, eq=False)
class ResolvedTags:
    """
    What one tag set came to.

    `encoded` is the transport's own: the answer as bytes, good while the genres are those of
    `encoded_for`. `knowns` are those of the parts.
    """

    parts: tuple[ResolvedPart, ...]
    dropped: tuple[Dropped, ...]
    review: tuple[Undecided, ...]
    knowns: tuple[Known, ...] = field(init=False)
    encoded: bytes | None = None
    encoded_for: tuple[Genre, ...] = ()

    def __post_init__(self) -> None:
        self.knowns = tuple([part.resolution.known for part in self.parts])


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """
    A step of splitting, or the step from a part to its genre: by which key, and, in words,
    why.
    """

    split: Step | None = None
    part: ResolvedPart | None = None
    key: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of genres; `revision` is the one its first page was read at."""

    genres: tuple[Genre, ...]
    next_page_token: str
    revision: int
    incarnation: str


@dataclass(frozen=True, slots=True)
class Reviews:
    """A page of reviews."""

    reviews: tuple[Review, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class History:
    """A page of the journal."""

    changes: tuple[Change, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class PackImport:
    """
    What an import of a pack came to: names that were left out, and how many genres of the
    registry gained something.
    """

    version: str
    genres: int
    skipped: tuple[str, ...]
    changed: int
    revision: int
