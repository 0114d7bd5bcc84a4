"""What an export consists of and an import takes in; the contract says what each field is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from registry_server.vocabulary.change import Change
from registry_server.vocabulary.edits import Edit, Review
from registry_server.vocabulary.genre import State

FORMAT = 1
"""The version of the records' format."""


@dataclass(frozen=True, slots=True)
class RegistryRecord:
    """The registry itself; `linked_by` names the packs and keys that its genres were linked by."""

    format: int
    incarnation: str
    revision: int
    genre_id_last: int
    linked_by: str
    time_us: int


@dataclass(frozen=True, slots=True)
class PackRecord:
    name: str
    content: str
    time_us: int


class SpellingRecord(NamedTuple):
    text: str
    is_name: bool = False
    is_pinned: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class GenreRecord:
    """A genre as it is kept: spellings, parents and ids elsewhere are those that it brought."""

    id: int
    name: str
    state: State = State.ACTIVE
    merged_into_id: int = 0
    description: str = ""
    spellings: tuple[SpellingRecord, ...] = ()
    parent_ids: tuple[int, ...] = ()
    parents: tuple[str, ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()
    removed_parent_ids: tuple[int, ...] = ()
    removed_external_ids: tuple[str, ...] = ()
    create_time_us: int = 0
    update_time_us: int = 0
    revision: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    spelling: str
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class DetachedRecord:
    key: str


Record = RegistryRecord | PackRecord | GenreRecord | BlockRecord | DetachedRecord | Review | Change


class Numbered(NamedTuple):
    """A record, and its place in the import, from 1."""

    at: int
    record: Record


@dataclass(frozen=True)
class ImportGenres(Edit):
    """Take in genres by name; blocks, decisions and reviews where nothing is said here yet."""

    records: Sequence[Numbered]


@dataclass(frozen=True)
class ImportLinks(Edit):
    """
    Take in what records say of one another, once the genres are there: parents, and what was
    merged. `mapping` leads from their ids to ids here, `merged_into` from ids that were
    merged there to what they were merged into.
    """

    records: Sequence[Numbered]
    mapping: Mapping[int, int]
    merged_into: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Filling:
    """
    Fill an empty registry: with an export as it is or, with *keep_ids*, with genres that
    keep their ids.
    """

    source: "Source"
    keep_ids: bool
    validate_only: bool
    who: str


Source = Callable[[], Iterable[Record]]
"""Gives the records of an import, from the first, each time it is called."""

RECORDS_A_TURN = 250
"""Records that are taken in by one transaction, before others write."""


def numbered(source: Source) -> Iterator[Numbered]:
    """Give the records of *source*, each with its place."""
    for at, record in enumerate(source(), 1):
        yield Numbered(at, record)


def import_edits(source: Source, mapping: Mapping[int, int], who: str) -> Iterator[Edit]:
    """
    Give the edits that take records in by name: first genres, then what leads from one to
    another, by the *mapping* that is known when its turn has come.
    """
    records = numbered(source)
    merged_into: dict[int, int] = {}
    while turn := tuple(islice(records, RECORDS_A_TURN)):
        for _, record in turn:
            if isinstance(record, GenreRecord) and record.merged_into_id:
                merged_into[record.id] = record.merged_into_id
        yield ImportGenres(turn, who=who)
    leading = (each for each in numbered(source) if _leads_on(each.record))
    while turn := tuple(islice(leading, RECORDS_A_TURN)):
        yield ImportLinks(turn, mapping, merged_into, who=who)


def _leads_on(record: Record) -> bool:
    return isinstance(record, GenreRecord) and bool(
        record.merged_into_id or record.parent_ids or record.parents
    )
