"""
What curators, watchers and importers may be answered instead of a genre.

    RegistryError
    ├── InvalidRequest
    │   ├── UpdateMaskInvalid, DescriptionTooLong, ExternalIdInvalid
    │   ├── NothingToMerge, SettlementMissing
    │   └── RevisionNegative, RecordInvalid
    ├── SpellingNotFound
    ├── Refused                 the registry stands against it; the metadata says where
    │   ├── SpellingBlocked, SpellingTaken, SpellingIsName
    │   ├── ExternalIdTaken, ParentCycle
    │   ├── GenreMerged, GenreDeleted, GenreNotMerged
    │   └── RegistryNotEmpty
    ├── RevisionMismatch
    ├── HistoryTrimmed
    └── TryLater
        └── WatcherTooSlow
"""

from collections.abc import Sequence

from registry_server.vocabulary.refusals import (
    InvalidRequest,
    RegistryError,
    TryLater,
    shown,
)

DESCRIPTION_LENGTH_MAX = 2000
"""Most characters of a description."""
EXTERNAL_ID_LENGTH_MAX = 200
"""Most characters of an id elsewhere."""
EXTERNAL_IDS_KNOWN = ("musicbrainz", "discogs", "lastfm", "spotify", "wikidata")
"""Whose ids a genre may have."""


class UpdateMaskInvalid(InvalidRequest):
    reason = "UPDATE_MASK_INVALID"

    def __init__(self, path: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"The update mask names {shown(path)}; it may name {', '.join(allowed)}.",
            field="update_mask",
        )


class DescriptionTooLong(InvalidRequest):
    reason = "DESCRIPTION_TOO_LONG"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"The description has {length} characters; {DESCRIPTION_LENGTH_MAX} are allowed.",
            field="genre.description",
        )


class ExternalIdInvalid(InvalidRequest):
    reason = "EXTERNAL_ID_INVALID"

    @classmethod
    def of_unknown(cls, whose: str) -> "ExternalIdInvalid":
        return cls(
            f"No id of {shown(whose)} is kept; there may be one of "
            f"{', '.join(EXTERNAL_IDS_KNOWN)}.",
            field="genre.external_ids",
        )

    @classmethod
    def with_value(cls, whose: str, value: str) -> "ExternalIdInvalid":
        return cls(
            f"{shown(value)} can be no id of {whose}: an id has 1 to {EXTERNAL_ID_LENGTH_MAX} "
            "printable characters and no white space.",
            field="genre.external_ids",
        )


def check_external_id(whose: str, value: str) -> None:
    """
    See that *value* can be an id of *whose*.

    Raises:
        ExternalIdInvalid: it can't, or no id of *whose* is kept.
    """
    if whose not in EXTERNAL_IDS_KNOWN:
        raise ExternalIdInvalid.of_unknown(whose)
    is_plain = value.isprintable() and not any(c.isspace() for c in value)
    if not 1 <= len(value) <= EXTERNAL_ID_LENGTH_MAX or not is_plain:
        raise ExternalIdInvalid.with_value(whose, value)


class NothingToMerge(InvalidRequest):
    reason = "NOTHING_TO_MERGE"

    def __init__(self) -> None:
        super().__init__("The request names no genre to merge.", field="source_ids")


class SettlementMissing(InvalidRequest):
    reason = "SETTLEMENT_MISSING"

    def __init__(self) -> None:
        super().__init__(
            "The request does not say what was decided: keep, drop, alias, or expand with names.",
            field="settlement",
        )


class RevisionNegative(InvalidRequest):
    reason = "REVISION_NEGATIVE"

    def __init__(self, field: str) -> None:
        super().__init__("The revision is negative.", field=field)


class RecordInvalid(InvalidRequest):
    reason = "RECORD_INVALID"

    def __init__(self, record: int, message: str) -> None:
        super().__init__(
            f"Record {record} can't be taken in: {message}", field="records", record=str(record)
        )


class SpellingNotFound(RegistryError):
    reason = "SPELLING_NOT_FOUND"

    @classmethod
    def of_genre(cls, spelling: str, genre_id: int, name: str) -> "SpellingNotFound":
        return cls(
            f"{shown(spelling)} does not reach genre {genre_id}, {shown(name)}.",
            spelling=spelling,
            genre_id=str(genre_id),
        )

    @classmethod
    def not_blocked(cls, spelling: str) -> "SpellingNotFound":
        return cls(f"{shown(spelling)} is not blocked.", spelling=spelling)


class Refused(RegistryError):
    """As the registry stands it can't be done; the metadata says what stands against it."""


