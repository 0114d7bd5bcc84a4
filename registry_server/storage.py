"""What the registry needs of a store, whichever it is."""

from collections.abc import Collection, Sequence
from typing import Protocol

from registry_server.vocabulary.genre import Claim, Genre, GenrePage, Granted


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

    async def grant(self, claims: Sequence[Claim]) -> list[Granted]:
        """
        Create what *claims* name and nothing reaches, in one durable transaction, and
        answer each in order. Writes nothing if all are reached.
        """
