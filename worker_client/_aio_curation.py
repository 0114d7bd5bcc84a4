"""What curators call, for asyncio programs."""

from collections.abc import AsyncIterator, Iterable, Mapping

from worker_client import _curation_calls
from worker_client._aio_connection import AsyncConnection
from worker_client._curation_values import (
    Change,
    MergedGenres,
    Review,
    SettledReview,
    Settlement,
    UnmergedGenre,
)
from worker_client._values import Genre, Resolution


class AsyncCuration(AsyncConnection):
    """Mends that hold for ever, whatever is scanned afterwards; as in `GenreRegistryClient`."""

    async def update_genre(
        self,
        genre_id: int,
        *,
        name: str | None = None,
        description: str | None = None,
        parent_ids: Iterable[int] | None = None,
        external_ids: Mapping[str, str] | None = None,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """As `GenreRegistryClient.update_genre`."""
        call = _curation_calls.update_genre(
            genre_id,
            name=name,
            description=description,
            parent_ids=parent_ids,
            external_ids=external_ids,
            expected_revision=expected_revision,
        )
        return await self._call(call, deadline_s)

    async def add_alias(
        self,
        genre_id: int,
        alias: str,
        *,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """As `GenreRegistryClient.add_alias`."""
        call = _curation_calls.add_alias(genre_id, alias, expected_revision=expected_revision)
        return await self._call(call, deadline_s)

    async def remove_alias(
        self,
        genre_id: int,
        alias: str,
        *,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """As `GenreRegistryClient.remove_alias`."""
        call = _curation_calls.remove_alias(genre_id, alias, expected_revision=expected_revision)
        return await self._call(call, deadline_s)

    async def merge_genres(
        self,
        source_ids: Iterable[int],
        target_id: int,
        *,
        expected_revision: int = 0,
        validate_only: bool = False,
        deadline_s: float | None = None,
    ) -> MergedGenres:
        """As `GenreRegistryClient.merge_genres`."""
        call = _curation_calls.merge_genres(
            source_ids,
            target_id,
            expected_revision=expected_revision,
            validate_only=validate_only,
        )
        return await self._call(call, deadline_s)

    async def unmerge_genre(
        self, source_id: int, *, deadline_s: float | None = None
    ) -> UnmergedGenre:
        """As `GenreRegistryClient.unmerge_genre`."""
        return await self._call(_curation_calls.unmerge_genre(source_id), deadline_s)

    async def delete_genre(
        self, genre_id: int, *, expected_revision: int = 0, deadline_s: float | None = None
    ) -> Genre:
        """As `GenreRegistryClient.delete_genre`."""
        call = _curation_calls.delete_genre(genre_id, expected_revision=expected_revision)
        return await self._call(call, deadline_s)

    async def undelete_genre(
        self, genre_id: int, *, expected_revision: int = 0, deadline_s: float | None = None
    ) -> Genre:
        """As `GenreRegistryClient.undelete_genre`."""
        call = _curation_calls.undelete_genre(genre_id, expected_revision=expected_revision)
        return await self._call(call, deadline_s)

    async def block_spelling(
        self, spelling: str, *, deadline_s: float | None = None
    ) -> Genre | None:
        """As `GenreRegistryClient.block_spelling`."""
        return await self._call(_curation_calls.block_spelling(spelling), deadline_s)

    async def unblock_spelling(self, spelling: str, *, deadline_s: float | None = None) -> None:
        """As `GenreRegistryClient.unblock_spelling`."""
        return await self._call(_curation_calls.unblock_spelling(spelling), deadline_s)

    async def distinguish_spelling(
        self, spelling: str, genre_id: int = 0, *, deadline_s: float | None = None
    ) -> Resolution:
        """As `GenreRegistryClient.distinguish_spelling`."""
        return await self._call(
            _curation_calls.distinguish_spelling(spelling, genre_id), deadline_s
        )

    async def list_reviews(self, *, show_settled: bool = False) -> AsyncIterator[Review]:
        """As `GenreRegistryClient.list_reviews`."""
        token = ""
        while True:
            reviews, token = await self._call(
                _curation_calls.list_reviews(token, show_settled=show_settled), None
            )
            for each in reviews:
                yield each
            if not token:
                return

    async def settle_review(
        self, text: str, settlement: Settlement, *, deadline_s: float | None = None
    ) -> SettledReview:
        """As `GenreRegistryClient.settle_review`."""
        return await self._call(_curation_calls.settle_review(text, settlement), deadline_s)

    async def list_history(self, genre_id: int = 0) -> AsyncIterator[Change]:
        """As `GenreRegistryClient.list_history`."""
        token = ""
        while True:
            changes, token = await self._call(
                _curation_calls.list_history(token, genre_id=genre_id), None
            )
            for each in changes:
                yield each
            if not token:
                return
