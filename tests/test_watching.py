"""Every later change, once and in order, for whoever watches, whatever happens meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from conftest import Server, StartServer
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status
from watch_campaign import NARROW, OWN_CONNECTION, campaign
from watch_memory import waves

from registry_server.transport import calls
from registry_server.transport.guard import Guard
from registry_server.transport.servicer import SERVICES

PATIENCE_S = 30.0
"""How long a watcher waits for what must come, before its test fails."""
HEARTBEAT = pb.CHANGE_TYPE_UNSPECIFIED
CREATED, UPDATED = pb.CHANGE_TYPE_CREATED, pb.CHANGE_TYPE_UPDATED
NO_PACKS = "musicbrainz,synonyms,additions,compounds,translations,discogs,id3v1,beets"


@dataclass
class Stubs:
    """The generated stubs on one connection."""

    registry: Any
    curation: Any

    def create(self, *names: str) -> list[int]:
        """Get or create genres; return their ids."""
        reply = self.registry.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
        return [result.resolved.genre.id for result in reply.results]

    def rename(self, genre_id: int, name: str) -> pb.Genre:
        genre = pb.Genre(id=genre_id, name=name)
        renamed: pb.UpdateGenreResponse = self.curation.UpdateGenre(
            pb.UpdateGenreRequest(genre=genre)
        )
        return renamed.genre

    def watch(self, start_revision: int = 0, incarnation: str = "") -> Any:
        """Return a watch: a stream that waits PATIENCE_S at most."""
        request = pb.WatchGenresRequest(start_revision=start_revision, incarnation=incarnation)
        return self.registry.WatchGenres(request, timeout=PATIENCE_S, wait_for_ready=True)

    def changes(self, start_revision: int, upto: int) -> list[pb.WatchGenresResponse]:
        """Watch until *upto* and return the changes."""
        seen = []
        stream = self.watch(start_revision)
        for message in stream:
            if message.type != HEARTBEAT:
                seen.append(message)
            if message.revision >= upto:
                break
        stream.cancel()
        return seen


@contextmanager
def connected(target: str, *options: tuple[str, int]) -> Iterator[Stubs]:
    with grpc.insecure_channel(target, options=(*OWN_CONNECTION, *options)) as channel:
        yield Stubs(pb_grpc.GenreRegistryStub(channel), pb_grpc.GenreCurationStub(channel))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., list[str]]:
    """Give flags that set what has no flag of its own."""

    def flags(**values: float) -> list[str]:
        file = tmp_path / "settings.toml"
        file.write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
        return ["--settings", str(file), "--packs-off", NO_PACKS]

    return flags


Flags = Callable[..., list[str]]
STREAMS_MAX = 150


def status_of(stream: Any) -> tuple[StatusCode, str, status_pb2.Status]:
    """Read *stream* to its end; return its status, the reason, and the rich status."""
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stream:
            pass
    rich = rpc_status.from_call(caught.value)
    assert rich is not None, caught.value
    info = error_details_pb2.ErrorInfo()
    [reason] = [d for d in rich.details if d.Is(info.DESCRIPTOR)]
    reason.Unpack(info)
    return caught.value.code(), info.reason, rich


def test_each_change_comes_once_with_the_genre_as_of_then(
    start_server: StartServer, settings: Flags
) -> None:
    """Renamed three times and watched afterwards: each change has that moment's name."""
    with connected(start_server(flags=settings()).target) as stubs:
        genre_id, other_id = stubs.create("Lo fi", "Dub")
        for name in ("Lofi House", "Low Fidelity", "Lo-Fi"):
            stubs.rename(genre_id, name)

        seen = stubs.changes(0, 5)

        assert [(c.revision, c.type, c.genre.id, c.genre.name) for c in seen] == [
            (1, CREATED, genre_id, "Lo fi"),
            (2, CREATED, other_id, "Dub"),
            (3, UPDATED, genre_id, "Lofi House"),
            (4, UPDATED, genre_id, "Low Fidelity"),
            (5, UPDATED, genre_id, "Lo-Fi"),
        ]
        assert [c.genre.revision for c in seen] == [1, 2, 3, 4, 5]
        assert list(seen[2].genre.aliases) == ["Lo fi"]
        assert len({c.incarnation for c in seen}) == 1


