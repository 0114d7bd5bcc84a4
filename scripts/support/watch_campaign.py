"""
The campaign behind `scripts/watch-campaign`: many watchers, many changes, a server that restarts.

Some watchers read on, some stop now and then, some leave and come back. Each adds what it
saw to a digest, so that one number tells whether all saw the same, once and in order; what
the writers were answered tells whether it was the truth.
"""

import argparse
import asyncio
import hashlib
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from restarted_server import READY_S, Server

LEFT_MIB_MAX = 8
"""
What a hundred watchers may leave in the server: a bare gRPC server of a few lines was left with
5 MiB by them, 2 that gRPC holds on to and the allocator's gaps; and what two runs differ by.
Twelve times as many left this server with 1 MiB more.
"""
IN_FLIGHT = 16
BATCH = 100
HITS = 500
"""Calls whose median is a latency."""
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535))
"""A channel that takes little ahead of its reader, so that who does not read is soon stuck."""
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class Watcher:
    """
    One watcher. Of *kind* "steady", "slow", which stops reading now and then, or "leaving",
    which leaves and comes back.
    """

    kind: str
    target: str
    dice: random.Random
    revision: int = 0
    incarnation: str = ""
    reconnected: int = 0
    faults: list[str] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watch until cancelled."""
        options = (*OWN_CONNECTION, *(NARROW if self.kind == "slow" else ()))
        async with grpc.aio.insecure_channel(self.target, options=options) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            while True:
                request = pb.WatchGenresRequest(
                    start_revision=self.revision, incarnation=self.incarnation
                )
                call = stub.WatchGenres(request, wait_for_ready=True)
                try:
                    await self._read(call)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        self.faults.append(
                            f"a {self.kind} watcher at {self.revision} was told "
                            f"{error.code().name}: {error.details()}"
                        )
                    told = dict(error.trailing_metadata() or ())
                    at_least_s = int(told.get("grpc-retry-pushback-ms", "50")) / 1000
                    await asyncio.sleep(at_least_s * self.dice.uniform(1, 1.5))
                finally:
                    call.cancel()
                self.reconnected += 1

    async def _read(self, call: Any) -> None:
        """Read until this watcher has had enough."""
        patience = self.dice.randrange(100, 800) if self.kind == "leaving" else -1
        pause_after = self.dice.randrange(50, 400) if self.kind == "slow" else -1
        while patience:
            message = await call.read()
            self._see(message)
            patience -= 1
            pause_after -= 1
            if pause_after == 0:
                await asyncio.sleep(self.dice.uniform(0.2, 1.5))
                pause_after = self.dice.randrange(50, 400)

    def _see(self, message: pb.WatchGenresResponse) -> None:
        self.incarnation = message.incarnation
        if message.type == pb.CHANGE_TYPE_UNSPECIFIED:
            if message.revision != self.revision:
                self.faults.append(f"heartbeat of {message.revision} after {self.revision}")
            return
        if message.revision != self.revision + 1:
            self.faults.append(f"{message.revision} after {self.revision}")
        self.revision = message.revision
        self.digest.update(digested(message))
        self.moved.set()

    async def reach(self, revision: int) -> None:
        """Return when this watcher has seen *revision*."""
        while self.revision < revision:
            self.moved.clear()
            await self.moved.wait()


def digested(message: pb.WatchGenresResponse) -> bytes:
    """Return what counts of a change."""
    return f"{message.revision} {message.type} {message.genre.id} {message.genre.name}\n".encode()


@dataclass
class Writers:
    """Those who make the changes; they come back when the server does."""

    target: str
    told: dict[int, str] = field(default_factory=dict)
    """The name that each revision gave, by what the server answered."""
    _asked: int = 0

    async def make(self, changes: int, rounds: int, between: Any) -> int:
        """
        Make *changes* in *rounds*, half of them renames, and await *between* while each but
        the first is under way. Return the last revision.
        """
        options = (("grpc.enable_retries", 1), *OWN_CONNECTION)
        async with grpc.aio.insecure_channel(self.target, options=options) as channel:
            stub = pb_grpc.GenreRegistryStub(channel)
            curation = pb_grpc.GenreCurationStub(channel)
            for round_ in range(rounds):
                work = asyncio.create_task(self._round(stub, curation, changes // rounds))
                if round_:
                    await between(round_)
                await work
            page: Any = await _again(stub.ListGenres, pb.ListGenresRequest(page_size=1))
            return int(page.revision)

    async def _round(self, stub: Any, curation: Any, changes: int) -> None:
        ids: list[int] = []
        for _ in range(0, changes // 2, BATCH):
            names = [f"Made up {self._asked + at}" for at in range(min(BATCH, changes // 2))]
            self._asked += len(names)
            made: Any = await _again(stub.BatchGetOrCreate, pb.BatchGetOrCreateRequest(names=names))
            ids += [result.resolved.genre.id for result in made.results]
            for result in made.results:
                self.told[result.resolved.genre.revision] = result.resolved.genre.name
        waiting = iter(ids)

        async def rename() -> None:
            for genre_id in waiting:
                genre = pb.Genre(id=genre_id, name=f"Renamed {genre_id}")
                renamed: Any = await _again(
                    curation.UpdateGenre, pb.UpdateGenreRequest(genre=genre)
                )
                self.told[renamed.genre.revision] = renamed.genre.name

        await asyncio.gather(*(rename() for _ in range(IN_FLIGHT)))


async def _again(method: Any, request: Any) -> Any:
    """Return the answer of a call that may be made twice, whenever a server gives one."""
    while True:
        try:
            return await method(request, wait_for_ready=True, timeout=READY_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)


@dataclass
class Report:
    """What came out; `faults` is empty if all is well."""

    watchers: int
    revision: int
    seconds: float
    reconnected: int
    stopped_s: float
    """How long the server took to stop, with every watcher connected."""
    before_mib: float
    """What the server held before the first watcher."""
    peak_mib: float
    after_mib: float
    """What it held after all had gone."""
    fresh_mib: float
    """What a server holds that was just started over the same registry."""
    faults: list[str]


async def campaign(database: Path, *, watchers: int, changes: int, kill: bool) -> Report:
    """
    Run *watchers* through *changes*, a restart, and, with *kill*, a kill -9 besides; raises
    TimeoutError if one of them does not get there.
    """
    server = Server(database)
    server.start()
    try:
        return await _campaign(server, watchers=watchers, changes=changes, kill=kill)
    finally:
        assert server.process is not None
        if server.process.poll() is None:
            server.end(signal.SIGTERM)


async def _campaign(server: Server, *, watchers: int, changes: int, kill: bool) -> Report:
    began_s = time.monotonic()
    before_mib = server.resident_mib()
    kinds = ("steady", "steady", "slow", "leaving")
    all_of_them = [
        Watcher(kinds[at % len(kinds)], server.target, random.Random(at)) for at in range(watchers)
    ]
    watching = [asyncio.create_task(watcher.run()) for watcher in all_of_them]
    stopped_s: list[float] = []
    peak_mib = [before_mib]

    async def look() -> None:
        while True:
            with suppress(OSError, AssertionError):
                peak_mib.append(server.resident_mib())
            await asyncio.sleep(0.2)

    async def restart(round_: int) -> None:
        with_signal = signal.SIGTERM if round_ == 1 else signal.SIGKILL
        took_s = await asyncio.to_thread(server.restart, with_signal)
        if round_ == 1:
            stopped_s.append(took_s)

    looking = asyncio.create_task(look())
    writers = Writers(server.target)
    try:
        revision = await writers.make(changes, 3 if kill else 2, restart)
        slowest_s = 60 + watchers * revision / 500
        await asyncio.wait_for(
            asyncio.gather(*(watcher.reach(revision) for watcher in all_of_them)), slowest_s
        )
    finally:
        for task in (*watching, looking):
            task.cancel()
        await asyncio.gather(*watching, looking, return_exceptions=True)
    seconds = time.monotonic() - began_s
    replayed, truth = await _replay(server.target, revision)
    after_mib = server.resident_mib()
    server.restart(signal.SIGTERM)
    faults = [fault for watcher in all_of_them for fault in watcher.faults]
    faults += [
        f"a {watcher.kind} watcher saw something else"
        for watcher in all_of_them
        if watcher.digest.digest() != replayed
    ]
    faults += [
        f"revision {at} was answered as {name!r} and watched as {truth.get(at)!r}"
        for at, name in writers.told.items()
        if truth.get(at) != name
    ]
    return Report(
        watchers,
        revision,
        seconds,
        sum(watcher.reconnected for watcher in all_of_them),
        max(stopped_s),
        before_mib,
        max(peak_mib),
        after_mib,
        server.resident_mib(),
        faults,
    )


async def _replay(target: str, revision: int) -> tuple[bytes, dict[int, str]]:
    """Return what somebody sees who watches from the beginning afterwards."""
    digest = hashlib.sha256()
    names: dict[int, str] = {}
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = pb_grpc.GenreRegistryStub(channel)
        call = stub.WatchGenres(pb.WatchGenresRequest())
        while len(names) < revision:
            message = await call.read()
            digest.update(digested(message))
            names[message.revision] = message.genre.name
        call.cancel()
    return digest.digest(), names


@dataclass(frozen=True)
class Latency:
    """How long a hit takes, median in milliseconds: alone, then with watchers."""

    alone_ms: float
    idle_ms: float
    stuck_ms: float


async def latency(database: Path, *, watchers: int, stuck: int) -> Latency:
    """
    Return how long `GetOrCreate` of a known name takes alone, with *watchers* that have caught
    up, and with *stuck* of them that read no more.
    """
    server = Server(database)
    server.start()
    try:
        async with grpc.aio.insecure_channel(server.target, options=OWN_CONNECTION) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            for batch in range(2):
                names = [f"{batch} {at} ".ljust(190, "x") for at in range(1000)]
                await stub.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
            alone_ms = await _hit_ms(stub)
            async with _caught_up(server.target, watchers, 2000):
                idle_ms = await _hit_ms(stub)
            async with (
                _caught_up(server.target, watchers - stuck, 2000),
                not_reading(server.target, stuck),
            ):
                stuck_ms = await _hit_ms(stub)
        return Latency(alone_ms, idle_ms, stuck_ms)
    finally:
        server.end(signal.SIGKILL)


async def _hit_ms(stub: Any) -> float:
    took_ms = []
    for _ in range(HITS):
        began_s = time.perf_counter()
        await stub.GetOrCreate(pb.GetOrCreateRequest(name="0 0 ".ljust(190, "x")))
        took_ms.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took_ms)


@asynccontextmanager
async def _caught_up(target: str, watchers: int, revision: int) -> AsyncIterator[None]:
    """Have *watchers* that have seen everything up to *revision*, and read on."""
    all_of_them = [Watcher("steady", target, random.Random(at)) for at in range(watchers)]
    for watcher in all_of_them:
        watcher.revision = revision - 1
    tasks = [asyncio.create_task(watcher.run()) for watcher in all_of_them]
    await asyncio.gather(*(watcher.reach(revision) for watcher in all_of_them))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def not_reading(target: str, watchers: int) -> AsyncIterator[None]:
    """Have *watchers* that took one change and then nothing."""
    channels = [
        grpc.aio.insecure_channel(target, options=(*OWN_CONNECTION, *NARROW))
        for _ in range(watchers)
    ]
    calls: list[Any] = []
    for channel in channels:
        stub: Any = pb_grpc.GenreRegistryStub(channel)
        calls.append(stub.WatchGenres(pb.WatchGenresRequest()))
        await calls[-1].read()
    try:
        yield
    finally:
        for call in calls:
            call.cancel()
        for channel in channels:
            await channel.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--changes", type=int, default=10_000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="watch-campaign-"))
    try:
        report = asyncio.run(
            campaign(
                folder / "campaign.db",
                watchers=arguments.watchers,
                changes=arguments.changes,
                kill=True,
            )
        )
        # What the same changes and restarts leave of themselves: as many genres known, as many
        # modules loaded.
        unwatched = asyncio.run(
            campaign(folder / "unwatched.db", watchers=0, changes=arguments.changes, kill=True)
        )
        left_mib = report.after_mib - unwatched.after_mib
        if left_mib > LEFT_MIB_MAX:
            report.faults.append(f"watching left {left_mib:.0f} MiB")
        slowed = asyncio.run(latency(folder / "latency.db", watchers=arguments.watchers, stuck=20))
    finally:
        shutil.rmtree(folder)
    for what, value in (
        ("watchers", f"{report.watchers}"),
        ("changes, each seen by all of them", f"{report.revision}"),
        ("seconds in all", f"{report.seconds:.0f}"),
        ("changes told a second", f"{report.watchers * report.revision / report.seconds:.0f}"),
        ("times a watcher came back", f"{report.reconnected}"),
        ("seconds to stop with all connected", f"{report.stopped_s:.2f}"),
        ("MiB before the first watcher", f"{report.before_mib:.0f}"),
        ("MiB at most", f"{report.peak_mib:.0f}"),
        ("MiB after all had gone", f"{report.after_mib:.0f}"),
        ("MiB of a fresh server over the same", f"{report.fresh_mib:.0f}"),
        ("MiB after the same, unwatched", f"{unwatched.after_mib:.0f}"),
        ("MiB that watching left", f"{left_mib:.0f}"),
        ("ms for a hit, alone", f"{slowed.alone_ms:.2f}"),
        ("ms for a hit, all idle", f"{slowed.idle_ms:.2f}"),
        ("ms for a hit, 20 of them stuck", f"{slowed.stuck_ms:.2f}"),
    ):
        print(f"{what:36} {value:>9}")
    for fault in report.faults[:20]:
        print("FAULT:", fault)
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
