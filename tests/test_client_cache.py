"""The client's cache: hits without the network, and right after someone merged a genre."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from conftest import ENDING_S, Server, StartServer, running_server

from worker_client import (
    AsyncGenreRegistryClient,
    GenreNotFound,
    GenreRegistryClient,
    InvalidName,
    RegistryUnavailable,
    Resolution,
    SpellingBlocked,
    TagContainer,
    TagSet,
)
from worker_client._cache import Cache
from worker_client._calls import Answer, Call
from worker_client._sharing import Asked, Awaited, Desk

SEEN_S = 1.0
"""Within which a curator's change is seen by every client whose watch is up."""


def watched(registry: GenreRegistryClient) -> GenreRegistryClient:
    """Return *registry* once its watch is up."""
    registry.lookup_genre(registry.get_or_create("warm up").genre.name)
    registry.batch_get_or_create(["warm up", "and follow"])
    until(lambda: registry._cache.is_watched)
    return registry


def until(holds: Callable[[], object]) -> None:
    """Wait until *holds*, a short time at most."""
    ends_s = time.monotonic() + ENDING_S
    waiting = threading.Event()
    while not holds():
        assert time.monotonic() < ends_s
        waiting.wait(0.005)


async def until_true(holds: Callable[[], object]) -> None:
    """As `until`, for a task."""
    never = asyncio.Event()
    async with asyncio.timeout(ENDING_S):
        while not holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), 0.005)


def tags(*values: str) -> TagSet:
    return TagSet(values, TagContainer.VORBIS)


@pytest.fixture
def worker(server: Server) -> Any:
    """A client whose cache is kept true."""
    with Noting(server.target) as registry:
        watched(registry)
        yield registry


class Noting(GenreRegistryClient):
    """A client that notes the RPCs it sends."""

    def __init__(self, target: str, **settings: Any) -> None:
        super().__init__(target, **settings)
        self.sent: list[str] = []

    def _call(self, call: Call[Answer], deadline_s: float | None) -> Answer:
        self.sent.append(call.rpc)
        return super()._call(call, deadline_s)


def test_what_is_known_is_not_asked_again(worker: Noting) -> None:
    """By exact spelling and by raw tag value, one or many at a time, without the network."""
    first = worker.get_or_create("Dub")
    many = worker.batch_get_or_create(["Dub", "Ska", "Dub"])
    [resolved] = worker.resolve_tags([tags("Dub; Ska")])
    worker.sent.clear()
    sent = worker.sent

    assert first.created
    assert worker.get_or_create("Dub") == Resolution(first.genre, created=False)
    assert worker.lookup_genre("Ska") == many[1].genre  # type: ignore[union-attr]
    again = worker.batch_get_or_create(["Ska", "Dub"])
    assert [each.created for each in again] == [False, False]  # type: ignore[union-attr]
    assert worker.resolve_tags([tags("Dub; Ska")]) == [resolved]
    assert sent == []
    worker.batch_get_or_create(["Ska", "Punk", "Dub"])
    worker.resolve_tags([tags("Dub"), tags("Dub; Ska")])
    assert sent == ["BatchGetOrCreate", "ResolveTags"]


def test_created_is_remembered_as_known(worker: Noting) -> None:
    """Whoever asks after the creation is not told `created`, nor is a second tag set."""
    [first] = worker.resolve_tags([tags("Zzyzx Beat")])
    [second] = worker.resolve_tags([tags("Zzyzx Beat")])

    assert [each.created for each in first.genres] == [True]
    assert [each.created for each in second.genres] == [False]
    [third, fourth] = worker.batch_get_or_create(["Quux Beat", "Quux Beat"])
    assert (third.created, fourth.created) == (True, False)  # type: ignore[union-attr]


def test_a_request_id_is_always_asked(worker: Noting) -> None:
    """Who names a logical write is told `created` for it again, cache or not."""
    assert worker.get_or_create("Dub", request_id="mine").created
    assert not worker.get_or_create("Dub").created
    assert worker.get_or_create("Dub", request_id="mine").created


