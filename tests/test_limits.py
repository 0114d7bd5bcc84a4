"""Too much is refused fast and in words, and whoever asks little is served meanwhile."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import Server, StartServer
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from registry_server.transport.limiting import CALLERS_MAX, CallerRate, host_of
from registry_server.vocabulary.refusals import Overloaded
from worker_client import GenreRegistryClient

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
PATIENCE_S = 30.0
"""How long what must come is waited for, before its test fails."""

Limited = Callable[..., Server]


@pytest.fixture
def limited(start_server: StartServer, tmp_path: Path) -> Limited:
    """Start a server with limits of a test's own."""

    def start(**limits: object) -> Server:
        file = tmp_path / "settings.toml"
        file.write_text("".join(f"{name} = {json.dumps(to)}\n" for name, to in limits.items()))
        return start_server(flags=["--settings", str(file)])

    return start


@asynccontextmanager
async def stubs(target: str, *options: tuple[str, int]) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(target, options=(*OWN_CONNECTION, *options)) as channel:
        yield pb_grpc.GenreRegistryStub(channel)


def info_of(error: grpc.aio.AioRpcError) -> tuple[str, float]:
    """Return the reason of *error*, and after how many seconds to come back; 0 if it says not."""
    reason, retry_s = "", 0.0
    # rpc_status reads a sync call, and an aio error has the same of what it asks.
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            retry_s = retry.retry_delay.ToMilliseconds() / 1000
    pushback = dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")
    assert float(pushback or 0) / 1000 == retry_s
    return reason, retry_s


