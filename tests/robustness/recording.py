"""Clients on plain stubs that write down each call, and watchers that write down each change."""

import asyncio
import random
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from calling import error_of
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from google.protobuf.field_mask_pb2 import FieldMask
from history import CREATING, NOT_FOUND, Asked, Watched
from made_up import Names, key_of

CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 30),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    # What is noted is one attempt: what came of it is then known.
    ("grpc.enable_retries", 0),
)
DEADLINE_S = 10.0
IMPATIENT_SHARE = 0.03
"""How many calls are given up within milliseconds, whatever becomes of them."""
TRIES_MAX = 12
DESCRIPTION = FieldMask(paths=["description"])
EXPECTED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})
"""What a call may end with that a kill cut off, or its caller gave up."""


def until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Return as soon as something is so, or whether it is when *seconds* have passed."""
    end_s = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.0005)
    return is_so()


@dataclass(frozen=True)
class Answer:
    """A genre that a name was answered with."""

    name: str
    genre: pb.Genre
    created: bool = False


@dataclass
class Caller:
    """One client: asks for what everybody asks for, and asks again when it was cut off."""

    number: int
    target: str
    names: Names
    dice: random.Random
    pause_s: float
    asked: list[Asked] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    stopping: bool = False

    async def run(self) -> None:
        """Call until told to stop; a call under way is ended first."""
        self._calls = count(self.number << 40)
        async with grpc.aio.insecure_channel(self.target, options=CHANNEL) as channel:
            self._stub: Any = pb_grpc.GenreRegistryStub(channel)
            self._curation: Any = pb_grpc.GenreCurationStub(channel)
            deeds = (
                *(self._one, self._batch, self._tags, self._look_up, self._get),
                self._describe,
            )
            while not self.stopping:
                await self.dice.choices(deeds, (6, 4, 2, 2, 2, 1))[0]()
                await asyncio.sleep(self.dice.uniform(0, self.pause_s))

    async def _one(self) -> None:
        name = self.names.now(self.dice)
        await self._write("GetOrCreate", [name], pb.GetOrCreateRequest(name=name))

    async def _batch(self) -> None:
        # So many of so few that most are there in several spellings.
        names = [self.names.now(self.dice) for _ in range(self.dice.randrange(2, 60))]
        await self._write("BatchGetOrCreate", names, pb.BatchGetOrCreateRequest(names=names))

    async def _tags(self) -> None:
        names = [self.names.now(self.dice) for _ in range(self.dice.randrange(1, 8))]
        sets = [pb.TagSet(values=["; ".join(names)]), pb.TagSet(values=names)]
        request = pb.ResolveTagsRequest(tag_sets=sets[: self.dice.randrange(1, 3)])
        await self._write("ResolveTags", names, request)

    async def _look_up(self) -> None:
        name = self.names.before(self.dice)
        await self._ask("LookupGenre", [(name, key_of(name))], pb.LookupGenreRequest(name=name))

    async def _get(self) -> None:
        if known := self._known():
            request = pb.GetGenreRequest(id=known.genre_id)
            await self._ask("GetGenre", [(known.name, known.key)], request)

    async def _describe(self) -> None:
        if known := self._known():
            genre = pb.Genre(id=known.genre_id, description=str(next(self._calls)))
            request = pb.UpdateGenreRequest(genre=genre, update_mask=DESCRIPTION)
            await self._ask("UpdateGenre", [(known.name, known.key)], request)

    def _known(self) -> Asked | None:
        """Return what was answered not long ago."""
        before = [each for each in self.asked[-50:] if each.genre_id]
        return self.dice.choice(before) if before else None

    async def _write(self, rpc: str, names: Sequence[str], request: Any) -> None:
        """Ask, again and again if need be, or give up; now and then once more for nothing."""
        if self.dice.random() < 0.8:
            request.request_id = f"{self.number}-{next(self._calls)}"
        wanted = [(name, key_of(name)) for name in names]
        for _ in range(TRIES_MAX):
            if await self._ask(rpc, wanted, request):
                if self.dice.random() < 0.1:
                    await self._ask(rpc, wanted, request)
                return
            if self.stopping or self.dice.random() < 0.1:
                return
            await asyncio.sleep(self.dice.uniform(0, 0.1))

    async def _ask(self, rpc: str, wanted: Sequence[tuple[str, Hashable]], request: Any) -> bool:
        """Make one call, note what came of it, and return whether it was answered."""
        timeout_s = DEADLINE_S
        if self.dice.random() < IMPATIENT_SHARE:
            timeout_s = self.dice.uniform(0.001, 0.02)
        call, request_id = next(self._calls), getattr(request, "request_id", "")
        start_s = time.monotonic()
        try:
            stub = self._curation if rpc == "UpdateGenre" else self._stub
            reply = await getattr(stub, rpc)(request, timeout=timeout_s, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            end_s, said = time.monotonic(), error_of(error)
            if said.split()[0] not in (EXPECTED if rpc in CREATING else EXPECTED | {NOT_FOUND}):
                self.unexpected.append(f"{rpc}: {said}: {error.details()}")
            for name, key in wanted:
                self.asked.append(
                    Asked(rpc, call, name, key, request_id, start_s, end_s, error=said)
                )
            return False
        end_s = time.monotonic()
        keys = dict(wanted)
        for answer in answers_of(rpc, wanted, reply):
            key = keys.get(answer.name) or key_of(answer.name)
            told = (answer.genre.id, answer.created, answer.genre.revision)
            self.asked.append(Asked(rpc, call, answer.name, key, request_id, start_s, end_s, *told))
        return True


def answers_of(rpc: str, wanted: Sequence[tuple[str, Hashable]], reply: Any) -> Iterator[Answer]:
    """Give each genre of a reply with the name that it was answered for."""
    if rpc == "BatchGetOrCreate":
        for (name, _), result in zip(wanted, reply.results, strict=True):
            yield Answer(name, result.resolved.genre, result.resolved.created)
    elif rpc == "ResolveTags":
        for result in reply.results:
            for part in result.genres:
                yield Answer(part.spelling, part.genre, part.created)
    else:
        [(name, _)] = wanted
        yield Answer(name, reply.genre, getattr(reply, "created", False))


@dataclass
class Watcher:
    """Watches from the revision that it saw last; a leaving one comes back now and then."""

    target: str
    dice: random.Random
    leaving: bool = False
    changes: list[Watched] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    revision: int = 0
    incarnation: str = ""

    async def run(self) -> None:
        """Watch until cancelled."""
        async with grpc.aio.insecure_channel(self.target, options=CHANNEL) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            while True:
                request = pb.WatchGenresRequest(
                    start_revision=self.revision, incarnation=self.incarnation
                )
                call = stub.WatchGenres(request, wait_for_ready=True)
                try:
                    with suppress(TimeoutError):
                        patience_s = self.dice.uniform(0.1, 2) if self.leaving else None
                        async with asyncio.timeout(patience_s):
                            await self._read(call)
                except grpc.aio.AioRpcError as error:
                    if error.code().name not in EXPECTED:
                        self.unexpected.append(f"a watcher at {self.revision}: {error_of(error)}")
                        return
                finally:
                    call.cancel()
                await asyncio.sleep(self.dice.uniform(0.02, 0.2))

    async def _read(self, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            self.incarnation = message.incarnation
            kind = pb.ChangeType.Name(message.type)
            if message.type == pb.CHANGE_TYPE_UNSPECIFIED:
                if message.revision != self.revision:
                    self.unexpected.append(f"heartbeat of {message.revision} at {self.revision}")
                continue
            self.revision = message.revision
            self.changes.append(
                Watched(message.revision, kind, message.genre.id, message.genre.name)
            )