class SpellingBlocked(Refused):
    reason = "SPELLING_BLOCKED"

    def __init__(self, spelling: str, genre_id: int = 0) -> None:
        if genre_id:
            message = f"{shown(spelling)} names genre {genre_id}, which was deleted."
            super().__init__(message, spelling=spelling, genre_id=str(genre_id))
        else:
            super().__init__(f"{shown(spelling)} is blocked: it names no genre.", spelling=spelling)


class SpellingTaken(Refused):
    reason = "SPELLING_TAKEN"

    def __init__(self, spelling: str, genre_id: int, name: str) -> None:
        super().__init__(
            f"{shown(spelling)} belongs to genre {genre_id}, {shown(name)}. Merge the two, or "
            "remove it there first.",
            spelling=spelling,
            genre_id=str(genre_id),
        )


class SpellingIsName(Refused):
    reason = "SPELLING_IS_NAME"

    def __init__(self, spelling: str, genre_id: int) -> None:
        super().__init__(
            f"{shown(spelling)} is the name of genre {genre_id}. Rename or delete the genre.",
            spelling=spelling,
            genre_id=str(genre_id),
        )


class ExternalIdTaken(Refused):
    reason = "EXTERNAL_ID_TAKEN"

    def __init__(self, whose: str, value: str, genre_id: int) -> None:
        super().__init__(
            f"The {whose} id {shown(value)} belongs to genre {genre_id}. Merge the two, or take "
            "it from there first.",
            whose=whose,
            value=value,
            genre_id=str(genre_id),
        )


class ParentCycle(Refused):
    reason = "PARENT_CYCLE"

    def __init__(self, genre_id: int, parent_id: int) -> None:
        super().__init__(
            f"Genre {genre_id} can't be a kind of itself."
            if genre_id == parent_id
            else f"Genre {genre_id} would become a kind of itself, by way of genre {parent_id}. "
            "Take away one of the parents between them first.",
            genre_id=str(genre_id),
            parent_id=str(parent_id),
        )


class GenreMerged(Refused):
    reason = "GENRE_MERGED"

    def __init__(self, genre_id: int, survivor_id: int) -> None:
        super().__init__(
            f"Genre {genre_id} was merged into genre {survivor_id}: name that one, or undo the "
            "merge.",
            genre_id=str(genre_id),
            redirected_to_id=str(survivor_id),
        )


class GenreDeleted(Refused):
    reason = "GENRE_DELETED"

    def __init__(self, genre_id: int) -> None:
        super().__init__(f"Genre {genre_id} is deleted; undelete it first.", genre_id=str(genre_id))


class GenreNotMerged(Refused):
    reason = "GENRE_NOT_MERGED"

    def __init__(self, genre_id: int) -> None:
        super().__init__(f"Genre {genre_id} is not merged into another.", genre_id=str(genre_id))


class RegistryNotEmpty(Refused):
    reason = "REGISTRY_NOT_EMPTY"

    def __init__(self, genres: int) -> None:
        super().__init__(
            f"The registry holds {genres} genres, and not these with these ids: ids can be kept "
            "only in an empty one. Import without keeping them, and take the new ids from the "
            "answer."
        )


class RevisionMismatch(RegistryError):
    reason = "REVISION_MISMATCH"

    def __init__(self, genre_id: int, expected: int, actual: int) -> None:
        super().__init__(
            f"Genre {genre_id} is at revision {actual}, not {expected}: it has changed since it "
            "was read. Read it again.",
            genre_id=str(genre_id),
            expected_revision=str(expected),
            revision=str(actual),
        )


class HistoryTrimmed(RegistryError):
    reason = "HISTORY_TRIMMED"

    @classmethod
    def before(cls, revision: int, kept_from: int) -> "HistoryTrimmed":
        return cls(
            f"Changes after revision {revision} are asked for; those up to {kept_from} are not "
            "kept for watching. List the genres again.",
            revision=str(revision),
            kept_from=str(kept_from),
        )

    @classmethod
    def elsewhere(cls, revision: int) -> "HistoryTrimmed":
        return cls(
            f"Revision {revision} is none of this registry's incarnation. List the genres again.",
            revision=str(revision),
        )


class WatcherTooSlow(TryLater):
    reason = "WATCHER_TOO_SLOW"

    def __init__(self, waited_s: float) -> None:
        super().__init__(
            f"The watcher took nothing for {waited_s:g} s. Watch again from the last revision "
            "that arrived.",
            retry_after_s=1.0,
        )
