"""What the registry answers, as plain frozen values: the contract's words without its messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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


class GenreState(Enum):
    """What has become of a genre."""

    ACTIVE = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class Genre:
    """
    A genre as of its last change.

    Attributes:
        id: Is for ever; 0 for one that was asked about and would be created, whose times
            and revision mean nothing yet.
        name: Is for people.
        aliases: Other spellings that reach it, sorted.
        parent_ids: The genres that it is a kind of, ascending.
        external_ids: Its ids elsewhere, by place ("musicbrainz"). A plain dict, so that a
            genre goes to other processes; not to be changed.
        state: Whether it is in use.
        description: A curator's words about it, at most 2000 characters.
        redirected_from_id: What was asked for, if that id was merged into this genre; else 0.
            Told by `get_genre` and `batch_get_genres` alone, and no part of the value: a
            genre equals itself however it was asked for.
    """

    id: int
    name: str
    create_time: datetime
    update_time: datetime
    revision: int
    aliases: tuple[str, ...] = ()
    parent_ids: tuple[int, ...] = ()
    external_ids: Mapping[str, str] = field(default_factory=dict, hash=False)
    state: GenreState = GenreState.ACTIVE
    description: str = ""
    redirected_from_id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Resolution:
    """The genre that a name reaches, and whether this very request created it."""

    genre: Genre
    created: bool


@dataclass(frozen=True, slots=True)
class TagSet:
    """
    The raw genre values of one file, all of them, as the file holds them.

    Raises:
        TypeError: the values are no tuple: a tag set is a value that others are found by.
    """

    values: tuple[str, ...]
    # Hashing it would cost more than all else, and tell few apart.
    container: TagContainer = field(default=TagContainer.UNSPECIFIED, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple):
            raise TypeError('TagSet: values are a tuple of texts, as in TagSet(("Rock",))')


@dataclass(frozen=True, slots=True)
class ResolvedGenre:
    """
    A genre that a raw value names.

    Attributes:
        spelling: The part of the value that names it, decoded and trimmed.
        rule: What found the part ("R4").
        key: Equal for all spellings of one genre, also of one that would be created; its
            form may change with the server's version.
        pack: The reference pack that knows the genre ("musicbrainz"); "" if none does.
    """

    genre: Genre
    created: bool
    spelling: str
    rule: str
    key: str = ""
    pack: str = ""


@dataclass(frozen=True, slots=True)
class DroppedPart:
    """A part of a raw value that names no genre, and why ("NAME_TOO_LONG")."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReviewPart:
    """A compound that *rule* could not decide: left whole, a genre as it is, for a curator."""

    text: str
    rule: str


@dataclass(frozen=True, slots=True)
class ResolvedTags:
    """What one tag set came to: each genre once, in the order of the tag."""

    genres: tuple[ResolvedGenre, ...]
    dropped: tuple[DroppedPart, ...]
    review: tuple[ReviewPart, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """
    One step on the way from a raw value to genres.

    Attributes:
        rule: The splitting rule at work ("R7"), or "IDENTITY": from a part to its genre.
        text: What the step looked at.
        parts: What it made of that, in the order of the tag; empty if it dropped it.
        note: Why, in words.
        key: The identity key that decided, at an identity step.
        packs: The reference packs that know the text or its parts, where that decided.
        genre: What is reached, at an identity step; its id is 0 if it would be created.
    """

    rule: str
    text: str
    parts: tuple[str, ...]
    note: str
    key: str
    packs: tuple[str, ...]
    genre: Genre | None


@dataclass(frozen=True, slots=True)
class ImportedPack:
    """
    What the import of a reference pack came to.

    Attributes:
        version: The pack's from now on.
        genres: How many it holds.
        skipped: Names that can be no genre's name, and were left out.
        changed: How many genres of the registry gained an id, an alias or a parent.
        revision: The registry's after the import.
    """

    version: str
    genres: int
    skipped: tuple[str, ...]
    changed: int
    revision: int


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
