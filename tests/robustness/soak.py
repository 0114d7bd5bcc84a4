"""
A long run: waves of watchers that come and go while workers scan the same library again and
again and a curator curates; after each wave the server is looked at.

A wave leaves the vocabulary as it found it, so that what grows from wave to wave is a leak. The
journal of changes grows, on the disk.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from calling import error_of
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from history import History, faults_of
from recording import CHANNEL, Watcher, until
from restarted_server import READY_S, Server
from trial import Trial
from watch_campaign import not_reading

TRACKS = 500
"""So few that the server has them all in mind within the first waves, each in two forms."""
GENRES = 400
CURATED = 16
"""Genres that the curator works on, among those that scans name."""
SCANNERS = 8
WATCHERS = 12
STUCK = 2
"""Watchers of each wave that read nothing and are gone without a word."""
WAVE_S = 3.0
WAVES_LEAST = 8
WARM_UP = 0.25
"""The first waves, which fill caches and pools for good."""
CALLS_AN_HOUR = 90_000
"""
An hour of a Pi's load: 25 files a second, as a scanner of its card reads tags, each resolved by
a call of its own; workers that batch make a hundredth of that.
"""
RESIDENT_MIB_MAX = 4.0
"""
What the second half of the waves may hold more than the first, in the median. In four minutes,
67 waves of a thousand calls, it was 0.4; of the eight waves of a short run it was up to 2, for
those still fill what is kept for good. In an hour of a Pi's load it finds 100 bytes a call.
"""
THREADS_MAX = 2
"""gRPC's core keeps a pool of its own, and makes and ends threads of it as it likes."""
FILES_MAX = 2
"""The second reader opens the file and its WAL when two read at once for the first time."""
WAL_MIB_MAX = 8.0
"""
SQLite moves the WAL into the database at every 1000 pages, which are 4 MiB, and begins it anew;
but not while a reader has not ended that began before, who may cost as much again.
"""


@dataclass(frozen=True)
class Held:
    """What a server holds when a wave has gone."""

    resident_mib: float
    threads: int
    files: int
    wal_mib: float


def run(trial: Trial) -> None:
    """Send wave after wave at one server, and compare the second half with the first."""
    server = Server(trial.folder / "registry.db")
    server.start()
    reading = threading.Thread(target=_read, args=(server, trial))
    reading.start()
    try:
        held = asyncio.run(_soak(trial, server))
        assert server.process is not None
        server.process.terminate()
        if exit_code := server.process.wait(READY_S):
            trial.fault("unexpected", f"the server ended with {exit_code}")
        _compare(trial, held)
    except (grpc.aio.AioRpcError, TimeoutError) as error:
        said = error_of(error) if isinstance(error, grpc.aio.AioRpcError) else "nothing for 30 s"
        trial.fault("unexpected", f"in wave {trial.counts['waves'] + 1}: {said}")
    finally:
        if server.process is not None:
            server.process.kill()
            server.process.wait(READY_S)
        reading.join()


def _read(server: Server, trial: Trial) -> None:
    """Take what the server logs, which it would otherwise keep for a while."""
    assert server.process is not None
    assert server.process.stdout is not None
    with server.process.stdout as lines:
        for line in lines:
            if '"defect"' in line:
                trial.fault("defect", line)


async def _soak(trial: Trial, server: Server) -> list[Held]:
    held: list[Held] = []
    began_s = time.monotonic()
    async with grpc.aio.insecure_channel(server.target, options=CHANNEL) as channel:
        soak = Soak(trial, server, channel)
        await soak.begin()
        while len(held) < WAVES_LEAST or trial.goes_on():
            await soak.wave()
            held.append(await soak.look())
            trial.count("waves")
    calls = sum(soak.calls.values())
    trial.count("calls", calls)
    trial.count("watchers that came and went", (WATCHERS + STUCK) * len(held))
    for what, number in soak.calls.items():
        trial.count(f"calls: {what}", number)
    trial.figure("calls a second", f"{calls / (time.monotonic() - began_s):.0f}")
    trial.figure("hours of a Pi's load in calls", f"{calls / CALLS_AN_HOUR:.1f}")
    return held


