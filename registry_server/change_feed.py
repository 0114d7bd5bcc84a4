"""
The change feed: the journal as a stream, for any number of watchers.

A watcher is a position in the journal and nothing more: what it has not taken yet stays in
the database. Watchers at one position share what is read for them, as the transport encodes it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from registry_server.storage import Store
from registry_server.vocabulary.change import Change
from registry_server.vocabulary.curation_refusals import HistoryTrimmed, RevisionNegative
from registry_server.vocabulary.refusals import ShuttingDown, StorageFailed

PAGE_SIZE = 100
"""Most changes that are read for a watcher at a time."""
PAGES_SHARED = 8
"""Pages that are remembered for watchers at the same position."""

Encode = Callable[[Change, str], bytes]
"""Makes what is streamed of a change and the registry's incarnation."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    The changes after a position, at most a page of them.

    Each is one block of bytes, where a change is some twenty objects: a page is held for as
    long as the slowest of its watchers takes it, and a hundred watchers left 4 MiB of the
    interpreter's arenas half empty behind them.
    """

    told: tuple[bytes, ...]
    upto: int
    """The revision of the last of them; the position itself if there are none."""
    incarnation: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has happened since `revision`, up to which the watcher has seen everything."""

    revision: int
    incarnation: str


class ChangeFeed:
    """Streams the changes of *store* to watchers, from wherever each is."""

    def __init__(
        self, store: Store, *, heartbeat_s: float, on_storage_failure: Callable[[], None]
    ) -> None:
        self.watchers = 0
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._on_storage_failure = on_storage_failure
        self._pages: dict[int, asyncio.Future[Page]] = {}
        self._moved = asyncio.Event()
        self._closed = False

    def advance(self) -> None:
        """Tell watchers that something was committed."""
        # A page that was not full when it was read may have grown.
        self._pages = {
            position: page
            for position, page in self._pages.items()
            if page.done()
            and not page.cancelled()
            and page.exception() is None
            and len(page.result().told) == PAGE_SIZE
        }
        self._wake()

    def start_anew(self) -> None:
        """Forget everything: the registry has become another one."""
        self._pages = {}
        self._wake()

    def close(self) -> None:
        """End every watch, and take no more."""
        self._closed = True
        self._wake()

    async def watch(
        self, start_revision: int, incarnation: str, encode: Encode
    ) -> AsyncGenerator[bytes | Heartbeat]:
        """
        Give every change after *start_revision*, once and in order, for ever; heartbeats
        while there are none.

        Args:
            incarnation: That of the revision; "" for whichever.
            encode: The same for every watcher, since they share what it returns.

        Raises:
            RevisionNegative: *start_revision* is below 0.
            HistoryTrimmed: changes that far back are not kept, or are another registry's.
            ShuttingDown: the server stops.
        """
        if start_revision < 0:
            raise RevisionNegative("start_revision")
        self.watchers += 1
        try:
            async with aclosing(self._changes(start_revision, incarnation, encode)) as items:
                async for item in items:
                    yield item
        finally:
            self.watchers -= 1
            if not self.watchers:
                self._pages = {}

    async def _changes(
        self, position: int, incarnation: str, encode: Encode
    ) -> AsyncGenerator[bytes | Heartbeat]:
        is_told = False
        while True:
            moved = self._moved
            if self._closed:
                raise ShuttingDown
            page = await self._after(position, encode)
            if incarnation not in ("", page.incarnation):
                raise HistoryTrimmed.elsewhere(position)
            incarnation = page.incarnation
            for told in page.told:
                yield told
            position = page.upto
            if len(page.told) == PAGE_SIZE:
                continue
            if not is_told:
                is_told = True
                yield Heartbeat(position, incarnation)
            while not moved.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(moved.wait(), self._heartbeat_s)
                    break
                yield Heartbeat(position, incarnation)

    async def _after(self, position: int, encode: Encode) -> Page:
        """Return the page after *position*, read once for all who ask."""
        page = self._pages.get(position)
        if page is None:
            page = asyncio.ensure_future(self._read(position, encode))
            self._pages[position] = page
            if len(self._pages) > PAGES_SHARED:
                del self._pages[next(iter(self._pages))]
        return await asyncio.shield(page)

    async def _read(self, position: int, encode: Encode) -> Page:
        try:
            changes, stands = await self._store.changes_after(position, PAGE_SIZE)
        except StorageFailed:
            self._on_storage_failure()
            raise
        if position > stands.revision:
            raise HistoryTrimmed.elsewhere(position)
        told = tuple([encode(change, stands.incarnation) for change in changes])
        return Page(told, changes[-1].revision if changes else position, stands.incarnation)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