def test_every_kind_of_change_has_the_genre_as_of_then(
    start_server: StartServer, settings: Flags
) -> None:
    """A watch while it happens and a watch long after tell the same, to the letter."""
    with connected(start_server(flags=settings()).target) as stubs:
        live = stubs.watch()
        assert next(live).type == HEARTBEAT
        a, b, c = stubs.create("Alpha", "Beta", "Gamma")
        curation = stubs.curation
        curation.UpdateGenre(pb.UpdateGenreRequest(genre=pb.Genre(id=a, parent_ids=[b])))
        curation.UpdateGenre(
            pb.UpdateGenreRequest(genre=pb.Genre(id=a, description="words", external_ids={}))
        )
        curation.AddAlias(pb.AddAliasRequest(genre_id=a, alias="Alfa"))
        curation.MergeGenres(pb.MergeGenresRequest(source_ids=[b], target_id=c))
        curation.UnmergeGenre(pb.UnmergeGenreRequest(source_id=b))
        curation.RemoveAlias(pb.RemoveAliasRequest(genre_id=a, alias="Alfa"))
        curation.DeleteGenre(pb.DeleteGenreRequest(id=a))
        curation.UndeleteGenre(pb.UndeleteGenreRequest(id=a))
        curation.BlockSpelling(pb.BlockSpellingRequest(spelling="Noise words"))
        curation.UnblockSpelling(pb.UnblockSpellingRequest(spelling="Noise words"))
        curation.DistinguishSpelling(pb.DistinguishSpellingRequest(spelling="al-pha"))
        revision = stubs.registry.ListGenres(pb.ListGenresRequest()).revision
        told = []
        for message in live:
            if message.type != HEARTBEAT:
                told.append(message)
            if message.revision == revision:
                break
        live.cancel()

        assert [message.revision for message in told] == list(range(1, revision + 1))
        assert stubs.changes(0, revision) == told
        assert stubs.changes(4, revision) == told[4:]


def test_replayed_from_the_beginning_it_is_the_listing(
    start_server: StartServer, settings: Flags
) -> None:
    """The last state of every genre that was told is the genre that is there."""
    with connected(start_server(flags=settings()).target) as stubs:
        ids = stubs.create(*(f"Genre {n}" for n in range(40)))
        for n, genre_id in enumerate(ids[:20]):
            stubs.rename(genre_id, f"Other {n}")
        request = pb.MergeGenresRequest(source_ids=ids[10:15], target_id=ids[20])
        stubs.curation.MergeGenres(request)
        stubs.curation.DeleteGenre(pb.DeleteGenreRequest(id=ids[30]))
        listing = stubs.registry.ListGenres(pb.ListGenresRequest(show_deleted=True))

        copy: dict[int, pb.Genre] = {}
        for change in stubs.changes(0, listing.revision):
            copy[change.genre.id] = change.genre
            if change.type == pb.CHANGE_TYPE_MERGED:
                del copy[change.source_id]

        assert [copy[genre_id] for genre_id in sorted(copy)] == list(listing.genres)


def test_what_the_packs_bring_is_told_as_of_then(start_server: StartServer) -> None:
    """A parent that comes to a child later does not show in the child's first change."""
    with connected(start_server().target) as stubs:
        [child] = stubs.create("Trip Hop")
        [parent] = stubs.create("Downtempo")
        revision = stubs.registry.ListGenres(pb.ListGenresRequest()).revision

        seen = [c for c in stubs.changes(0, revision) if c.genre.id == child]

        assert [(c.type, list(c.genre.parent_ids)) for c in seen] == [
            (CREATED, []),
            (pb.CHANGE_TYPE_LINKED, [parent]),
        ]


def test_a_heartbeat_comes_at_once_and_then_while_idle(
    start_server: StartServer, settings: Flags
) -> None:
    """The first says that all was seen; the next ones that the registry is there."""
    with connected(start_server(flags=settings(watch_heartbeat_s=0.2)).target) as stubs:
        stubs.create("A", "B")
        incarnation = stubs.registry.ListGenres(pb.ListGenresRequest()).incarnation

        stream = stubs.watch(1)
        seen = [next(stream) for _ in range(2)]
        began_s = time.monotonic()
        seen += [next(stream) for _ in range(3)]
        took_s = time.monotonic() - began_s
        stream.cancel()

        assert [(m.revision, m.type) for m in seen] == [(2, CREATED)] + [(2, HEARTBEAT)] * 4
        assert {m.incarnation for m in seen} == {incarnation}
        assert not any(m.HasField("genre") for m in seen[1:])
        assert took_s > 0.4, "heartbeats are the exception"


