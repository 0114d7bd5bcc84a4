"""
Duplicates: which genres of a registry probably are one, and which of two should survive?

Pure. No rule of identity joins them, nor does a reference pack: a person decides.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from worker_client._curation_values import Change, ChangeType
from worker_client._near import bare, near_pairs
from worker_client._values import Genre, GenreState

MUSICBRAINZ = "musicbrainz"


class Likeness(Enum):
    """Why two genres may be one, the best reason first; the value is for people."""

    SAME_MUSICBRAINZ_ID = "same MusicBrainz id"
    SAME_LETTERS = "same letters"
    ONE_SLIP = "one slip apart"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """
    Two genres that may be one.

    Attributes:
        source: The one to merge into the other: it has fewer ids elsewhere, or else fewer
            children, or else the higher id.
        target: The one to survive.
        source_spelling: Its name, or that of its aliases which is like one of the other's.
        target_spelling: The other's.
    """

    source: Genre
    target: Genre
    likeness: Likeness
    source_spelling: str
    target_spelling: str


def duplicates(genres: Sequence[Genre], *, with_different: bool = False) -> list[Duplicate]:
    """
    Return every two of *genres* that may be one, each pair once, the likeliest first.

    They have the same MusicBrainz id, or spellings that nearly agree (`near_pairs`), be these
    names or aliases. Deleted genres are not compared.

    Args:
        with_different: Also those that are known to be two: both have MusicBrainz ids, and
            different ones; or one is a kind of the other.
    """
    active = [genre for genre in genres if genre.state is GenreState.ACTIVE]
    children = Counter(parent_id for genre in active for parent_id in genre.parent_ids)

    def weight(genre: Genre) -> tuple[int, int, int]:
        return len(genre.external_ids), children[genre.id], -genre.id

    found: dict[tuple[int, int], Duplicate] = {}
    for alike in (*_same_ids(active), *sorted(_near(active), key=_rank)):
        source, target = sorted((alike.source, alike.target), key=weight)
        if source is not alike.source:
            alike = Duplicate(
                source, target, alike.likeness, alike.target_spelling, alike.source_spelling
            )
        if with_different or not _are_different(source, target):
            found.setdefault((source.id, target.id), alike)
    return sorted(found.values(), key=_rank)


def are_kept_apart(pair: Duplicate, changes: Iterable[Change]) -> bool:
    """Whether a curator has said that the two are two: *changes* are those of both."""
    ids, spellings = (
        {pair.source.id, pair.target.id},
        {pair.source_spelling, pair.target_spelling},
    )
    return any(
        (change.type is ChangeType.UNMERGED and {change.genre_id, change.source_id} == ids)
        or (change.type is ChangeType.SPELLING_DISTINGUISHED and change.spelling in spellings)
        for change in changes
    )


def _same_ids(genres: Sequence[Genre]) -> Iterator[Duplicate]:
    """Give those with one MusicBrainz id; a registry holds none, unless something is wrong."""
    sharing: defaultdict[str, list[Genre]] = defaultdict(list)
    for genre in genres:
        if external_id := genre.external_ids.get(MUSICBRAINZ):
            sharing[external_id].append(genre)
    for same in sharing.values():
        for at, first in enumerate(same):
            for second in same[at + 1 :]:
                likeness = Likeness.SAME_MUSICBRAINZ_ID
                yield Duplicate(first, second, likeness, first.name, second.name)


def _near(genres: Sequence[Genre]) -> Iterator[Duplicate]:
    spelled = [(text, genre) for genre in genres for text in (genre.name, *genre.aliases)]
    for a, b in near_pairs([text for text, _ in spelled]):
        (first_text, first), (second_text, second) = spelled[a], spelled[b]
        if first is not second:
            is_same = bare(first_text) == bare(second_text)
            likeness = Likeness.SAME_LETTERS if is_same else Likeness.ONE_SLIP
            yield Duplicate(first, second, likeness, first_text, second_text)


def _rank(pair: Duplicate) -> tuple[int, int, str, str, int]:
    """Order by likeness; of one pair, likeness between names counts for more."""
    aliases = (pair.source_spelling != pair.source.name) + (
        pair.target_spelling != pair.target.name
    )
    texts = sorted((pair.source_spelling, pair.target_spelling))
    return _RANKS[pair.likeness], aliases, texts[0], texts[1], pair.source.id


def _are_different(first: Genre, second: Genre) -> bool:
    ids = {genre.external_ids.get(MUSICBRAINZ, "") for genre in (first, second)}
    return len(ids - {""}) == 2 or first.id in second.parent_ids or second.id in first.parent_ids


_RANKS = {likeness: rank for rank, likeness in enumerate(Likeness)}
