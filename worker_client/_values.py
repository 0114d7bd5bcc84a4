"""What the registry answers, as plain frozen values: the contract's words without its messages."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class TagContainer(Enum):
    """The kind of tag that raw values were read from; the names are the contract's."""

    UNSPECIFIED = 0
    ID3V1 = 1
    ID3V23 = 2
    ID3V24 = 3
    VORBIS = 4
    MP4 = 5
    APE = 6
    ASF = 7


@dataclass(frozen=True, slots=True)
class Genre:
    """A genre as of its last change. Its `id` is for ever; its `name` is for people."""

    id: int
    name: str
    create_time: datetime
    update_time: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """The genre that a name reaches, and whether this very request created it."""

    genre: Genre
    created: bool


@dataclass(frozen=True, slots=True)
class TagSet:
    """The raw genre values of one file, all of them, as the file holds them."""

    values: tuple[str, ...]
    container: TagContainer = TagContainer.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class ResolvedGenre:
    """A genre that a raw value names: the part that names it, and the rule that found the part."""

    genre: Genre
    created: bool
    spelling: str
    rule: str


@dataclass(frozen=True, slots=True)
class DroppedPart:
    """A part of a raw value that names no genre, and why ("NAME_TOO_LONG")."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResolvedTags:
    """What one tag set came to: each genre once, in the order of the tag."""

    genres: tuple[ResolvedGenre, ...]
    dropped: tuple[DroppedPart, ...]


@dataclass(frozen=True, slots=True)
class GenrePage:
    """
    Some genres by ascending id.

    `next_page_token` is "" on the last page. `revision` is the registry's when the first
    page was read; revisions compare only within one `incarnation`.
    """

    genres: tuple[Genre, ...]
    next_page_token: str
    revision: int
    incarnation: str