async def test_ten_times_as_many_calls_as_allowed_are_refused_fast(limited: Limited) -> None:
    """OVERLOADED with RetryInfo and pushback, while health is answered and the rest written."""
    server = limited(calls_in_flight_max=10)
    refused: list[grpc.aio.AioRpcError] = []
    refused_s: list[float] = []
    health_s: list[float] = []
    created = 0
    over = asyncio.Event()

    async def create(number: int, stub: Any) -> None:
        nonlocal created
        began_s = time.monotonic()
        try:
            await stub.GetOrCreate(pb.GetOrCreateRequest(name=f"Genre {number}"), timeout=10)
            created += 1
        except grpc.aio.AioRpcError as error:
            refused.append(error)
            refused_s.append(time.monotonic() - began_s)

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.target, options=OWN_CONNECTION) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not over.is_set():
                began_s = time.monotonic()
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
                health_s.append(time.monotonic() - began_s)
                await asyncio.sleep(0.005)

    async with stubs(server.target) as stub:
        await stub.ListGenres(pb.ListGenresRequest())
        checking = asyncio.create_task(check())
        for start in range(0, 300, 100):
            await asyncio.gather(*(create(start + number, stub) for number in range(100)))
        over.set()
        await checking

    # A slow machine brings them less at once.
    assert len(refused) > 30
    assert created >= 30
    for error in refused:
        reason, retry_s = info_of(error)
        assert (error.code(), reason) == (StatusCode.UNAVAILABLE, "OVERLOADED")
        assert 0.2 <= retry_s <= 0.4
    # The figures are those of a busy machine, which the load shares.
    assert sorted(refused_s)[len(refused_s) // 2] < 0.25
    assert sorted(health_s)[len(health_s) // 2] < 0.25


@asynccontextmanager
async def relay(target: str, host: str) -> AsyncIterator[str]:
    """Give an address whose callers seem to *target* to come from *host*."""
    port = int(target.rpartition(":")[2])
    relaying = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
        relaying.append(asyncio.create_task(pipe(reader, forth)))
        relaying.append(asyncio.create_task(pipe(back, writer)))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*relaying)


async def test_a_caller_beyond_its_rate_is_refused_while_another_is_served(
    limited: Limited,
) -> None:
    """The refusal says when the next call is due; without names, each address is a caller."""
    server = limited(caller_calls_per_s=5)
    ask = pb.GetOrCreateRequest(name="Dub")
    async with (
        relay(server.target, "127.0.0.2") as relayed,
        stubs(server.target) as greedy,
        stubs(relayed) as modest,
    ):
        calls = [greedy.GetOrCreate(ask) for _ in range(100)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert (await modest.GetOrCreate(ask)).genre.name == "Dub"

        refused = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
        # Ten at once, and as many as came due meanwhile.
        assert len(refused) > 50
        for error in refused:
            reason, retry_s = info_of(error)
            assert (error.code(), reason) == (StatusCode.UNAVAILABLE, "OVERLOADED")
            assert "5 times a second" in str(error.details())
            assert 0 < retry_s <= 0.202
        await asyncio.sleep(max(info_of(error)[1] for error in refused))
        await greedy.GetOrCreate(ask)


async def test_each_caller_has_a_rate_of_its_own() -> None:
    """One that asks too much costs nobody else a call, and is let in again when it is due."""
    rate = CallerRate(10)
    for _ in range(20):
        rate.take("greedy")

    with pytest.raises(Overloaded) as refused:
        rate.take("greedy")
    rate.take("modest")

    assert 0 < refused.value.retry_after_s <= 0.102
    assert refused.value.metadata == {"limit": "caller_calls_per_s"}


async def test_however_many_callers_there_are_little_is_remembered() -> None:
    """A flood of addresses takes no memory, and whoever asks too much is not forgotten for it."""
    rate = CallerRate(1)
    rate.take("greedy")
    rate.take("greedy")

    for number in range(3 * CALLERS_MAX):
        rate.take(f"caller {number}")

    with pytest.raises(Overloaded):
        rate.take("greedy")
    assert len(rate) <= CALLERS_MAX


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:192.168.0.7:50312", "192.168.0.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50312", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50312", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_a_caller_without_a_name_is_its_host(peer: str, host: str) -> None:
    """Another port is no other caller, nor is another address of the same household."""
    assert host_of(peer) == host


async def test_one_caller_cannot_open_every_stream(limited: Limited) -> None:
    """It is told which limit that is; ending a stream makes room."""
    server = limited(caller_streams_max=3)
    async with stubs(server.target) as stub:
        watches = [stub.WatchGenres(pb.WatchGenresRequest()) for _ in range(3)]
        await asyncio.gather(*(watch.read() for watch in watches))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.WatchGenres(pb.WatchGenresRequest()).read()

        assert info_of(caught.value)[0] == "OVERLOADED"
        assert "3 WatchGenres streams" in str(caught.value.details())
        watches[0].cancel()
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                await stub.WatchGenres(pb.WatchGenresRequest()).read()
                return
            except grpc.aio.AioRpcError:
                assert time.monotonic() < deadline_s


async def test_a_message_too_large_is_refused_in_words(limited: Limited) -> None:
    """Ours as any other mistake of the caller's; what is twice too large, by gRPC itself."""
    server = limited(message_bytes_max=10_000)
    async with stubs(server.target) as stub:
        for length, code, reason in (
            (12_000, StatusCode.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE"),
            (30_000, StatusCode.RESOURCE_EXHAUSTED, ""),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetOrCreate(pb.GetOrCreateRequest(name="x" * length))
            assert (caught.value.code(), info_of(caught.value)[0]) == (code, reason)


async def test_headers_too_large_are_refused(server: Server) -> None:
    """The call is refused; the connection and the server go on."""
    async with stubs(server.target) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetOrCreate(
                pb.GetOrCreateRequest(name="Dub"), metadata=(("x-much", "y" * 20_000),)
            )
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.GetOrCreate(pb.GetOrCreateRequest(name="Dub"))).created


def test_nobody_notices_that_connections_come_of_age(limited: Limited) -> None:
    """Calls and a watch go on over new connections: each change is seen once, in order."""
    server = limited(connection_age_s_max=0.2)
    seen: list[str] = []
    with (
        GenreRegistryClient(server.target, cache_size=0) as writer,
        GenreRegistryClient(server.target, cache_size=0) as watcher,
        closing(watcher.watch_genres(deadline_s=PATIENCE_S)) as changes,
    ):
        began_s = time.monotonic()
        number = 0
        while time.monotonic() < began_s + 1.5:
            assert writer.get_or_create(f"Genre {number}").created
            number += 1
            told = next(each for each in changes if each.genre is not None)
            seen.append(told.genre.name)

    assert seen == [f"Genre {each}" for each in range(number)]
