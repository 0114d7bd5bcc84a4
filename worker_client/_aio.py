"""The client for asyncio programs."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar

import grpc

from worker_client import _calls
from worker_client._config import CHANNEL_OPTIONS, RASPBERRY_PI, TARGET_DEFAULT, Deadlines
from worker_client._errors import RegistryDefect, RegistryError, error_of_call
from worker_client._values import (
    ExplainedStep,
    Genre,
    GenrePage,
    ImportedPack,
    Resolution,
    ResolvedTags,
    TagContainer,
    TagSet,
)

Answer = TypeVar("Answer")


class AsyncGenreRegistryClient:
    """
    `GenreRegistryClient` for one event loop: the same methods, deadlines and errors.

    Connects on the first call, in the loop that makes it; not to be carried into a forked
    child.
    """

    def __init__(
        self, target: str = TARGET_DEFAULT, *, deadlines: Deadlines = RASPBERRY_PI
    ) -> None:
        self.target = target
        self._deadlines = deadlines
        self._opened: tuple[grpc.aio.Channel, _calls.Stubs] | None = None

    async def get_or_create(
        self, name: str, *, request_id: str | None = None, deadline_s: float | None = None
    ) -> Resolution:
        """As `GenreRegistryClient.get_or_create`."""
        return await self._call(_calls.get_or_create(name, request_id), deadline_s)

    async def batch_get_or_create(
        self,
        names: Iterable[str],
        *,
        request_id: str | None = None,
        deadline_s: float | None = None,
    ) -> list[Resolution | RegistryError]:
        """As `GenreRegistryClient.batch_get_or_create`."""
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
        return await self._call(_calls.lookup_genre(name), deadline_s)

    async def list_page(
        self, page_token: str = "", *, page_size: int = 1000, deadline_s: float | None = None
    ) -> GenrePage:
        """As `GenreRegistryClient.list_page`."""
        return await self._call(_calls.list_genres(page_size, page_token), deadline_s)

    async def list_genres(self) -> AsyncIterator[Genre]:
        """As `GenreRegistryClient.list_genres`."""
        page = await self.list_page()
        for genre in page.genres:
            yield genre
        while page.next_page_token:
            page = await self.list_page(page.next_page_token)
            for genre in page.genres:
                yield genre

    async def import_pack(
        self, pack: str, documents: Iterable[bytes], *, deadline_s: float | None = None
    ) -> ImportedPack:
        """As `GenreRegistryClient.import_pack`."""
        return await self._call(_calls.import_pack(pack, documents), deadline_s)

    async def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, call: _calls.Call[Answer], deadline_s: float | None) -> Answer:
        channel, stubs = self._opened or self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        try:
            reply = await stubs.method(call)(call.request, timeout=timeout_s)
        except grpc.RpcError as failure:
            raise error_of_call(
                failure,
                target=self.target,
                is_connected=lambda: channel.get_state() is grpc.ChannelConnectivity.READY,
            ) from failure
        if reply is None:  # so grpc.aio says that the bytes are no message
            raise RegistryDefect(f"What answered at {self.target} is no registry.")
        return call.meaning(reply)

    def _open(self) -> tuple[grpc.aio.Channel, _calls.Stubs]:
        channel = grpc.aio.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        self._opened = (channel, _calls.Stubs(channel))
        return self._opened
