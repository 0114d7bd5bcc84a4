"""Clients of every kind, which write down what they asked and what they saw."""

import asyncio
import itertools
import json
import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from history import Asked, History, Watched
from load import OWN_CONNECTION

from worker_client import (
    AsyncGenreRegistryClient,
    Deadlines,
    GenreNotFound,
    GenreRegistryClient,
    RegistryError,
    Resolution,
)

BATCH = 7
TRY_S = 1.5
"""How long one try of a bare stub may take."""
TRIES_MAX = 30
"""Tries after which a name is given up, which says nothing of the registry."""
DEADLINES = Deadlines(read_s=10.0, write_s=12.0, batch_s=15.0)
PATIENCE_S = 60.0
SLACK_S = 3.0
"""How much later than its deadline a call may end on a busy machine."""
AGAIN = {
    *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED),
    # So gRPC calls what became of a call whose connection was reset under it.
    grpc.StatusCode.CANCELLED,
}
TAKES = itertools.count(1)
"""Numbers calls, and the requests that retries share."""

Numbered = Sequence[tuple[int, str]]


def key_of(name: str) -> int:
    """Return what all spellings of a made-up name have in common."""
    [number] = re.findall(r"\d+", name)
    return int(number)


class Caller(ABC):
    """A client at one address, whose calls go into *history*."""

    CALL_S = TRY_S * TRIES_MAX

    def __init__(self, target: str, history: History) -> None:
        self.target = target
        self.history = history

    async def __aenter__(self) -> Self:
        return self

    @abstractmethod
    async def __aexit__(self, *_: object) -> None: ...

    @abstractmethod
    async def ask(self, numbered: Numbered) -> None:
        """Ask for all of *numbered*."""

    def allowed_s(self, names: int) -> float:
        """How long all that may take, by its deadlines, if one call follows the other."""
        return (self.CALL_S + SLACK_S) * names

    def note(
        self, rpc: str, number: int, name: str, request_id: str, began_s: float, **seen: Any
    ) -> None:
        seen.setdefault("call", next(TAKES))
        self.history.asked.append(
            Asked(
                rpc=rpc,
                key=number,
                name=name,
                request_id=request_id,
                start_s=began_s,
                end_s=time.monotonic(),
                **seen,
            )
        )

    def note_found(
        self, rpc: str, number: int, name: str, request_id: str, began_s: float, found: Resolution
    ) -> None:
        genre = found.genre
        seen = {"genre_id": genre.id, "created": found.created, "revision": genre.revision}
        self.note(rpc, number, name, request_id, began_s, **seen)


class Plain(Caller):
    """The generated stub and no more: it asks again with the same request id until it knows."""

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self.target, options=RECONNECTING)
        self.stub: Any = GenreRegistryStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def ask(self, numbered: Numbered) -> None:
        for number, name in numbered:
            request_id = f"plain {next(TAKES)}"
            await until_told(self, self.stub, number, name, request_id)
            if number % 3 == 0:
                await self._look_up(number, name)

    async def _look_up(self, number: int, name: str) -> None:
        began_s = time.monotonic()
        seen: dict[str, Any] = {}
        try:
            found = await self.stub.LookupGenre(pb.LookupGenreRequest(name=name), timeout=TRY_S)
            seen = {"genre_id": found.genre.id, "revision": found.genre.revision}
        except grpc.aio.AioRpcError as error:
            seen = {"error": error.code().name}
        self.note("LookupGenre", number, name, "", began_s, **seen)


