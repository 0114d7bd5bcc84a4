"""The client for asyncio programs."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import cast

from worker_client import _calls
from worker_client._aio_connection import AsyncConnection
from worker_client._aio_curation import AsyncCuration
from worker_client._aio_operations import AsyncOperations
from worker_client._calls import BATCH_SIZE_MAX
from worker_client._curation_values import GenreChange
from worker_client._errors import RegistryError, raised
from worker_client._values import (
    ExplainedStep,
    Genre,
    GenrePage,
    Resolution,
    ResolvedTags,
    TagContainer,
    TagSet,
)
from worker_client._watching import Watch


class AsyncGenreRegistryClient(AsyncCuration, AsyncOperations, AsyncConnection):
    """
    `GenreRegistryClient` for one event loop: the same methods, deadlines and errors.

    Connects on the first call, in the loop that makes it; not to be carried into a forked
    child.
    """

    async def get_or_create(
        self, name: str, *, request_id: str | None = None, deadline_s: float | None = None
    ) -> Resolution:
        """As `GenreRegistryClient.get_or_create`."""
        if request_id is None:
            known = self._cache.names.true.get(name)
            if known is not None:
                return known
            if self._cache_size:
                return await self._ask_one(
                    self._names, name, self._send_name, self._deadlines.write_s, deadline_s
                )
        return await self._call(_calls.get_or_create(name, request_id), deadline_s)

    async def batch_get_or_create(
        self,
        names: Iterable[str],
        *,
        request_id: str | None = None,
        deadline_s: float | None = None,
    ) -> list[Resolution | RegistryError]:
        """As `GenreRegistryClient.batch_get_or_create`."""
        names = list(names)
        if request_id is None and self._shares(names):
            known = list(map(self._cache.names.true.get, names))
            if all(known):
                return cast("list[Resolution | RegistryError]", known)
            return await self._ask(
                self._names, names, self._send_names, self._deadlines.batch_s, deadline_s
            )
        return await self._call(_calls.batch_get_or_create(names, request_id), deadline_s)

    async def resolve_tags(
        self,
        tag_sets: Iterable[TagSet],
        *,
        request_id: str | None = None,
        validate_only: bool = False,
        deadline_s: float | None = None,
    ) -> list[ResolvedTags]:
        """As `GenreRegistryClient.resolve_tags`."""
        tag_sets = list(tag_sets)
        if request_id is None and not validate_only and self._shares(tag_sets):
            known = list(map(self._cache.tags.true.get, tag_sets))
            if all(known):
                return cast("list[ResolvedTags]", known)
            answers = await self._ask(
                self._tags, tag_sets, self._send_tags, self._deadlines.batch_s, deadline_s
            )
            return [raised(answer) for answer in answers]
        call = _calls.resolve_tags(tag_sets, request_id, validate_only=validate_only)
        return await self._call(call, deadline_s)

    async def explain_spelling(
        self,
        value: str,
        container: TagContainer = TagContainer.UNSPECIFIED,
        *,
        deadline_s: float | None = None,
    ) -> list[ExplainedStep]:
        """As `GenreRegistryClient.explain_spelling`."""
        return await self._call(_calls.explain_spelling(value, container), deadline_s)

    async def get_genre(self, genre_id: int, *, deadline_s: float | None = None) -> Genre:
        """As `GenreRegistryClient.get_genre`."""
        return await self._call(_calls.get_genre(genre_id), deadline_s)

    async def batch_get_genres(
        self, ids: Iterable[int], *, deadline_s: float | None = None
    ) -> list[Genre | RegistryError]:
        """As `GenreRegistryClient.batch_get_genres`."""
        return await self._call(_calls.batch_get_genres(ids), deadline_s)

    async def lookup_genre(self, name: str, *, deadline_s: float | None = None) -> Genre:
        """As `GenreRegistryClient.lookup_genre`."""
        known = self._cache.names.true.get(name)
        if known is not None:
            return known.genre
        if self._cache_size:
            found = await self._ask_one(
                self._lookups, name, self._send_lookup, self._deadlines.read_s, deadline_s
            )
            return found.genre
        return await self._call(_calls.lookup_genre(name), deadline_s)

    async def list_page(
        self,
        page_token: str = "",
        *,
        page_size: int = 1000,
        parent_id: int = 0,
        show_deleted: bool = False,
        deadline_s: float | None = None,
    ) -> GenrePage:
        """As `GenreRegistryClient.list_page`."""
        call = _calls.list_genres(
            page_size, page_token, parent_id=parent_id, show_deleted=show_deleted
        )
        return await self._call(call, deadline_s)

    async def list_genres(
        self, *, parent_id: int = 0, show_deleted: bool = False
    ) -> AsyncIterator[Genre]:
        """As `GenreRegistryClient.list_genres`."""
        token = ""
        while True:
            page = await self.list_page(token, parent_id=parent_id, show_deleted=show_deleted)
            for genre in page.genres:
                yield genre
            token = page.next_page_token
            if not token:
                return

    async def search_genres(
        self, query: str, limit: int = 20, *, deadline_s: float | None = None
    ) -> list[Genre]:
        """As `GenreRegistryClient.search_genres`."""
        return await self._call(_calls.search_genres(query, limit), deadline_s)

    def watch_genres(
        self, start_revision: int = 0, incarnation: str = "", *, deadline_s: float | None = None
    ) -> AsyncGenerator[GenreChange, None]:
        """As `GenreRegistryClient.watch_genres`; to end it, `aclose` what this returned."""
        watch = Watch(start_revision, incarnation, deadline_s=deadline_s, target=self.target)
        return self._watch(watch)

    def _shares(self, items: Sequence[object]) -> bool:
        return bool(self._cache_size) and len(items) <= BATCH_SIZE_MAX

    async def _send_name(self, names: list[str], deadline_s: float) -> list[Resolution]:
        return [await self._call(_calls.get_or_create(name, None), deadline_s) for name in names]

    async def _send_names(
        self, names: list[str], deadline_s: float
    ) -> list[Resolution | RegistryError]:
        return await self._call(_calls.batch_get_or_create(names, None), deadline_s)

    async def _send_lookup(self, names: list[str], deadline_s: float) -> list[Resolution]:
        return [
            Resolution(await self._call(_calls.lookup_genre(name), deadline_s), created=False)
            for name in names
        ]

    async def _send_tags(self, tag_sets: list[TagSet], deadline_s: float) -> list[ResolvedTags]:
        call = _calls.resolve_tags(tag_sets, None, validate_only=False)
        return await self._call(call, deadline_s)
