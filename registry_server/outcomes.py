"""What calls come to, before the transport writes it down."""

from dataclasses import dataclass

from registry_server.hot_cache import Known
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.tags import Dropped, Rule


@dataclass(frozen=True, slots=True)
class Resolution:
    """The genre that a name reaches, and whether this logical request created it."""

    known: Known
    created: bool


@dataclass(frozen=True, slots=True)
class ResolvedPart:
    """A part of a raw tag value, resolved."""

    resolution: Resolution
    spelling: Spelling
    rule: Rule


@dataclass(frozen=True, slots=True)
class ResolvedTags:
    """What one tag set came to."""

    parts: tuple[ResolvedPart, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of genres; `revision` is the one its first page was read at."""

    genres: tuple[Genre, ...]
    next_page_token: str
    revision: int
    incarnation: str