class Twice(Caller):
    """The same request at once over two connections, whichever is first."""

    def __init__(self, targets: Sequence[str], history: History) -> None:
        super().__init__(targets[0], history)
        self._targets = targets

    async def __aenter__(self) -> Self:
        self._channels = [
            grpc.aio.insecure_channel(target, options=RECONNECTING) for target in self._targets
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def ask(self, numbered: Numbered) -> None:
        for number, name in numbered:
            request_id = f"twice {next(TAKES)}"
            stubs = [GenreRegistryStub(channel) for channel in self._channels]
            await asyncio.gather(
                *(until_told(self, stub, number, name, request_id) for stub in stubs)
            )


async def until_told(caller: Caller, stub: Any, number: int, name: str, request_id: str) -> None:
    """Call GetOrCreate until it is answered, and note every try."""
    request = pb.GetOrCreateRequest(name=name, request_id=request_id)
    for _ in range(TRIES_MAX):
        began_s = time.monotonic()
        try:
            told = await stub.GetOrCreate(request, timeout=TRY_S)
        except grpc.aio.AioRpcError as error:
            caller.note("GetOrCreate", number, name, request_id, began_s, error=error.code().name)
            if error.code() not in AGAIN:
                return
            await asyncio.sleep(0.05)
            continue
        seen = {"genre_id": told.genre.id, "created": told.created}
        seen["revision"] = told.genre.revision
        caller.note("GetOrCreate", number, name, request_id, began_s, **seen)
        return


async def ask_again(target: str, history: History) -> int:
    """
    Repeat each request that created a genre, or may have without its caller being told: one of
    them is told so, however often. Return how many there were.
    """
    requests = {
        (key_of(each.name), each.request_id): each.name
        for each in history.asked
        if each.may_create and each.request_id and (each.created or not each.genre_id)
    }
    async with Plain(target, history) as plain:
        for (key, request_id), name in requests.items():
            await until_told(plain, plain.stub, key, name, request_id)
    return len(requests)


class Worker(Caller):
    """The client for workers, in a thread."""

    CALL_S = DEADLINES.write_s

    async def __aexit__(self, *_: object) -> None:
        pass

    async def ask(self, numbered: Numbered) -> None:
        await asyncio.to_thread(self._ask, numbered)

    def _ask(self, numbered: Numbered) -> None:
        with GenreRegistryClient(self.target, deadlines=DEADLINES, cache_size=0) as registry:
            for number, name in numbered:
                request_id = f"worker {next(TAKES)}"
                began_s = time.monotonic()
                try:
                    found = registry.get_or_create(name, request_id=request_id)
                    self.note_found("GetOrCreate", number, name, request_id, began_s, found)
                except RegistryError as error:
                    self.note(
                        *("GetOrCreate", number, name, request_id, began_s),
                        error=type(error).__name__,
                    )


class Workers(Caller):
    """The client for workers in asyncio: batches, and then a look-up of each."""

    CALL_S = DEADLINES.batch_s

    async def __aenter__(self) -> Self:
        self._registry = AsyncGenreRegistryClient(self.target, deadlines=DEADLINES, cache_size=0)
        await self._registry.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._registry.__aexit__(None, None, None)

    async def ask(self, numbered: Numbered) -> None:
        for at in range(0, len(numbered), BATCH):
            await self._batch(numbered[at : at + BATCH])
        await asyncio.gather(*(self._look_up(*each) for each in numbered))

    async def _batch(self, numbered: Numbered) -> None:
        request_id = f"workers {next(TAKES)}"
        names = [name for _, name in numbered]
        began_s, call = time.monotonic(), next(TAKES)
        answers: Sequence[Resolution | RegistryError]
        try:
            answers = await self._registry.batch_get_or_create(names, request_id=request_id)
        except RegistryError as error:
            answers = [error] * len(names)
        for (number, name), answer in zip(numbered, answers, strict=True):
            seen: dict[str, Any] = {"error": type(answer).__name__}
            if isinstance(answer, Resolution):
                seen = {"genre_id": answer.genre.id, "revision": answer.genre.revision}
                seen["created"] = answer.created
            self.note("BatchGetOrCreate", number, name, request_id, began_s, call=call, **seen)

    async def _look_up(self, number: int, name: str) -> None:
        began_s = time.monotonic()
        try:
            genre = await self._registry.lookup_genre(name)
            seen: dict[str, Any] = {"genre_id": genre.id, "revision": genre.revision}
        except GenreNotFound:
            seen = {"error": "NOT_FOUND"}
        except RegistryError as error:
            seen = {"error": type(error).__name__}
        self.note("LookupGenre", number, name, "", began_s, **seen)


class Clocked(Caller):
    """The client for workers in a process whose clock is wrong; ours says when it asked."""

    CALL_S = 12.0

    def __init__(self, target: str, history: History, environment: dict[str, str]) -> None:
        super().__init__(target, history)
        self._environment = {**os.environ, **environment}
        self.off_s = 0.0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, Path(__file__).with_name("clocked.py"), self.target),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        self.off_s = (await self._line())["clock_s"] - time.time()
        # A clock that is right would prove nothing.
        assert abs(self.off_s) > 1000
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.communicate(b"")

    async def ask(self, numbered: Numbered) -> None:
        assert self._process.stdin is not None
        for number, name in numbered:
            request_id = f"clocked {next(TAKES)}"
            began_s = time.monotonic()
            self._process.stdin.write(json.dumps([name, request_id]).encode() + b"\n")
            self.note("GetOrCreate", number, name, request_id, began_s, **await self._line())

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return told


class Watching:
    """A client that watches from the beginning, through all that its connection suffers."""

    def __init__(self, target: str, name: str, history: History) -> None:
        self.name = name
        self.revision = 0
        self._registry = AsyncGenreRegistryClient(target, cache_size=0)
        self._seen = history.watched.setdefault(name, [])
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._registry.__aenter__()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._registry.__aexit__(None, None, None)

    async def _watch(self) -> None:
        async for change in self._registry.watch_genres():
            if change.genre is None:
                continue
            genre = change.genre
            self._seen.append(Watched(change.revision, change.type.name, genre.id, genre.name))
            self.revision = change.revision
            self._moved.set()

    async def reach(self, revision: int) -> None:
        """Return when *revision* was seen; raises what ended the watch, if anything did."""
        while self.revision < revision:
            if self._task.done():
                self._task.result()
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), 1)


RECONNECTING = (
    *OWN_CONNECTION,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
)
