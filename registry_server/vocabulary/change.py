"""The journal's values: what a change did, by whom, and what it made of a genre."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from registry_server.vocabulary.genre import Genre


class ChangeKind(Enum):
    """What a change did. The values are those of the database."""

    CREATED = "created"
    LINKED = "linked"
    UPDATED = "updated"
    ALIAS_ADDED = "alias_added"
    ALIAS_REMOVED = "alias_removed"
    MERGED = "merged"
    UNMERGED = "unmerged"
    DELETED = "deleted"
    UNDELETED = "undeleted"
    SPELLING_BLOCKED = "spelling_blocked"
    SPELLING_UNBLOCKED = "spelling_unblocked"
    SPELLING_DISTINGUISHED = "spelling_distinguished"
    REVIEW_SETTLED = "review_settled"
    PACKS_CHANGED = "packs_changed"


PACKS = "packs"
"""Who did what the reference packs brought."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one field of a genre lost and gained; ids elsewhere as "whose=value"."""

    field: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change, as the journal has it.

    `genre_id` and `source_id` are 0 where none was concerned. `genre` is the genre as of
    then, where it was asked for.
    """

    revision: int
    kind: ChangeKind
    genre_id: int
    source_id: int
    spelling: str
    time_us: int
    who: str
    differences: tuple[Difference, ...] = ()
    genre: Genre | None = None


def differences(before: Genre | None, after: Genre) -> tuple[Difference, ...]:
    """Return what became of a genre's fields; *before* is None for a genre just created."""
    return tuple(
        Difference(field, _without(old, set(new)), _without(new, set(old)))
        for field, old, new in _fields(before, after)
        if old != new and set(old) != set(new)
    )


def _without(values: tuple[str, ...], others: set[str]) -> tuple[str, ...]:
    return tuple([value for value in values if value not in others])


def _fields(
    before: Genre | None, after: Genre
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    pairs = [_texts(before) if before else {}, _texts(after)]
    for field in pairs[1]:
        yield field, pairs[0].get(field, ()), pairs[1][field]


def _texts(genre: Genre) -> dict[str, tuple[str, ...]]:
    return {
        "name": (genre.name,),
        "aliases": genre.aliases,
        "parent_ids": tuple(map(str, genre.parent_ids)),
        "external_ids": tuple(f"{whose}={value}" for whose, value in genre.external_ids),
        "description": (genre.description,) if genre.description else (),
        "state": () if genre.is_active else (genre.state.value,),
    }
