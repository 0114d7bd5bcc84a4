"""While the registry is away: calls wait within their deadlines, and nobody hammers at it."""

import asyncio
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from conftest import ENDING_S, Server, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from grpc_status import rpc_status
from stub_server import answering

from registry_server.transport.status import pushback_of, status_of
from registry_server.vocabulary.refusals import Overloaded
from worker_client import (
    RASPBERRY_PI,
    WORKSTATION,
    AsyncGenreRegistryClient,
    CallCancelled,
    DeadlineExceeded,
    GenreRegistryClient,
    RegistryDefect,
    RegistryError,
    RegistryOverloaded,
    RegistryUnavailable,
    overall_deadline,
)

NOBODY = "127.0.0.1:1"
"""A target where nobody listens."""


class Refusing:
    """A server that answers every GetOrCreate as unavailable; `attempts` counts."""

    def __init__(self) -> None:
        self.attempts = 0
        self.refuse: Callable[[grpc.ServicerContext], None] | None = _unavailable
        self._counting = threading.Lock()

    def answer(self, _data: bytes, context: grpc.ServicerContext) -> bytes:
        with self._counting:
            self.attempts += 1
        if self.refuse is not None:
            self.refuse(context)
        return pb.GetOrCreateResponse(genre=pb.Genre(id=1, name="Dub")).SerializeToString()


def _unavailable(context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "not today")


def _dub(_data: bytes, _context: grpc.ServicerContext) -> bytes:
    return pb.LookupGenreResponse(genre=pb.Genre(id=1, name="Dub")).SerializeToString()


@pytest.fixture
def refusing() -> Iterator[tuple[Refusing, str]]:
    """A refusing server, and its target."""
    with _served(Refusing()) as served:
        yield served


@contextmanager
def _served(refusing: Refusing) -> Iterator[tuple[Refusing, str]]:
    answers = {"GetOrCreate": refusing.answer, "LookupGenre": _dub}
    with answering(answers, threads=32) as target:
        yield refusing, target


def call_all(target: str, calls: int, deadline_s: float, threads: int) -> list[RegistryError]:
    """Make *calls* calls for different names by threads; return what each failed with."""
    with GenreRegistryClient(target, cache_size=0) as registry, ThreadPoolExecutor(threads) as pool:

        def call(n: int) -> RegistryError:
            with pytest.raises(RegistryError) as raised:
                registry.get_or_create(f"genre {n}", deadline_s=deadline_s)
            return raised.value

        return list(pool.map(call, range(calls)))


def call_all_asyncio(target: str, calls: int, deadline_s: float, tasks: int) -> list[RegistryError]:
    """As `call_all`, by tasks."""

    async def run() -> list[RegistryError]:
        turns = asyncio.Semaphore(tasks)
        async with AsyncGenreRegistryClient(target, cache_size=0) as registry:

            async def call(n: int) -> RegistryError:
                async with turns:
                    with pytest.raises(RegistryError) as raised:
                        await registry.get_or_create(f"genre {n}", deadline_s=deadline_s)
                    return raised.value

            return list(await asyncio.gather(*map(call, range(calls))))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("call_all", "at_once"),
    [(call_all, 1), (call_all_asyncio, 30)],
    ids=["one after the other", "thirty tasks at once"],
)
def test_thirty_failing_calls_make_at_most_forty_attempts(
    refusing: tuple[Refusing, str], call_all: Callable[..., list[RegistryError]], at_once: int
) -> None:
    """A registry that refuses everyone is spared: gRPC's throttle, then the circuit."""
    server, target = refusing

    errors = call_all(target, 30, 20, at_once)

    assert {type(error) for error in errors} == {RegistryUnavailable}
    assert all(target in str(error) and "not today" in str(error) for error in errors)
    assert 30 <= server.attempts <= 40 or (at_once == 30 and server.attempts <= 40)


def test_calls_that_are_answered_buy_failing_ones_no_attempts(
    refusing: tuple[Refusing, str],
) -> None:
    """gRPC's throttle belongs to the channel: a thousand reads between do not fill it up again."""
    server, target = refusing
    with GenreRegistryClient(target, cache_size=0) as registry:
        for n in range(30):
            for _ in range(35):
                registry.lookup_genre("Dub")
            with pytest.raises(RegistryUnavailable):
                registry.get_or_create(f"genre {n}", deadline_s=20)

    assert server.attempts <= 40