class Soak:
    """The waves that one server gets, and what it answered to the first."""

    def __init__(self, trial: Trial, server: Server, channel: grpc.aio.Channel) -> None:
        self.calls: Counter[str] = Counter()
        self._trial = trial
        self._server = server
        self._registry: Any = pb_grpc.GenreRegistryStub(channel)
        self._curation: Any = pb_grpc.GenreCurationStub(channel)
        names = [f"sondage {number}" for number in range(GENRES)]
        self._names, self._curated_names = names[CURATED:], names[:CURATED]
        self._tracks = [trial.dice.choices(names, k=2) for _ in range(TRACKS)]
        self._ids: dict[str, int] = {}
        self._curated: list[int] = []
        self._sockets = 0

    async def begin(self) -> None:
        """Have every genre of the library, and remember which it is."""
        names = [*self._curated_names, *self._names]
        made = await self._registry.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
        ids = [result.resolved.genre.id for result in made.results]
        self._ids = dict(zip(names, ids, strict=True))
        self._curated = ids[:CURATED]
        self._sockets = self._server.open_files("socket:")

    async def wave(self) -> None:
        """Have watchers, scanners and a curator at work, until all have gone."""
        start = await self._stands()
        end_s = time.monotonic() + WAVE_S
        async with (
            not_reading(self._server.target, STUCK),
            self._watching(start) as watchers,
        ):
            await asyncio.gather(
                *(self._scan(end_s, self._throw()) for _ in range(SCANNERS)),
                self._curate(end_s),
            )
            stands = await self._stands()
            await asyncio.to_thread(
                until, lambda: all(each.revision >= stands.revision for each in watchers), 30
            )
        watched = {f"watcher {at}": each.changes for at, each in enumerate(watchers)}
        self._trial.count("changes watched", sum(map(len, watched.values())))
        self._trial.faults += faults_of(
            History(watched=watched, watched_from=start.revision, revision=stands.revision)
        )
        for sentence in (each for watcher in watchers for each in watcher.unexpected):
            self._trial.fault("unexpected", sentence)

    async def look(self) -> Held:
        """Return what is held once the last connection of the wave has closed."""
        async with asyncio.timeout(30):
            while self._server.open_files("socket:") > self._sockets:
                await self._stands()
        return _held_by(self._server)

    @asynccontextmanager
    async def _watching(self, start: Any) -> AsyncIterator[list[Watcher]]:
        """Have watchers from *start* on, most of which leave and come back meanwhile."""
        watchers = [
            Watcher(
                self._server.target,
                self._throw(),
                leaving=at % 4 > 0,
                revision=start.revision,
                incarnation=start.incarnation,
            )
            for at in range(WATCHERS)
        ]
        watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
        try:
            yield watchers
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _scan(self, end_s: float, dice: random.Random) -> None:
        """Resolve file after file, as workers do that know no batch; now and then a batch."""
        while time.monotonic() < end_s:
            for names in dice.sample(self._tracks, 50):
                tag_set = pb.TagSet(values=["; ".join(names)])
                await self._resolve([tag_set])
                name = dice.choice(self._names)
                found = await self._registry.GetOrCreate(pb.GetOrCreateRequest(name=name.upper()))
                self._see(name, found.genre.id, found.created)
                self.calls["GetOrCreate"] += 1
                if time.monotonic() > end_s:
                    return
            await self._resolve(
                [pb.TagSet(values=names) for names in dice.sample(self._tracks, 50)]
            )

    async def _resolve(self, tag_sets: Sequence[pb.TagSet]) -> None:
        request = pb.ResolveTagsRequest(tag_sets=tag_sets)
        resolved = await self._registry.ResolveTags(request)
        for part in (part for result in resolved.results for part in result.genres):
            if part.spelling not in self._curated_names:
                self._see(part.spelling, part.genre.id, part.created)
        self.calls["ResolveTags"] += 1

    def _see(self, name: str, genre_id: int, created: bool) -> None:
        if created or genre_id != self._ids[name]:
            self._trial.fault("wrong", f"{name} was {self._ids[name]}, and is {genre_id}")

    async def _curate(self, end_s: float) -> None:
        """Do what is then undone, with one genre after another."""
        curation = self._curation
        while time.monotonic() < end_s:
            for genre_id, name in zip(self._curated, self._curated_names, strict=True):
                target_id = self._ids[self._names[0]]
                for method, request in (
                    (curation.AddAlias, pb.AddAliasRequest(genre_id=genre_id, alias=f"{name} x")),
                    (
                        curation.RemoveAlias,
                        pb.RemoveAliasRequest(genre_id=genre_id, alias=f"{name} x"),
                    ),
                    (
                        curation.MergeGenres,
                        pb.MergeGenresRequest(source_ids=[genre_id], target_id=target_id),
                    ),
                    (curation.UnmergeGenre, pb.UnmergeGenreRequest(source_id=genre_id)),
                    (curation.DeleteGenre, pb.DeleteGenreRequest(id=genre_id)),
                    (curation.UndeleteGenre, pb.UndeleteGenreRequest(id=genre_id)),
                ):
                    await method(request)
                    self.calls["curation"] += 1
                if time.monotonic() > end_s:
                    return

    async def _stands(self) -> Any:
        self.calls["ListGenres"] += 1
        return await self._registry.ListGenres(pb.ListGenresRequest(page_size=1))

    def _throw(self) -> random.Random:
        return random.Random(self._trial.dice.random())


def _held_by(server: Server) -> Held:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [threads] = [line.split()[1] for line in status.splitlines() if line.startswith("Threads:")]
    wal = server.database.with_name(server.database.name + "-wal")
    return Held(
        server.resident_mib(), int(threads), server.open_files(), wal.stat().st_size / 2**20
    )


def _compare(trial: Trial, held: Sequence[Held]) -> None:
    """Hold the second half of the waves against the first, those left out that warm it up."""
    steady = held[int(len(held) * WARM_UP) :]
    first, second = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    for each in fields(Held):
        before = [getattr(one, each.name) for one in first]
        after = [getattr(one, each.name) for one in second]
        named = each.name.removesuffix("_mib").replace("_", " ")
        unit = " MiB" if each.name.endswith("_mib") else ""
        trial.figure(
            f"{named}, median of each half", f"{median(before):.4g}, {median(after):.4g}{unit}"
        )
        if each.name == "wal_mib":
            grown, allowed = max(after), WAL_MIB_MAX
        elif each.name == "resident_mib":
            grown, allowed = median(after) - median(before), RESIDENT_MIB_MAX
        else:
            grown = max(after) - max(before)
            allowed = THREADS_MAX if named == "threads" else FILES_MAX
        if grown > allowed:
            trial.fault("grown", f"{named}: {grown:.4g}{unit}, of {allowed:.4g} allowed")