def test_an_empty_registry_can_be_watched(start_server: StartServer, settings: Flags) -> None:
    """Revision 0 is a place to wait at; the default heartbeat is no condition for hearing."""
    with connected(start_server(flags=settings()).target) as stubs:
        stream = stubs.watch()
        first = next(stream)
        stubs.create("A")
        second = next(stream)
        stream.cancel()

    assert (first.revision, first.type) == (0, HEARTBEAT)
    assert (second.revision, second.genre.name) == (1, "A")


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_watch_resumes_after_a_restart_without_gap_or_repeat(
    start_server: StartServer, settings: Flags, ending: str
) -> None:
    """Also after kill -9: what was streamed is what was committed."""
    server = start_server(flags=settings())
    with connected(server.target) as stubs:
        ids = stubs.create(*(f"Genre {n}" for n in range(300)))
        stubs.rename(ids[0], "Renamed before")
        stream = stubs.watch(0)
        seen = [next(stream) for _ in range(100)]
        getattr(server, ending)()

    again = start_server(flags=settings())
    with connected(again.target) as stubs:
        stubs.rename(ids[0], "Renamed after")
        stubs.create("One more")
        stream = stubs.watch(seen[-1].revision, seen[-1].incarnation)
        while seen[-1].revision < 303:
            seen.append(next(stream))
        stream.cancel()

    assert [message.revision for message in seen] == list(range(1, 304))
    assert [m.genre.name for m in seen if m.genre.id == ids[0]] == [
        *("Genre 0", "Renamed before", "Renamed after")
    ]


def test_what_cannot_be_told_is_refused(start_server: StartServer, settings: Flags) -> None:
    """Older than is kept, of another incarnation, or from the future: list again."""
    with connected(start_server(flags=settings(history_kept=50)).target) as stubs:
        ids = stubs.create(*(f"Genre {n}" for n in range(10)))
        for n in range(90):
            stubs.rename(ids[n % 10], f"Genre {n % 10} for the {n}th time")
        listed = stubs.registry.ListGenres(pb.ListGenresRequest())
        assert listed.revision == 100
        trimmed = (StatusCode.OUT_OF_RANGE, "HISTORY_TRIMMED")

        assert [c.revision for c in stubs.changes(50, 100)] == list(range(51, 101))
        assert status_of(stubs.watch(49))[:2] == trimmed
        assert status_of(stubs.watch(0))[:2] == trimmed
        assert status_of(stubs.watch(101))[:2] == trimmed
        assert status_of(stubs.watch(2**63 - 1))[:2] == trimmed
        assert status_of(stubs.watch(100, "another"))[:2] == trimmed
        assert next(stubs.watch(100, listed.incarnation)).type == HEARTBEAT


def test_a_refusal_of_the_future_holds_no_longer_than_it_is_true(
    start_server: StartServer, settings: Flags
) -> None:
    """Refused at revision 2, it is told from there as soon as there is one."""
    with connected(start_server(flags=settings()).target) as stubs:
        assert status_of(stubs.watch(2))[0] is StatusCode.OUT_OF_RANGE
        stubs.create("A", "B", "C")

        assert next(stubs.watch(2)).genre.name == "C"


def test_a_negative_revision_is_refused(server: Server) -> None:
    """The field is named."""
    with connected(server.target) as stubs:
        code, reason, rich = status_of(stubs.watch(-1))

    assert (code, reason) == (StatusCode.INVALID_ARGUMENT, "REVISION_NEGATIVE")
    bad = error_details_pb2.BadRequest()
    [detail] = [detail for detail in rich.details if detail.Is(bad.DESCRIPTOR)]
    detail.Unpack(bad)
    assert [violation.field for violation in bad.field_violations] == ["start_revision"]


def test_who_falls_behind_the_kept_history_while_connected_is_told_so(
    start_server: StartServer, settings: Flags
) -> None:
    """What it had not taken is gone by then: it hears HISTORY_TRIMMED, and never a gap."""
    server = start_server(flags=settings(history_kept=100))
    with connected(server.target) as stubs, connected(server.target, *NARROW) as slow:
        long = "x" * 180
        stubs.create("First")
        stream = slow.watch(0)
        next(stream)
        # More than a connection holds; what it does hold is still told in order.
        for at in range(0, 4000, 1000):
            stubs.create(*(f"{n} {long}" for n in range(at, at + 1000)))
        seen: list[int] = [1]

        def read_on() -> None:
            seen.extend(message.revision for message in stream if message.type != HEARTBEAT)

        with pytest.raises(grpc.RpcError) as caught:
            read_on()

    assert caught.value.code() is StatusCode.OUT_OF_RANGE, caught.value
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 4000


