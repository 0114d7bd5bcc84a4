"""Keeping a cache true: a watch of the event loop's own, in a task."""

import asyncio
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
from worker_client._following import AWAY_S, AWAY_S_MAX, STATE_ASKED_S, say_refused, watch_from


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
        pause_s = AWAY_S
        told = ""
        while not self._link.is_closed:
            try:
                await self._watch()
            except HistoryTrimmed:
                continue  # the next round begins with an empty cache
            except (CallCancelled, RegistryUnavailable, DeadlineExceeded):
                pass
            except RegistryError as error:
                told = say_refused(error, told)
            finally:
                if self._cache.is_watched:
                    pause_s, told = AWAY_S, ""
                self._cache.age()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, AWAY_S_MAX)

    async def _watch(self) -> None:
        page = await self._link.call(_calls.standing(), STATE_ASKED_S)
        watch = watch_from(page, self._cache, self._link.target)
        async with aclosing(self._link.watch(watch)) as changes:
            async for change in changes:
                self._cache.hear(change)