def test_a_dead_registry_is_told_of_once(
    refusing: tuple[Refusing, str], caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log when it is known to be away, one when it answers again."""
    server, target = refusing
    with GenreRegistryClient(target, cache_size=0) as registry:
        for n in range(10):
            with pytest.raises(RegistryUnavailable):
                registry.get_or_create(f"genre {n}", deadline_s=10)
        server.refuse = None
        for n in range(10):
            assert registry.get_or_create(f"genre {n}").genre.id == 1

    said = [record.message for record in caplog.records if record.name == "worker_client"]
    assert len(said) == 2
    assert target in said[0]
    assert "answers again" in said[1]


def test_who_is_overloaded_is_left_alone_for_as_long_as_it_says() -> None:
    """The delay of the refusal is an attribute of the error, and waited out before a new try."""
    served = Refusing()
    times_s: list[float] = []

    def refuse(context: grpc.ServicerContext) -> None:
        times_s.append(time.monotonic())
        rich = rpc_status.to_status(status_of(Overloaded(0.4)))
        context.set_trailing_metadata((*rich.trailing_metadata, *pushback_of(Overloaded(0.4))))
        context.abort(rich.code, rich.details)

    served.refuse = refuse
    with (
        _served(served) as (_, target),
        GenreRegistryClient(target, cache_size=0) as registry,
        pytest.raises(RegistryOverloaded) as raised,
    ):
        registry.get_or_create("Dub", deadline_s=20)

    assert raised.value.retry_after_s == 0.4
    assert len(times_s) > 4
    assert all(later - earlier > 0.35 for earlier, later in pairwise(times_s))


@pytest.mark.parametrize("deadline_s", [0.3, 1.0])
def test_a_call_fails_at_its_deadline_with_where_it_tried(deadline_s: float) -> None:
    """With nobody there: within the deadline plus a tenth of a second, also the next call."""
    with GenreRegistryClient(NOBODY) as registry:
        late_s = []
        for _ in range(5):
            began_s = time.monotonic()
            with pytest.raises(RegistryUnavailable, match=NOBODY):
                registry.get_or_create("Dub", deadline_s=deadline_s)
            late_s.append(time.monotonic() - began_s - deadline_s)
        # The least of them: a busy machine may hold up any one.
        assert -0.05 < min(late_s) < 0.1
        assert max(late_s) < 2


async def test_a_call_of_a_task_fails_at_its_deadline() -> None:
    """The same for asyncio, for many at once."""
    async with AsyncGenreRegistryClient(NOBODY) as registry:

        async def call(n: int) -> float:
            began_s = time.monotonic()
            with pytest.raises(RegistryUnavailable, match=NOBODY):
                await registry.get_or_create(f"genre {n}", deadline_s=0.5)
            return time.monotonic() - began_s

        for _ in range(2):
            took_s = await asyncio.gather(*map(call, range(20)))
            assert 0.45 < min(took_s) < 0.6
            assert max(took_s) < 2.5


def test_calls_succeed_soon_after_the_registry_is_back(server: Server, database: Path) -> None:
    """Stopped, asked in vain, started again: within three seconds of its listening it answers."""
    with GenreRegistryClient(server.target, cache_size=0) as registry:
        registry.get_or_create("Before")
        server.stop()
        with pytest.raises(RegistryUnavailable):
            registry.get_or_create("Meanwhile", deadline_s=1)
        with running_server(database, server.target):
            began_s = time.monotonic()
            assert registry.get_or_create("After").created
            assert time.monotonic() - began_s < 3


def test_whoever_is_under_way_at_a_kill_is_answered_after_it(database: Path) -> None:
    """Thirty-two threads on one client and three kills: no call fails, nothing is doubled."""
    threads = 32
    over = threading.Event()
    answered: list[tuple[str, int, bool]] = []
    with running_server(database) as first:
        target = first.target
        registry = GenreRegistryClient(target, cache_size=0)

        def work(who: int) -> None:
            n = 0
            while not over.is_set():
                name = f"worker {who} genre {n}"
                resolution = registry.get_or_create(name, deadline_s=30)
                answered.append((name, resolution.genre.id, resolution.created))
                n += 1

        def wait_for_more() -> None:
            enough = len(answered) + 100
            began_s = time.monotonic()
            while len(answered) < enough:
                assert time.monotonic() < began_s + ENDING_S
                assert not [each for each in working if each.done()]
                over.wait(0.02)

        with registry, ThreadPoolExecutor(threads) as pool:
            working = [pool.submit(work, who) for who in range(threads)]
            try:
                wait_for_more()
                first.kill()
                for _ in range(2):
                    with running_server(database, target) as server:
                        wait_for_more()
                        server.kill()
                with running_server(database, target):
                    wait_for_more()
                    over.set()
                    for each in working:
                        each.result(ENDING_S)
            finally:
                over.set()
    assert len({name for name, _, _ in answered}) == len({i for _, i, _ in answered})
    assert all(created for _, _, created in answered)


def test_a_deadline_around_several_calls_is_inherited() -> None:
    """What the caller has promised holds: each call gets what is left, blocks only shorten."""
    with GenreRegistryClient(NOBODY) as registry:
        began_s = time.monotonic()
        with overall_deadline(0.6), overall_deadline(60):
            with pytest.raises(RegistryUnavailable):
                registry.get_or_create("Dub", deadline_s=0.3)
            with pytest.raises(RegistryUnavailable):
                registry.get_or_create("Dub")
            assert 0.55 < time.monotonic() - began_s < 3
            with pytest.raises(DeadlineExceeded, match="before it was made"):
                registry.get_or_create("Dub")
            assert time.monotonic() - began_s < 3


async def test_tasks_inherit_the_deadline_they_were_started_in(server: Server) -> None:
    """A task started in the block is bound by it, after the block too; others are not."""
    async with AsyncGenreRegistryClient(server.target) as registry:
        await registry.get_or_create("before")

        async def go_on() -> None:
            for n in range(1_000_000):
                await registry.get_or_create(f"more {n}")

        began_s = time.monotonic()
        with overall_deadline(0.5):
            going_on = asyncio.create_task(go_on())
        with pytest.raises(DeadlineExceeded):
            await going_on
        assert time.monotonic() - began_s < 5
        assert (await registry.get_or_create("afterwards")).created


async def test_for_ever_is_a_deadline_too(server: Server) -> None:
    """Who would rather wait than fail says infinity, and no clock on the way trips over it."""
    with GenreRegistryClient(server.target) as registry:
        assert registry.get_or_create("Dub", deadline_s=float("inf")).created
    async with AsyncGenreRegistryClient(server.target) as registry:
        assert not (await registry.get_or_create("Dub", deadline_s=float("inf"))).created


def test_profiles_grow_with_what_they_wait_for() -> None:
    """A write takes longer than a read, a batch longer than that, a Pi longer than a desktop."""
    for profile in (RASPBERRY_PI, WORKSTATION):
        assert profile.read_s < profile.write_s < profile.batch_s < profile.transfer_s
    for name in ("read_s", "write_s", "batch_s", "transfer_s"):
        assert getattr(WORKSTATION, name) < getattr(RASPBERRY_PI, name)


def test_reads_are_answered_while_writes_are_refused(refusing: tuple[Refusing, str]) -> None:
    """What is said to the calls of one RPC is told to no other's."""
    server, target = refusing
    with GenreRegistryClient(target, cache_size=0) as registry:
        with pytest.raises(RegistryUnavailable):
            registry.get_or_create("Dub", deadline_s=20)
        attempts = server.attempts
        for _ in range(5):
            with pytest.raises(RegistryDefect, match="UNIMPLEMENTED"):
                registry.get_genre(1)
            with pytest.raises(RegistryUnavailable):
                registry.get_or_create("Dub", deadline_s=20)
        assert server.attempts - attempts <= 10


def test_a_call_on_a_closed_channel_is_cancelled(registry: GenreRegistryClient) -> None:
    """Also the first call of its service, at which gRPC would crash if it were made up then."""
    registry.get_or_create("Dub")
    assert registry._link is not None
    registry._link._channel.close()

    with pytest.raises(CallCancelled):
        registry.update_genre(1, name="Dub Reggae")


async def test_closing_during_a_call_is_told_as_such(server: Server) -> None:
    """Whoever waited is told by an error of the client's, and is not cancelled itself."""
    registry = AsyncGenreRegistryClient(server.target, cache_size=0)
    await registry.get_or_create("Dub")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        asking = asyncio.create_task(registry.get_or_create("Ska"))
        await asyncio.sleep(0)
        await registry.close()
        with pytest.raises(CallCancelled):
            await asking
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_a_client_that_is_reopened_leaves_nothing(server: Server) -> None:
    """Closed and used again a hundred times, it holds what it held."""
    registry = GenreRegistryClient(server.target, cache_size=0)
    registry.get_or_create("Dub")
    held = len(weakref.finalize._registry)  # type: ignore[attr-defined]
    for _ in range(100):
        registry.close()
        registry.get_or_create("Dub")
    assert len(weakref.finalize._registry) == held  # type: ignore[attr-defined]
    registry.close()
