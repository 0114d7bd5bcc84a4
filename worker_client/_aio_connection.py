"""How the client for asyncio programs connects, calls, and shares what it learns."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker_client import _aio_forking
from worker_client._aio_following import AsyncFollower
from worker_client._aio_link import AsyncLink
from worker_client._cache import AGE_S_DEFAULT, SIZE_DEFAULT, Cache
from worker_client._calls import Answer, Call
from worker_client._circuit import AsyncGate
from worker_client._config import TARGET_DEFAULT
from worker_client._credentials import Credentials
from worker_client._curation_values import GenreChange
from worker_client._deadlines import RASPBERRY_PI, Deadlines, ending_s, left_s
from worker_client._errors import (
    CallCancelled,
    CredentialsUnusable,
    RegistryError,
    alone,
    is_unavailable,
    not_landed,
    raised,
)
from worker_client._sharing import Asked, Desk, Key, Value
from worker_client._tls import Tls
from worker_client._values import Resolution, ResolvedTags, TagSet
from worker_client._watching import Watch

log = logging.getLogger("worker_client")


class AsyncConnection:
    """A link to one registry, opened by the first call, in the loop that makes it."""

    def __init__(
        self,
        target: str = TARGET_DEFAULT,
        *,
        token: str | Path | None = None,
        tls: Tls | None = None,
        deadlines: Deadlines = RASPBERRY_PI,
        cache_size: int = SIZE_DEFAULT,
        cache_age_s: float = AGE_S_DEFAULT,
    ) -> None:
        self.target = target
        self._credentials = Credentials(token, tls)
        self._deadlines = deadlines
        self._cache_size = cache_size
        self._cache_age_s = cache_age_s
        self._cache = Cache(cache_size, cache_age_s)
        self._names = Desk[str, Resolution](self._cache, self._cache.names, _new_flight)
        self._lookups = Desk[str, Resolution](self._cache, self._cache.names, _new_flight)
        self._tags = Desk[TagSet, ResolvedTags](self._cache, self._cache.tags, _new_flight)
        self._start_anew()

    def _start_anew(self) -> None:
        """Begin with nothing open and nothing known, as in a new event loop."""
        self._link: AsyncLink | None = None
        self._replaced: set[asyncio.Task[None]] = set()
        self._follower: AsyncFollower | None = None
        self._has_asked = False
        self._gate = AsyncGate(self.target)
        self._cache.clear()
        self._cache.age()
        for desk in (self._names, self._lookups, self._tags):
            desk.forget()

    async def close(self) -> None:
        """Close the connection, which ends its watches; a later call opens a new one."""
        link, self._link = self._link, None
        follower, self._follower = self._follower, None
        if link is not None:
            await _close(link, follower)
        await asyncio.gather(*self._replaced)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, call: Call[Answer], deadline_s: float | None) -> Answer:
        ends_s = self._ends_s(call, deadline_s)
        self._open()
        gate = self._gate
        circuit, turn = gate.turn(call.rpc, ends_s)
        while True:
            await gate.enter(circuit, turn)
            link = self._open()
            try:
                answer = await link.call(call, left_s(ends_s))
            except CallCancelled:
                gate.left(circuit, turn)
                if not link.is_cut_off:
                    raise
            except RegistryError as error:
                may_repeat = is_unavailable(error) and time.monotonic() < ends_s
                if not gate.failed(circuit, error, turn, may_repeat=may_repeat):
                    raise
            except BaseException:
                gate.left(circuit, turn)
                raise
            else:
                gate.answered(circuit)
                return answer
            finally:
                if call.is_curation:
                    # Who changed something sees it at once, whenever the watch hears of it.
                    self._cache.clear()

    def _stream(self, call: Call[Answer], deadline_s: float | None) -> AsyncGenerator[Answer, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        answers = self._open().stream(call, left_s(self._ends_s(call, deadline_s)))
        return self._forgetting(answers) if call.is_curation else answers

    async def _forgetting(
        self, answers: AsyncGenerator[Answer, None]
    ) -> AsyncGenerator[Answer, None]:
        """Give *answers* to a stream of changes, each of which may have made others."""
        async with aclosing(answers):
            try:
                async for answer in answers:
                    self._cache.clear()
                    yield answer
            finally:
                self._cache.clear()

    async def _watch(self, watch: Watch) -> AsyncGenerator[GenreChange, None]:
        """Give what *watch* hears, connecting anew whenever it must; to close it ends it."""
        while True:
            link = self._open()
            try:
                async with aclosing(link.watch(watch)) as changes:
                    async for change in changes:
                        yield change
            except CallCancelled:
                if not link.is_cut_off:
                    raise

    async def _ask(
        self,
        desk: Desk[Key, Value],
        keys: Sequence[Key],
        send: Callable[[list[Key], float], Awaitable[Sequence[Value | RegistryError]]],
        call_deadline_s: float,
        deadline_s: float | None,
    ) -> list[Value | RegistryError]:
        """
        Return an answer for each of *keys*: known, asked by *send*, or asked by another task.

        Args:
            send: Takes keys, and how long it may take.
        """
        ends_s = ending_s(call_deadline_s if deadline_s is None else deadline_s)
        self._open()
        self._follow()
        answers = desk.answers(keys)
        try:
            step = next(answers)
            while True:
                if isinstance(step, Asked):
                    try:
                        reply: Any = await send(step.keys, left_s(ends_s))
                    except BaseException as failure:
                        step = answers.throw(failure)
                        continue
                else:
                    reply = await self._landed(step.flight, ends_s)
                step = answers.send(reply)
        except StopIteration as done:
            told: list[Value | RegistryError] = done.value
            return told

    async def _ask_one(
        self,
        desk: Desk[Key, Value],
        key: Key,
        send: Callable[[list[Key], float], Awaitable[Sequence[Value | RegistryError]]],
        call_deadline_s: float,
        deadline_s: float | None,
    ) -> Value:
        """As `_ask`, for one *key*."""
        [answer] = await self._ask(desk, [key], send, call_deadline_s, deadline_s)
        return raised(alone(answer))

    async def _landed(self, flight: "asyncio.Future[Any]", ends_s: float) -> Any:
        """Wait for what another task asks."""
        await asyncio.wait([flight], timeout=left_s(ends_s))
        if not flight.done():
            raise not_landed(self.target, is_connected=self._open().is_connected())
        return flight.result()

    def _follow(self) -> None:
        """Have the cache kept true, from the second time on that something is asked."""
        if self._follower is None and self._has_asked:
            self._follower = AsyncFollower(self._open(), self._cache)
        self._has_asked = True

    def _ends_s(self, call: Call[Any], deadline_s: float | None) -> float:
        call_deadline_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        return ending_s(float("inf") if call_deadline_s is None else call_deadline_s)

    def _open(self) -> AsyncLink:
        """
        Return the link of the running loop, opened if there is none.

        Raises:
            RuntimeError: another loop has it, or the process was forked while one was open.
        """
        _aio_forking.check()
        link = self._link
        if link is not None and link.loop is not asyncio.get_running_loop():
            if not link.loop.is_closed():
                raise RuntimeError(
                    "This AsyncGenreRegistryClient is in use by another event loop. "
                    "Make one for each loop, or close it there first."
                )
            # As after a second asyncio.run: what was open ended with the loop.
            self._start_anew()
            link = None
        if link is not None and link.is_outdated():
            link = self._replacing(link)
        if link is None:
            link = self._link = AsyncLink(self.target, self._credentials)
            _aio_forking.add(self, link)
        return link

    def _replacing(self, outdated: AsyncLink) -> AsyncLink:
        """Return a link that shows the certificates as they are now, if they can be shown."""
        try:
            link = AsyncLink(self.target, self._credentials)
        except CredentialsUnusable as error:
            outdated.keep()
            log.warning("%s The connection stays as it is.", error)
            return outdated
        self._link = link
        _aio_forking.add(self, link)
        follower, self._follower = self._follower, None
        # Who is cut off here goes on with the new one.
        outdated.is_cut_off = True
        closing = asyncio.create_task(_close(outdated, follower))
        self._replaced.add(closing)
        closing.add_done_callback(self._replaced.discard)
        return link

    def _after_fork_in_child(self) -> None:
        self._start_anew()


async def _close(link: AsyncLink, follower: AsyncFollower | None) -> None:
    if follower is not None:
        await follower.stop()
    await link.close()


def _new_flight() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()