def test_watches_end_at_a_shutdown_with_when_to_come_back(
    start_server: StartServer, settings: Flags
) -> None:
    """All are told SHUTTING_DOWN, and the server does not wait its whole grace for them."""
    server = start_server(flags=[*settings(), "--shutdown-grace-s", "20"])
    with connected(server.target) as stubs:
        stubs.create("A")
        streams = [stubs.watch() for _ in range(20)]
        for stream in streams:
            assert [next(stream).revision, next(stream).type] == [1, HEARTBEAT]
        began_s = time.monotonic()
        assert server.stop() == 0
        took_s = time.monotonic() - began_s
        ends = [status_of(stream) for stream in streams]

    assert took_s < 5
    assert {end[:2] for end in ends} == {(StatusCode.UNAVAILABLE, "SHUTTING_DOWN")}
    retry = error_details_pb2.RetryInfo()
    assert all(any(d.Is(retry.DESCRIPTOR) for d in rich.details) for _, _, rich in ends)


def test_a_watcher_that_does_not_read_does_not_hold_up_a_shutdown(
    start_server: StartServer, settings: Flags
) -> None:
    """A server that is to restart does not wait for who takes nothing."""
    server = start_server(flags=[*settings(), "--shutdown-grace-s", "20"])
    with connected(server.target) as stubs, connected(server.target, *NARROW) as stuck:
        long = "x" * 180
        for at in range(0, 3000, 1000):
            stubs.create(*(f"{n} {long}" for n in range(at, at + 1000)))
        stream = stuck.watch()
        next(stream)
        # Whoever came after it and has seen everything: the stuck one had its turns.
        stubs.changes(0, 3000)
        began_s = time.monotonic()
        assert server.stop() == 0
        took_s = time.monotonic() - began_s
        stream.cancel()

    assert took_s < 5


def test_a_listing_and_a_watch_from_its_revision_make_a_true_copy(
    start_server: StartServer, settings: Flags
) -> None:
    """Listed page by page while others write, completed by the watch: as the registry is."""
    server = start_server(flags=settings())
    with connected(server.target) as stubs, connected(server.target) as other:
        ids = stubs.create(*(f"Genre {n}" for n in range(600)))

        def write() -> None:
            for n in range(150):
                other.rename(ids[n * 4], f"Renamed {n}")
                other.create(f"Created {n}")
                if n % 10 == 0:
                    other.curation.DeleteGenre(pb.DeleteGenreRequest(id=ids[n * 4 + 1]))

        writing = Thread(target=write)
        writing.start()
        copy: dict[int, pb.Genre] = {}
        token, first = "", 0
        while token or not first:
            request = pb.ListGenresRequest(page_size=50, page_token=token, show_deleted=True)
            page = stubs.registry.ListGenres(request)
            copy.update((genre.id, genre) for genre in page.genres)
            token, first = page.next_page_token, page.revision
        writing.join()
        listed = stubs.registry.ListGenres(pb.ListGenresRequest(page_size=1000, show_deleted=True))
        for change in stubs.changes(first, listed.revision):
            copy[change.genre.id] = change.genre

    assert listed.revision == 600 + 150 * 2 + 15 > first
    assert [copy[genre_id] for genre_id in sorted(copy)] == list(listed.genres)


def test_watchers_that_left_are_gone(start_server: StartServer, settings: Flags) -> None:
    """Five hundred that came and went leave no file, no thread and no memory behind."""
    server = start_server(flags=settings(watch_heartbeat_s=3600), as_installed=True)
    process = Path(f"/proc/{server.process.pid}")

    def cycle(times: int) -> None:
        for at in range(times):
            with connected(server.target) as stubs:
                stream = stubs.watch(at % 40)
                next(stream)
                stream.cancel()

    def held() -> tuple[int, int, int]:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        files = len(list((process / "fd").iterdir()))
        return files, int(status["Threads"]), int(status["VmRSS"].split()[0])

    with connected(server.target) as stubs:
        stubs.create(*(f"Genre {n}" for n in range(50)))
        cycle(50)
        files, threads, resident_kib = held()
        cycle(500)
        assert stubs.create("Genre 1") == [2]

    deadline_s = time.monotonic() + PATIENCE_S
    with connected(server.target) as stubs:
        # Connections close a moment after their clients; this one is one more.
        while held()[0] > files + 1 and time.monotonic() < deadline_s:
            assert stubs.create("Genre 1") == [2]
    files_then, threads_then, resident_kib_then = held()
    assert files_then <= files
    assert threads_then <= threads + 2
    assert resident_kib_then <= resident_kib + 4096


