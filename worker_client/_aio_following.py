"""Keeping a cache true: a watch of the event loop's own, in a task."""

import asyncio
import logging
from contextlib import aclosing, suppress
from contextvars import Context

from worker_client import _calls
from worker_client._aio_link import AsyncLink
from worker_client._cache import Cache
from worker_client._errors import (
    CallCancelled,
    DeadlineExceeded,
    HistoryTrimmed,
    RegistryError,
    RegistryUnavailable,
)
from worker_client._following import AWAY_S, REFUSED_S, STATE_ASKED_S, watch_from

log = logging.getLogger("worker_client")


class AsyncFollower:
    """As `Follower`, in a task of the running loop."""

    def __init__(self, link: AsyncLink, cache: Cache) -> None:
        self._link = link
        self._cache = cache
        # In a context of its own: the deadline around whoever asked first is not the watch's.
        self._task = asyncio.get_running_loop().create_task(
            self._follow(), name=f"genre-registry watch of {link.target}", context=Context()
        )

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        try:
            while not self._link.is_closed:
                try:
                    await self._watch()
                except HistoryTrimmed:
                    self._cache.age()  # the next round begins with an empty cache
                except (CallCancelled, RegistryUnavailable, DeadlineExceeded):
                    await asyncio.sleep(AWAY_S)
                except RegistryError as error:
                    log.warning("Not watched, so that what is known is asked again: %s", error)
                    await asyncio.sleep(REFUSED_S)
        finally:
            self._cache.age()

    async def _watch(self) -> None:
        page = await self._link.call(_calls.standing(), STATE_ASKED_S)
        watch = watch_from(page, self._cache, self._link.target)
        async with aclosing(self._link.watch(watch)) as changes:
            async for change in changes:
                self._cache.hear(change)
