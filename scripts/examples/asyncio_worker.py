"""
An asyncio worker: one client for the event loop, any number of tasks.

    python asyncio_worker.py 127.0.0.1:50051
"""

import asyncio
import sys

from worker_client import (
    AsyncGenreRegistryClient,
    InvalidName,
    RegistryUnavailable,
    SpellingBlocked,
    overall_deadline,
)


async def genre_id(registry: AsyncGenreRegistryClient, name: str) -> int | None:
    """Return the id of a genre; None if the text names none."""
    try:
        return (await registry.get_or_create(name)).genre.id
    except (InvalidName, SpellingBlocked):
        return None


async def main(target: str) -> None:
    async with AsyncGenreRegistryClient(target) as registry:
        names = ["Dub", "dub", "Ska", "   "]
        try:
            with overall_deadline(15):  # for all of them together
                ids = await asyncio.gather(*(genre_id(registry, name) for name in names))
        except RegistryUnavailable as error:
            sys.exit(str(error))  # says where it tried, and that nobody was there
    for name, found in zip(names, ids, strict=True):
        print(repr(name), found)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
