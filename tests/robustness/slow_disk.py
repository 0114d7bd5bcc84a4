"""The disk dawdles: group commit, deadlines and health checks when every fsync takes longer."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from calling import Caller, error_of, key_of
from disk_points import see_sound
from faulty_disk import FaultyDisk, made_library
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from history import Asked, History
from launching import Launched, Launcher
from trial import Trial

SYNCS_S = (0.005, 0.05, 0.5)
CLIENTS = 32
SYNCS_MAX = 3
"""How many fsyncs a create may take: what is under way, a checkpoint's, or its own."""
LEVEL_S_LEAST = 1.0
CALLS_LEAST = 3
"""Of each client, at each speed."""
DEADLINE_S = 30.0
DOOMED = 16
DOOMED_S = 0.15
"""How long calls wait behind a commit that takes longer."""
LATE_S_MAX = 0.1
"""How much later than its deadline a call may be answered, over what the machine takes."""
HEALTH_EVERY_S = 0.02
HEALTH_S_MAX = 0.1


@dataclass
class Level:
    """What happened at one speed of the disk."""

    sync_s: float
    asked: list[Asked] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)
    """How many began while a create was under way, whatever else the machine had to do."""
    health_s: list[float] = field(default_factory=list)

    @property
    def took_s(self) -> list[float]:
        return [each.end_s - each.start_s for each in self.asked if each.genre_id]


def p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[-1]


def run(trial: Trial) -> None:
    library = made_library(trial.folder)
    if library is None:
        trial.count("NOT TRIED: slow fsyncs, for there is no cc")
        return
    database = trial.folder / "registry.db"
    disk = FaultyDisk(trial.folder / "control", database)
    with Launcher(trial.folder, library) as launcher:
        launcher.launch("migrate", "--database", database).wait()
        server = launcher.serve(database, disk.environment)
        asked = asyncio.run(_try_all(trial, server, disk))
        _see_that_all_is_there(trial, server, database, asked)


async def _try_all(trial: Trial, server: Launched, disk: FaultyDisk) -> list[Asked]:
    """Load it at each speed; return all that was asked."""
    target = server.target()
    assert target is not None, server.said
    level_s = max(LEVEL_S_LEAST, trial.seconds / (len(SYNCS_S) + 2))
    asked: list[Asked] = []
    unslowed: list[Level] = []
    slowed: list[Level] = []
    for sync_s in (0.0, *SYNCS_S, 0.0):
        disk.slow_down(sync_s)
        level = Level(sync_s)
        (slowed if sync_s else unslowed).append(level)
        syncs = disk.counts["sync"]
        await _load(target, level, level_s, disk)
        commits = disk.counts["sync"] - syncs
        asked += level.asked
        trial.count(f"creates at +{sync_s * 1000:.0f} ms a sync", len(level.took_s))
        created_each = len(level.took_s) / commits
        trial.figure(f"creates a sync at +{sync_s * 1000:.0f} ms", f"{created_each:.1f}")
        for each in level.asked:
            if each.error:
                trial.fault("other", f"at {sync_s} s a sync a create was told {each.error}")
        if sync_s > DOOMED_S:
            asked += await _try_doomed(trial, target, p99(unslowed[0].took_s))
    _compare(trial, unslowed, slowed)
    disk.slow_down(0)
    return asked


def _compare(trial: Trial, unslowed: Sequence[Level], slowed: Sequence[Level]) -> None:
    """See that a slow disk costs a create three syncs, and a health check nothing."""
    own_s = max(p99(level.took_s) for level in unslowed)
    own_health_s = max(p99(level.health_s) for level in unslowed)
    trial.figure("p99 of creates without delay", f"{own_s * 1000:.0f} ms")
    for level in slowed:
        at = f"at +{level.sync_s * 1000:.0f} ms"
        over_s = p99(level.took_s) - own_s
        trial.figure(f"p99 of syncs begun meanwhile {at}", f"{p99(level.syncs):.0f}")
        trial.figure(f"p99 of creates {at}", f"{p99(level.took_s) * 1000:.0f} ms")
        trial.figure(f"beyond that, in syncs, {at}", f"{over_s / level.sync_s:.2f}")
        trial.figure(f"p99 of health checks {at}", f"{p99(level.health_s) * 1000:.0f} ms")
        if over_s > SYNCS_MAX * level.sync_s:
            trial.fault("slow", f"{at} the p99 of creates is {over_s / level.sync_s:.1f} syncs")
        if p99(level.health_s) > HEALTH_S_MAX + own_health_s:
            trial.fault("slow", f"{at} the p99 of health checks is {p99(level.health_s):.3f} s")