def test_misses_and_errors_are_not_remembered(
    worker: Noting, registry: GenreRegistryClient
) -> None:
    """What was not there may be there the next moment."""
    for _ in range(2):
        with pytest.raises(GenreNotFound):
            worker.lookup_genre("Dub")
        with pytest.raises(InvalidName):
            worker.get_or_create(" ")
    dub = registry.get_or_create("Dub").genre
    assert worker.lookup_genre("Dub") == dub


def rename(registry: GenreRegistryClient, dub: int, _ska: int) -> None:
    registry.update_genre(dub, name="Dub Reggae")


def merge(registry: GenreRegistryClient, dub: int, ska: int) -> None:
    registry.merge_genres([dub], ska)


def delete(registry: GenreRegistryClient, dub: int, _ska: int) -> None:
    registry.delete_genre(dub)


def block(registry: GenreRegistryClient, dub: int, _ska: int) -> None:
    registry.remove_alias(dub, "Dubb")
    registry.block_spelling("Dubb")


def asked(registry: GenreRegistryClient, name: str) -> set[str]:
    """Return how *name* is answered, in words, as a spelling and as a raw tag value."""
    try:
        as_spelling = registry.get_or_create(name).genre.name
    except SpellingBlocked:
        as_spelling = "blocked"
    [found] = registry.resolve_tags([tags(name)])
    as_tag = [each.genre.name for each in found.genres] or ["blocked"]
    return {as_spelling, *as_tag}


@pytest.mark.parametrize(
    ("mend", "expected"),
    [(rename, "Dub Reggae"), (merge, "Ska"), (delete, "blocked"), (block, "blocked")],
)
def test_a_curators_change_is_seen_within_a_second(
    worker: Noting,
    registry: GenreRegistryClient,
    mend: Callable[[GenreRegistryClient, int, int], None],
    expected: str,
) -> None:
    """Renamed, merged, deleted, blocked by someone else: every spelling of it."""
    dub, ska = (worker.get_or_create(name).genre.id for name in ("Dub", "Ska"))
    registry.add_alias(dub, "Dubb")
    until(lambda: asked(worker, "Dubb") == {"Dub"})

    mend(registry, dub, ska)
    committed_s = time.monotonic()
    until(lambda: asked(worker, "Dubb") == {expected})

    assert time.monotonic() - committed_s < SEEN_S


def test_who_changes_something_sees_it_at_once(worker: Noting) -> None:
    """A client's own curation does not wait for its watch."""
    for n in range(50):
        dub = worker.get_or_create("Dub").genre
        worker.update_genre(dub.id, name=f"Dub {n}")
        assert worker.get_or_create("Dub").genre.name == f"Dub {n}"


def test_who_imports_something_sees_it_at_once(worker: Noting) -> None:
    """As `test_who_changes_something_sees_it_at_once`, where the changes are streamed."""
    for n in range(50):
        dub = worker.get_or_create(f"Dub {n}").genre
        record = {"genre": {"name": dub.name, "spellings": [{"text": f"Dubwise {n}"}]}}
        for _ in worker.import_records([record]):
            pass
        assert worker.get_or_create(f"Dub {n}").genre.aliases == (f"Dubwise {n}",)


def test_nobody_joins_a_request_that_began_before_the_last_change() -> None:
    """Who has just merged a genre is not answered by what another thread asked before."""
    cache = Cache(10, 10.0)
    desk = Desk[str, Resolution](cache, cache.names, Future)
    before, beside, after = (desk.answers(["Dub"]) for _ in range(3))

    assert isinstance(next(before), Asked)
    assert isinstance(next(beside), Awaited)
    cache.clear()
    assert isinstance(next(after), Asked)


