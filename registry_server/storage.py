"""What the registry needs of a store, whichever it is."""

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from registry_server.vocabulary.change import Change
from registry_server.vocabulary.curated import Curated
from registry_server.vocabulary.edits import Edit, Edited, Effects, Imported, Review
from registry_server.vocabulary.genre import (
    Claim,
    Genre,
    GenrePage,
    Grants,
    RegistryState,
    Sighting,
)
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.refusals import RegistryError

if TYPE_CHECKING:  # loaded by whoever makes one
    from pathlib import Path

    from registry_server.vocabulary.backup import Backup
    from registry_server.vocabulary.records import Filling, Record


class Store(Protocol):
    """What the registry needs of a store. Every method may raise StorageFull or StorageFailed."""

    async def all_keys(self, size_max: int) -> dict[str, Genre] | None:
        """Return every key and what it reaches; None if there are more than *size_max*."""

    async def find(self, keys: Collection[str]) -> dict[str, Genre]:
        """
        Return what *keys* reach, by key: a genre, or what stands for a block. A key that
        reaches nothing is left out.
        """

    async def genres(self, ids: Collection[int]) -> dict[int, Genre]:
        """
        Return the genres that answer to *ids*, by the id asked for; an id that none answers
        to is left out.
        """

    async def page(
        self, after_id: int, size_max: int, parent_id: int, *, show_deleted: bool
    ) -> GenrePage:
        """
        Return the first *size_max* genres with an id above *after_id*, only children of
        *parent_id* unless it is 0.
        """

    async def search(self, query: str, limit: int) -> list[Genre]:
        """Return the *limit* genres in use that *query* finds, the best first."""

    async def unsearchable(self) -> int:
        """Return how many changes a search does not see yet."""

    async def make_searchable(self, changes_max: int) -> None:
        """Have a search see the next *changes_max* changes."""

    async def changes_after(
        self, revision: int, size_max: int
    ) -> tuple[list[Change], RegistryState]:
        """
        Return the first *size_max* changes after *revision*, each with its genre as of then,
        and where the registry stands, in one snapshot.

        Raises:
            HistoryTrimmed: changes that far back are not kept for watching.
        """

    async def history(self, genre_id: int, before: int, size_max: int) -> list[Change]:
        """Return the last changes before a revision; those of one genre unless it is 0."""

    async def reviews(
        self, after: tuple[int, str], size_max: int, *, show_settled: bool
    ) -> list[Review]:
        """
        Return *size_max* reviews, those seen most often first, that come after one that was
        seen so many times and has that key.
        """

    async def curated(self) -> Curated:
        """Return everything that curators decided of spellings."""

    async def reviewed(self, keys: Collection[str]) -> set[str]:
        """Return those of *keys* that are on the review list."""

    async def packs(self) -> dict[str, str]:
        """Return the content of each imported pack, by its name."""

    async def grant(self, claims: Sequence[Claim], sightings: Sequence[Sighting]) -> Grants:
        """
        Create what *claims* name and nothing reaches, and note *sightings*, in one durable
        transaction; answer each claim in order. Writes nothing if all are reached and
        nothing was seen.
        """

    async def edit(
        self, edits: Sequence[Edit], knowledge: Knowledge
    ) -> tuple[list[Edited | RegistryError], Effects]:
        """
        Make *edits* in order, in one durable transaction, each whole or not at all; return
        what each came to, or why it was refused, and what they changed.
        """

    async def rehearse(
        self, edits: Callable[[dict[int, int]], Iterator[Edit]], knowledge: Knowledge
    ) -> Imported:
        """
        Return what importing *edits* would come to all in all; they are given what ids lead
        to as it becomes known. Writes nothing.
        """

    async def fill(self, wanted: "Filling", knowledge: Knowledge) -> Imported:
        """
        Have an empty registry hold what *wanted* says, in one durable transaction.

        Raises:
            RegistryNotEmpty, RecordInvalid: nothing was written.
        """

    async def holds(self) -> int:
        """Return how many genres the registry holds; 1 at least if it was ever written to."""

    def export(self, size: int) -> AsyncGenerator["list[Record]"]:
        """Give everything that the registry holds, in one snapshot, *size* records at a time."""

    async def back_up(self, target: "Path") -> "Backup":
        """
        Copy everything to the file *target*, or into the folder, in one snapshot; writing
        goes on meanwhile. A caller that is cancelled ends it.

        Raises:
            BackupTargetTaken, BackupTargetIsDatabase, BackupTargetUnwritable, BackupDiskFull,
            BackupFailed, BackupStopped: there is no backup, nor a part of one.
        """

    async def state(self) -> RegistryState:
        """Return where the registry stands."""

    async def link(
        self, knowledge: Knowledge, imported: tuple[str, str] | None = None
    ) -> tuple[list[Genre], RegistryState]:
        """
        Give the genres what *knowledge* has of them, each as a change of its own, and keep
        the pack *imported* (name, content), in one durable transaction; return those that
        changed and the state after. Writes nothing if all is as it was.
        """
