"""What the registry needs of a store, whichever it is."""

from collections.abc import Collection, Sequence
from typing import Protocol

from registry_server.vocabulary.genre import (
    Claim,
    Genre,
    GenrePage,
    Grants,
    RegistryState,
    Sighting,
)
from registry_server.vocabulary.knowledge import Knowledge


class Store(Protocol):
    """What the registry needs of a store. Every method may raise StorageFull or StorageFailed."""

    async def all_keys(self, size_max: int) -> dict[str, Genre] | None:
        """Return every key and the genre it reaches; None if there are more than *size_max*."""

    async def find(self, keys: Collection[str]) -> dict[str, Genre]:
        """Return the genres that *keys* reach, by key; a key that reaches none is left out."""

    async def genres(self, ids: Collection[int]) -> dict[int, Genre]:
        """Return the genres that have *ids*, by id; an id that none has is left out."""

    async def page(self, after_id: int, size_max: int) -> GenrePage:
        """Return the first *size_max* genres with an id above *after_id*."""

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

    async def link(
        self, knowledge: Knowledge, imported: tuple[str, str] | None = None
    ) -> tuple[list[Genre], RegistryState]:
        """
        Give the genres what *knowledge* has of them, each as a change of its own, and keep
        the pack *imported* (name, content), in one durable transaction; return those that
        changed and the state after. Writes nothing if all is as it was.
        """
