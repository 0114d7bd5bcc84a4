"""What curators ask for, as values: one class an edit."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry_server.vocabulary.edits import Decision, Edit
from registry_server.vocabulary.identity import Spelling


@dataclass(frozen=True)
class UpdateGenre(Edit):
    """Replace those fields that are not None; `expected_revision` 0 stands for any."""

    genre_id: int
    name: Spelling | None = None
    description: str | None = None
    parent_ids: tuple[int, ...] | None = None
    external_ids: Mapping[str, str] | None = None
    expected_revision: int = 0


@dataclass(frozen=True)
class AddAlias(Edit):
    genre_id: int
    alias: Spelling
    expected_revision: int = 0


@dataclass(frozen=True)
class RemoveAlias(Edit):
    genre_id: int
    alias: Spelling
    expected_revision: int = 0


@dataclass(frozen=True)
class MergeGenres(Edit):
    source_ids: tuple[int, ...]
    target_id: int
    expected_revision: int = 0
    validate_only: bool = False


@dataclass(frozen=True)
class UnmergeGenre(Edit):
    source_id: int


@dataclass(frozen=True)
class DeleteGenre(Edit):
    genre_id: int
    expected_revision: int = 0


@dataclass(frozen=True)
class UndeleteGenre(Edit):
    genre_id: int
    expected_revision: int = 0


@dataclass(frozen=True)
class BlockSpelling(Edit):
    spelling: Spelling


@dataclass(frozen=True)
class UnblockSpelling(Edit):
    spelling: Spelling


@dataclass(frozen=True)
class DistinguishSpelling(Edit):
    """Have `spelling`, pinned, reach `genre_id`; 0 stands for a genre of its own."""

    spelling: Spelling
    genre_id: int = 0


@dataclass(frozen=True)
class SettleReview(Edit):
    """Decide on a compound: `target_id` is for an alias, `names` are for an expansion."""

    spelling: Spelling
    decision: Decision
    target_id: int = 0
    names: tuple[Spelling, ...] = ()