def test_an_error_of_a_batch_is_placed_in_it(worker: Noting) -> None:
    """The index is that of the caller's list, whatever of it was known; a single name has none."""
    worker.batch_get_or_create(["Rock", "Jazz"])

    answers = worker.batch_get_or_create(["Rock", "Jazz", " ", "x" * 300])

    assert [getattr(answer, "field", "") for answer in answers] == ["", "", "names[2]", "names[3]"]
    with pytest.raises(InvalidName) as raised:
        worker.batch_get_or_create(["Rock", "Jazz", "\ud800"])
    assert raised.value.field == "names[2]"
    with pytest.raises(InvalidName) as raised:
        worker.get_or_create(" ")
    assert raised.value.field == "name"


def test_concurrent_calls_for_one_spelling_share_a_request(worker: Noting, server: Server) -> None:
    """Twenty threads, one name that is new, a slow server: one request, one `created`."""
    worker.sent.clear()
    sent = worker.sent
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(20) as pool:
            asking = [pool.submit(worker.get_or_create, "Zouk Noir") for _ in range(20)]
            until(lambda: sent)
            os.kill(server.process.pid, signal.SIGCONT)
            answers = [each.result(ENDING_S) for each in asking]
    finally:
        os.kill(server.process.pid, signal.SIGCONT)

    assert sent == ["GetOrCreate"]
    assert len({answer.genre.id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1


def test_each_waits_for_its_own_deadline(worker: Noting, server: Server) -> None:
    """Who asked first and gave up early leaves the others to ask for themselves."""
    worker.sent.clear()
    sent = worker.sent
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2) as pool:
            hasty = pool.submit(worker.get_or_create, "Zouk Noir", deadline_s=0.3)
            until(lambda: sent)
            patient = pool.submit(worker.get_or_create, "Zouk Noir", deadline_s=20)
            with pytest.raises(Exception, match="DEADLINE"):
                hasty.result(ENDING_S)
            until(lambda: len(sent) == 2)
            os.kill(server.process.pid, signal.SIGCONT)
            assert patient.result(ENDING_S).genre.name == "Zouk Noir"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_what_wants_review_is_counted_each_time(
    worker: Noting, registry: GenreRegistryClient
) -> None:
    """A compound that no rule decides is asked anew, so that the list says how often it is met."""
    compound = tags("Rock/Altrokk")
    for _ in range(3):
        [resolved] = worker.resolve_tags([compound])
        assert [part.text for part in resolved.review] == ["Rock/Altrokk"]
    worker.resolve_tags([compound, compound])
    registry.get_or_create("something else is written")

    [review] = registry.list_reviews()
    assert review.times_seen == 5


def test_the_cache_is_bounded(server: Server) -> None:
    """What is remembered is at most so many, the oldest let go first."""
    with GenreRegistryClient(server.target, cache_size=10) as registry:
        watched(registry)
        for n in range(50):
            registry.get_or_create(f"genre {n}")
            assert len(registry._cache.names.true) <= 10
        assert "genre 49" in registry._cache.names.true
        assert "genre 0" not in registry._cache.names.true


def test_the_cache_can_be_switched_off(server: Server) -> None:
    """Then every call is sent, and nothing is watched."""
    with Noting(server.target, cache_size=0) as registry:
        sent = registry.sent
        for _ in range(3):
            registry.get_or_create("Dub")
        registry.resolve_tags([tags("Dub")])
        registry.resolve_tags([tags("Dub")])
        assert sent == ["GetOrCreate"] * 3 + ["ResolveTags"] * 2
        assert registry._follower is None


@pytest.mark.parametrize("age_s", [60.0, 0.001])
def test_while_the_watch_is_down_what_is_known_serves_for_a_while(
    server: Server, age_s: float
) -> None:
    """A restart is not noticed by who asks for what is known; after the stated age it is asked."""
    with GenreRegistryClient(server.target, cache_age_s=age_s) as worker:
        dub = watched(worker).get_or_create("Dub")
        server.stop()
        until(lambda: not worker._cache.is_watched)

        if age_s > 1:
            assert worker.get_or_create("Dub").genre == dub.genre
            assert worker.lookup_genre("Dub") == dub.genre
        else:
            with pytest.raises(RegistryUnavailable, match=server.target):
                worker.get_or_create("Dub", deadline_s=0.2)


def test_what_changed_while_the_watch_was_down_is_seen_when_it_is_up(
    worker: Noting, server: Server, start_server: StartServer
) -> None:
    """After a restart the watch goes on where it was: nothing in between is missed."""
    dub = worker.get_or_create("Dub").genre
    ska = worker.get_or_create("Ska").genre
    server.kill()
    until(lambda: not worker._cache.is_watched)
    with (
        running_server(server.database) as elsewhere,
        GenreRegistryClient(elsewhere.target) as curator,
    ):
        curator.merge_genres([dub.id], ska.id)
    start_server(server.target)

    until(lambda: worker._cache.is_watched)
    assert worker.get_or_create("Dub").genre.id == ska.id


def test_another_registry_at_the_same_place_is_noticed(
    worker: Noting, server: Server, start_server: StartServer, tmp_path: Any
) -> None:
    """Ids of the registry that was there before are not answered for the new one's."""
    names = ["Dub", "Ska", "Punk"]
    worker.batch_get_or_create(names)
    server.stop()
    until(lambda: not worker._cache.is_watched)
    other = start_server(server.target, tmp_path / "other.db")
    with GenreRegistryClient(other.target, cache_size=0) as registry:
        expected = [registry.get_or_create(name).genre.id for name in reversed(names)]

    until(lambda: worker._cache.is_watched)
    assert [worker.get_or_create(name).genre.id for name in reversed(names)] == expected


def test_a_client_that_nobody_holds_ends_its_watch(server: Server) -> None:
    """A forgotten client leaves no thread and no stream behind."""
    registry = watched(GenreRegistryClient(server.target))
    follower = registry._follower
    assert follower is not None

    del registry

    follower.join()


def test_closing_ends_the_watch(server: Server) -> None:
    """And a later call opens everything anew."""
    registry = watched(GenreRegistryClient(server.target))
    threads = threading.active_count()
    registry.close()
    assert threading.active_count() < threads
    assert registry.get_or_create("Dub").created
    watched(registry)
    registry.close()


async def test_tasks_share_what_is_known_too(server: Server) -> None:
    """The same for asyncio: hits, one request for many, changes seen, an end without a trace."""
    async with (
        AsyncGenreRegistryClient(server.target) as worker,
        AsyncGenreRegistryClient(server.target, cache_size=0) as curator,
    ):
        answers = await asyncio.gather(*(worker.get_or_create("Dub") for _ in range(20)))
        assert [answer.created for answer in answers].count(True) == 1
        dub = answers[0].genre
        await worker.batch_get_or_create(["Dub", "Ska"])
        await until_true(lambda: worker._cache.is_watched)
        await worker.get_or_create("Dub")
        assert (await worker.get_or_create("Dub")).genre == dub
        assert (await worker.lookup_genre("Dub")) == dub
        [resolved] = await worker.resolve_tags([tags("Dub")])
        assert await worker.resolve_tags([tags("Dub")]) == [resolved]
        await curator.update_genre(dub.id, name="Dub Reggae")
        committed_s = time.monotonic()
        await until_true(lambda: "Dub" not in worker._cache.names.true)
        assert (await worker.get_or_create("Dub")).genre.name == "Dub Reggae"
        assert time.monotonic() - committed_s < SEEN_S
    assert not [task for task in asyncio.all_tasks() if "genre-registry" in task.get_name()]


async def test_a_task_that_is_cancelled_leaves_the_others_to_ask(server: Server) -> None:
    """Whoever asked first and was cancelled fails nobody else."""
    async with AsyncGenreRegistryClient(server.target) as worker:
        await worker.get_or_create("warm up")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            first = asyncio.create_task(worker.get_or_create("Dub"))
            second = asyncio.create_task(worker.get_or_create("Dub"))
            await until_true(lambda: worker._names._flights)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert (await second).genre.name == "Dub"
