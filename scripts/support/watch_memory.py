"""What watchers leave in a server's memory: they come again and again, and things change."""

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

NAMES = 600
RENAMED = 50
"""How many of them are renamed while a wave watches."""
LONG = 190
"""Characters of a name: the changes are more than a connection holds that nobody reads."""


async def waves(database: Path, *, stuck: int, steady: int, times: int) -> list[float]:
    """
    Return what a server holds, in MiB, after each of *times* waves: *stuck* watchers that stop
    reading and *steady* ones that see everything, also what changes meanwhile. Then all leave.

    The same genres are renamed each time, so that what grows is the watchers' doing. The first
    waves make what later ones use again: the allocator's pools and SQLite's page caches.
    """
    server = Server(database)
    server.start()
    try:
        async with grpc.aio.insecure_channel(server.target, options=OWN_CONNECTION) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            names = [f"{at} ".ljust(LONG, "x") for at in range(NAMES)]
            made = await stub.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
            genres = [result.resolved.genre for result in made.results[:RENAMED]]
            # Not its files: a second connection to the database opens when first needed.
            connections = server.open_files("socket:")
            held_mib = []
            for wave in range(times):
                async with not_reading(server.target, stuck):
                    # The steady ones come after them: the stuck ones had their turns.
                    await _watch(server.target, steady, _rename(channel, genres, f"{wave % 2} "))
                await _until(lambda: server.open_files("socket:") <= connections, stub)
                held_mib.append(server.resident_mib())
            return held_mib
    finally:
        server.kill()


async def _watch(target: str, steady: int, changing: Any) -> None:
    watchers = [Watcher("steady", target, random.Random(at)) for at in range(steady)]
    watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
    revision: int = await changing
    await asyncio.gather(*(watcher.reach(revision) for watcher in watchers))
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def _rename(channel: grpc.aio.Channel, genres: list[pb.Genre], prefix: str) -> int:
    """Give *genres* their names with *prefix*; return the last revision."""
    curation: Any = pb_grpc.GenreCurationStub(channel)
    renamed = await asyncio.gather(
        *(
            curation.UpdateGenre(
                pb.UpdateGenreRequest(genre=pb.Genre(id=genre.id, name=prefix + genre.name))
            )
            for genre in genres
        )
    )
    return max(int(each.genre.revision) for each in renamed)


async def _until(is_so: Callable[[], bool], stub: Any) -> None:
    """Ask the server for something until *is_so*: connections close after their clients."""
    async with asyncio.timeout(30):
        while not is_so():
            await stub.ListGenres(pb.ListGenresRequest(page_size=1))