async def test_more_watchers_than_can_be_served_are_told_to_come_back(
    start_server: StartServer, settings: Flags
) -> None:
    """OVERLOADED, and a place that is left is free again."""
    server = start_server(flags=settings(watch_heartbeat_s=3600, streams_max=STREAMS_MAX))
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub: Any = pb_grpc.GenreRegistryStub(channel)
        watches = [stub.WatchGenres(pb.WatchGenresRequest()) for _ in range(STREAMS_MAX)]
        await asyncio.gather(*(watch.read() for watch in watches))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.WatchGenres(pb.WatchGenresRequest()).read()
        assert caught.value.code() is StatusCode.UNAVAILABLE
        for watch in watches[:5]:
            watch.cancel()
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                await stub.WatchGenres(pb.WatchGenresRequest()).read()
                break
            except grpc.aio.AioRpcError:
                assert time.monotonic() < deadline_s
        for watch in watches:
            watch.cancel()


@asynccontextmanager
async def streaming_server(method: calls.StreamMethod) -> AsyncIterator[tuple[str, calls.Door]]:
    """Serve *method* as WatchGenres, in this process."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    door = calls.Door()
    guard = Guard(Path("no tokens"), certified=None, networks=None, local_may=True)
    streamed: Any = calls.streaming("WatchGenres", method, door, guard)
    handler: Any = grpc.unary_stream_rpc_method_handler(streamed)
    handlers = {"WatchGenres": handler}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICES["GenreRegistry"].full_name, handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", door
    finally:
        await server.stop(0)


async def test_who_takes_nothing_for_long_is_let_go_and_can_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It hears WATCHER_TOO_SLOW after what was on its way, all in order, and the feed is free."""
    monkeypatch.setattr(calls, "TAKES_NOTHING_S", 0.3)
    let_go = asyncio.Event()

    async def endless(_data: Any, _context: Any) -> Any:
        try:
            revision = 0
            while True:
                revision += 1
                yield pb.WatchGenresResponse(revision=revision, spelling="x" * 1000)
        finally:
            let_go.set()

    async with (
        streaming_server(endless) as (target, _),
        grpc.aio.insecure_channel(target, options=(*OWN_CONNECTION, *NARROW)) as channel,
    ):
        stub: Any = pb_grpc.GenreRegistryStub(channel)
        watch = stub.WatchGenres(pb.WatchGenresRequest(), timeout=PATIENCE_S)
        seen = [(await watch.read()).revision]
        await asyncio.wait_for(let_go.wait(), PATIENCE_S)

        async def read_on() -> None:
            while True:
                seen.append((await watch.read()).revision)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_on()

    assert caught.value.code() is StatusCode.UNAVAILABLE
    assert "took nothing" in (caught.value.details() or "")
    assert seen == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("leaves", ["while it reads", "while it is stuck"])
async def test_a_watcher_that_goes_away_is_no_defect(
    leaves: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whenever it leaves, also after it was let go, nothing is logged and nothing is kept."""
    monkeypatch.setattr(calls, "TAKES_NOTHING_S", 0.2)
    let_go = asyncio.Event()

    async def endless(_data: Any, _context: Any) -> Any:
        try:
            while True:
                yield pb.WatchGenresResponse(revision=1, spelling="x" * 1000)
        finally:
            let_go.set()

    async with streaming_server(endless) as (target, door):
        async with grpc.aio.insecure_channel(target, options=(*OWN_CONNECTION, *NARROW)) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            watch = stub.WatchGenres(pb.WatchGenresRequest())
            for _ in range(50):
                await watch.read()
            if leaves == "while it is stuck":
                await asyncio.wait_for(let_go.wait(), PATIENCE_S)
            watch.cancel()
            await asyncio.wait_for(let_go.wait(), PATIENCE_S)
        await asyncio.wait_for(door.close(PATIENCE_S), PATIENCE_S)

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_hundred_watchers_see_every_change_through_a_restart(tmp_path: Path) -> None:
    """
    Some slow, some leaving and coming back: each saw every change once and in order, as a
    replay afterwards and the writers' own answers have it, and they left no memory behind.
    """
    report = asyncio.run(campaign(tmp_path / "registry.db", watchers=100, changes=400, kill=False))

    assert report.faults == []
    assert report.revision == 400
    assert report.reconnected >= 100, "a restart ends every watch"
    assert report.stopped_s < 5
    assert report.after_mib < report.fresh_mib + 16


def test_watchers_that_stop_reading_leave_no_memory_behind(tmp_path: Path) -> None:
    """What the first waves of them made is used again by each further one."""
    held_mib = asyncio.run(waves(tmp_path / "registry.db", stuck=25, steady=1, times=5))

    # Were 64 KiB kept of each that was stuck, it would be 5.
    assert held_mib[-1] < held_mib[1] + 3, held_mib
