"""
Programs for the tests of processes: each is run by its name, in a Python of its own.

    python forking_worker.py PROGRAM TARGET

Prints "all well", or ends with an error. A child that hangs is ended by its alarm.
"""

import asyncio
import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable

import pytest

from worker_client import AsyncGenreRegistryClient, GenreRegistryClient

CHILD_S = 20
"""How long a child may take; then it hangs."""
FORKS = 200

target = sys.argv[-1]
registry = GenreRegistryClient(target)


def watch(client: GenreRegistryClient) -> None:
    """Have the client's watch up, and go on."""
    ends_s = time.monotonic() + CHILD_S
    while not client._cache.is_watched:
        assert time.monotonic() < ends_s, "no watch"
        client.lookup_genre("Dub")
        threading.Event().wait(0.002)


def work() -> int:
    """What a child does: the client it has got, and one of its own, both with their watches."""
    assert registry.get_or_create("Dub").genre.name == "Dub"
    watch(registry)
    with GenreRegistryClient(target) as own:
        name = f"made by {uuid.uuid4()}"
        assert own.get_or_create(name).created
        assert not own.get_or_create(name).created
        watch(own)
    return os.getpid()


def forked(child: Callable[[], object]) -> int:
    """Fork, run *child* there, and return the child's id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    signal.alarm(CHILD_S)
    try:
        child()
        code = 0
    except BaseException as error:
        print(f"in a child: {error!r}", file=sys.stderr, flush=True)
    os._exit(code)


def wait_for(pid: int) -> None:
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"a child ended with {status}"


def forks() -> None:
    """Two hundred forks with a live watch, one after the other."""
    for _ in range(FORKS):
        watch(registry)
        wait_for(forked(work))
        registry.get_or_create("Dub", request_id="the parent goes on")
    watch(registry)


def forks_under_load() -> None:
    """Forks while four threads call: none of their calls fails, the children work."""
    over = threading.Event()
    failed: list[Exception] = []
    calls = [0] * 4

    def call(who: int) -> None:
        while not over.is_set():
            try:
                registry.get_or_create(f"thread {who} call {calls[who] % 50}", request_id="again")
                calls[who] += 1
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=call, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        wait_for(forked(work))
    over.set()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert all(calls)


def pools() -> None:
    """Pools of processes by fork, processes one by one, grandchildren, pre-forked workers."""
    watch(registry)
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(4, fork) as executor:
        assert len({each.result() for each in [executor.submit(work) for _ in range(12)]}) > 1
    with fork.Pool(2, maxtasksperchild=1) as pool:
        assert len(set(pool.starmap(work, [()] * 6))) == 6
    process = fork.Process(target=work)
    process.start()
    process.join(CHILD_S)
    assert process.exitcode == 0
    wait_for(forked(lambda: (work(), wait_for(forked(work)), work())))
    for pid in [forked(lambda: [work() for _ in range(3)]) for _ in range(4)]:
        wait_for(pid)
    changes = registry.watch_genres()
    first = next(changes)
    wait_for(forked(lambda: next(changes)))
    assert next(changes).revision == first.revision + 1
    changes.close()


def ask(client: GenreRegistryClient) -> str:
    return client.get_or_create("Dub").genre.name


def spawned() -> None:
    """Processes that are made anew get a client as an argument, and open their own channel."""
    watch(registry)
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert set(pool.map(ask, [registry] * 8)) == {"Dub"}
    assert registry._cache.is_watched, "the parent's watch was disturbed"


def asyncio_forked() -> None:
    """A fork while a client is open: warned of, and refused in the child, in words."""

    async def ask_with(client: AsyncGenreRegistryClient) -> str:
        return (await client.get_or_create("Dub")).genre.name

    def refused(client: AsyncGenreRegistryClient) -> None:
        with pytest.raises(RuntimeError, match="forked while"):
            asyncio.run(ask_with(client))

    def in_child() -> None:
        refused(client)
        refused(AsyncGenreRegistryClient(target))
        assert registry.get_or_create("Dub").genre.name == "Dub"

    async def fork_while_open() -> AsyncGenreRegistryClient:
        client = AsyncGenreRegistryClient(target)
        await ask_with(client)
        return client

    client = asyncio.run(fork_while_open())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RuntimeWarning)
        pid = forked(in_child)
    wait_for(pid)
    assert any("AsyncGenreRegistryClient is open" in str(each.message) for each in told)
    assert asyncio.run(ask_with(client)) == "Dub"


def asyncio_loops() -> None:
    """One loop after the other is well; two at once are refused; so is nothing after a close."""

    async def ask_with(client: AsyncGenreRegistryClient) -> None:
        for _ in range(3):
            assert (await client.get_or_create("Dub", request_id="a")).genre.name == "Dub"
            assert (await client.lookup_genre("Dub")).name == "Dub"

    client = AsyncGenreRegistryClient(target)
    for _ in range(5):
        asyncio.run(ask_with(client))

    async def ask_from_another_loop() -> None:
        await ask_with(client)
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(ask_with(client)))
        await ask_with(client)
        await client.close()

    asyncio.run(ask_from_another_loop())


def asyncio_closed() -> None:
    """A fork after the client was closed is like one before it was opened."""

    async def ask_once() -> None:
        async with AsyncGenreRegistryClient(target) as client:
            assert (await client.get_or_create("Dub")).genre.name == "Dub"

    for _ in range(10):
        asyncio.run(ask_once())
        wait_for(forked(lambda: asyncio.run(ask_once())))


PROGRAMS = {
    each.__name__: each
    for each in (
        forks,
        forks_under_load,
        pools,
        spawned,
        asyncio_forked,
        asyncio_loops,
        asyncio_closed,
    )
}

if __name__ == "__main__":
    # Python's own word on forks with threads: what is tested here is that they go well.
    warnings.simplefilter("ignore", DeprecationWarning)
    registry.get_or_create("Dub")
    PROGRAMS[sys.argv[1]]()
    registry.close()
    print("all well")
