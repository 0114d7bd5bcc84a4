"""Rounds: many callers wait, one round serves them all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from registry_server.vocabulary.refusals import (
    DeadlinePassed,
    Overloaded,
    ShuttingDown,
)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

RETRY_AFTER_S = 0.2
"""What an overloaded round tells its callers: several commits on a slow card."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Item, Answer]):
    items: Sequence[Item]
    deadline_s: float
    answered: "asyncio.Future[list[Answer]]"
    joined: object = None


class Watching(Protocol):
    """Whoever wants to know which calls are served together."""

    def joined(self) -> object:
        """Return what is to be remembered of the call that joins."""

    def serving(self, joined: Sequence[object]) -> AbstractContextManager[None]:
        """Surround the serving of the calls of which this was remembered."""


class Rounds(Generic[Item, Answer]):
    """
    Serves the items of many calls in rounds, one round at a time.

    Each round takes every call that waits and hands all their items to *serve*,
    which answers each in order. One task runs the rounds: a caller's cancellation
    never reaches *serve*. A call whose deadline has passed before its turn is
    refused unserved. At most *waiting_max* calls wait. A round takes its calls once it
    holds *turn*, which others may share.
    """

    def __init__(
        self,
        serve: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        waiting_max: int,
        turn: asyncio.Lock | None = None,
        watching: Watching | None = None,
    ) -> None:
        self._turn = turn or asyncio.Lock()
        self._watching = watching
        self._serve = serve
        self._waiting_max = waiting_max
        self._waiting: list[_Call[Item, Answer]] = []
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many calls wait for their round."""
        return len(self._waiting)

    async def ask(self, items: Sequence[Item], *, deadline_s: float) -> list[Answer]:
        """
        Return the answer to each of *items*, in order.

        Args:
            deadline_s: When to give up, on the event loop's clock.

        Raises:
            Overloaded: too many calls wait already.
            DeadlinePassed: the deadline passed before a round took the call.
            ShuttingDown: closed.
            Exception: whatever *serve* raised, for the whole round.
        """
        if self._closed:
            raise ShuttingDown
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded(RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        call = _Call[Item, Answer](items, deadline_s, loop.create_future())
        if self._watching is not None:
            call.joined = self._watching.joined()
        self._waiting.append(call)
        if self._running is None:
            self._running = loop.create_task(self._run())
        return await call.answered

    async def close(self) -> None:
        """Serve what waits, then refuse everything."""
        self._closed = True
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    calls, self._waiting = self._waiting, []
                    await self._round(self._still_wanted(calls))
        finally:
            self._running = None

    def _still_wanted(self, calls: list[_Call[Item, Answer]]) -> list[_Call[Item, Answer]]:
        now_s = asyncio.get_running_loop().time()
        for call in calls:
            if call.deadline_s <= now_s and not call.answered.done():
                call.answered.set_exception(DeadlinePassed())
        return [call for call in calls if not call.answered.done()]

    async def _round(self, calls: list[_Call[Item, Answer]]) -> None:
        if not calls:
            return
        try:
            with self._watched(calls):
                answers = iter(await self._serve([item for call in calls for item in call.items]))
        except Exception as failure:
            # Each caller's own to answer, a defect too; the rounds go on.
            for call in calls:
                if not call.answered.done():
                    call.answered.set_exception(failure)
            return
        for call in calls:
            answer = [next(answers) for _ in call.items]
            if not call.answered.done():
                call.answered.set_result(answer)

    def _watched(self, calls: list[_Call[Item, Answer]]) -> AbstractContextManager[None]:
        if self._watching is None:
            return nullcontext()
        return self._watching.serving([call.joined for call in calls])