async def _load(target: str, level: Level, level_s: float, disk: FaultyDisk) -> None:
    """Have the clients create for *level_s*, and a prober ask for the health meanwhile."""
    end_s = time.monotonic() + level_s
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = GenreRegistryStub(channel)

        async def create(client: int) -> None:
            number = 0
            while number < CALLS_LEAST or time.monotonic() < end_s:
                name = f"Slow {level.sync_s} {end_s} {client} {number} xq"
                number += 1
                before = disk.counts["sync"]
                level.asked.append(await _create(stub, name, DEADLINE_S))
                level.syncs.append(disk.counts["sync"] - before)

        loading = asyncio.gather(*(create(client) for client in range(CLIENTS)))
        async with grpc.aio.insecure_channel(
            target, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as own:
            health: Any = health_pb2_grpc.HealthStub(own)
            while not loading.done():
                began_s = time.monotonic()
                await health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
                level.health_s.append(time.monotonic() - began_s)
                await asyncio.sleep(HEALTH_EVERY_S)
        await loading


async def _create(stub: Any, name: str, deadline_s: float) -> Asked:
    began_s = time.monotonic()
    call = hash((name, began_s))

    def asked(**told: Any) -> Asked:
        ended_s = time.monotonic()
        return Asked("GetOrCreate", call, name, key_of(name), "", began_s, ended_s, **told)

    try:
        answer = await stub.GetOrCreate(pb.GetOrCreateRequest(name=name), timeout=deadline_s)
    except grpc.aio.AioRpcError as failure:
        return asked(error=error_of(failure))
    genre = answer.genre
    return asked(genre_id=genre.id, created=answer.created, revision=genre.revision)


async def _try_doomed(trial: Trial, target: str, own_s: float) -> list[Asked]:
    """
    Have calls wait behind a commit that outlasts them: nothing is written for them. *own_s* is
    what the machine takes.
    """
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = GenreRegistryStub(channel)
        blocking = asyncio.create_task(_create(stub, f"Blocking {trial.seed} xq", DEADLINE_S))
        await asyncio.sleep(DOOMED_S / 5)
        names = [f"Doomed {number} xq" for number in range(DOOMED)]
        doomed = await asyncio.gather(*(_create(stub, name, DOOMED_S) for name in names))
        waited = not blocking.done()
        blocker = await blocking
        trial.count("calls whose deadline passed before their turn", DOOMED if waited else 0)
        for each in doomed if waited else ():
            late_s = each.end_s - each.start_s - DOOMED_S
            if not each.error.startswith("DEADLINE_EXCEEDED") or late_s > LATE_S_MAX + own_s:
                trial.fault("slow", f"a deadline: {each.error or 'created'}, {late_s:.3f} s late")
            wanted = pb.LookupGenreRequest(name=each.name)
            with suppress(grpc.aio.AioRpcError):
                await stub.LookupGenre(wanted, timeout=DEADLINE_S)
                trial.fault("other", f"{each.name} was written for nobody")
        return [blocker]


def _see_that_all_is_there(
    trial: Trial, server: Launched, database: Path, asked: list[Asked]
) -> None:
    target = server.target()
    assert target is not None
    with Caller(target) as reader:
        trial.judge(History(asked, {"afterwards": reader.watched()}, kept=reader.kept()))
    if code := server.end():
        trial.fault("other", f"it ended with {code}")
    see_sound(trial, database, "after a slow disk")
