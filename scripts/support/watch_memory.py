"""What watchers leave in a server's memory: they come again and again, to a registry at rest."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from restarted_server import Server
from watch_campaign import OWN_CONNECTION, Watcher, not_reading

NAMES = 1000
LONG = 190
"""Characters of a name: the changes are more than a connection holds that nobody reads."""


async def waves(database: Path, *, stuck: int, steady: int, times: int) -> list[float]:
    """
    Return what a server holds, in MiB, after each of *times* waves: *stuck* watchers that stop
    reading and *steady* ones that see everything, all of which then leave.

    Nothing changes meanwhile, so that what grows is the watchers' doing. The first waves make
    what later ones use again: the allocator's pools and SQLite's page caches.
    """
    server = Server(database)
    server.start()
    try:
        async with grpc.aio.insecure_channel(server.target, options=OWN_CONNECTION) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            names = [f"{at} ".ljust(LONG, "x") for at in range(NAMES)]
            await stub.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
            files = server.open_files()
            held_mib = []
            for _ in range(times):
                await _wave(server.target, stuck, steady)
                await _until(lambda: server.open_files() <= files, stub)
                held_mib.append(server.resident_mib())
            return held_mib
    finally:
        server.kill()


async def _wave(target: str, stuck: int, steady: int) -> None:
    async with not_reading(target, stuck):
        # Whoever came after them and has seen everything: the stuck ones had their turns.
        watchers = [Watcher("steady", target, random.Random(at)) for at in range(steady)]
        watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
        await asyncio.gather(*(watcher.reach(NAMES) for watcher in watchers))
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _until(is_so: Callable[[], bool], stub: Any) -> None:
    """Ask the server for something until *is_so*: connections close after their clients."""
    async with asyncio.timeout(30):
        while not is_so():
            await stub.ListGenres(pb.ListGenresRequest(page_size=1))
