"""Two curators at once, and many: none undoes what another did, and no parent leads in a circle."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from conftest import Server, run, running_server

from worker_client import (
    CurationRefused,
    Genre,
    GenreRegistryClient,
    RevisionMismatch,
)

WORKERS = 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that the tests of this file share: each brings genres of its own."""
    with running_server(tmp_path_factory.mktemp("shared") / "registry.db") as server:
        yield server


@pytest.fixture(scope="module")
def registry(shared: Server) -> Iterator[GenreRegistryClient]:
    with GenreRegistryClient(shared.target) as client:
        yield client


def at_once(*calls: Callable[[], object]) -> None:
    """Make the calls at the same moment, from a thread each; what one raises is raised."""
    together = threading.Barrier(len(calls))

    def make(call: Callable[[], object]) -> None:
        together.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as threads:
        for made in [threads.submit(make, call) for call in calls]:
            made.result()


def test_a_stale_revision_is_refused(registry: GenreRegistryClient) -> None:
    """ABORTED by every mend that takes one, with both revisions; the reader's own is accepted."""
    zonk, other = (registry.get_or_create(name).genre for name in ("Sta Zonk", "Sta Other"))
    now = registry.add_alias(zonk.id, "Sta Alias", expected_revision=zonk.revision)
    stale = zonk.revision
    calls: list[Callable[[], object]] = [
        lambda: registry.update_genre(zonk.id, name="Sta New", expected_revision=stale),
        lambda: registry.add_alias(zonk.id, "Sta More", expected_revision=stale),
        lambda: registry.remove_alias(zonk.id, "Sta Alias", expected_revision=stale),
        lambda: registry.delete_genre(zonk.id, expected_revision=stale),
        lambda: registry.undelete_genre(zonk.id, expected_revision=stale),
        lambda: registry.merge_genres([other.id], zonk.id, expected_revision=stale),
    ]

    for call in calls:
        with pytest.raises(RevisionMismatch) as caught:
            call()
        assert caught.value.metadata == {
            "genre_id": str(zonk.id),
            "expected_revision": str(stale),
            "revision": str(now.revision),
        }
    assert registry.get_genre(zonk.id) == now
    assert registry.get_genre(other.id) == other
    registry.merge_genres([other.id], zonk.id, expected_revision=now.revision)


def test_no_update_is_lost(shared: Server, registry: GenreRegistryClient) -> None:
    """Whoever reads, changes and writes, and tries again when told to, has its change kept."""
    zonk = registry.update_genre(registry.get_or_create("Los Zonk").genre.id, description="0")
    rounds = 10

    def add() -> None:
        with GenreRegistryClient(shared.target) as own:
            for _ in range(rounds):
                while True:
                    read = own.get_genre(zonk.id)
                    try:
                        own.update_genre(
                            zonk.id,
                            description=str(int(read.description) + 1),
                            expected_revision=read.revision,
                        )
                        break
                    except RevisionMismatch:
                        continue

    at_once(*[add] * WORKERS)

    assert registry.get_genre(zonk.id).description == str(rounds * WORKERS)
    assert len(list(registry.list_history(zonk.id))) == rounds * WORKERS + 2


def test_one_spelling_goes_to_one_curator(shared: Server, registry: GenreRegistryClient) -> None:
    """However many want it for different genres: the others are told who has it."""
    genres = [registry.get_or_create(f"One Zonk {n}").genre for n in range(WORKERS)]
    refused: list[tuple[str, str]] = []

    def take(genre: Genre) -> None:
        with GenreRegistryClient(shared.target) as own:
            try:
                own.add_alias(genre.id, "One Wanted")
            except CurationRefused as refusal:
                refused.append((refusal.reason, refusal.metadata["genre_id"]))

    at_once(*[partial(take, genre) for genre in genres])

    holder = registry.lookup_genre("One Wanted")
    assert refused == [("SPELLING_TAKEN", str(holder.id))] * (WORKERS - 1)
    assert [genre.id for genre in genres if registry.get_genre(genre.id).aliases] == [holder.id]


def put_below(
    registry: GenreRegistryClient, refused: list[str], child: Genre, parent: Genre
) -> None:
    """Make a genre the only parent of another; note why, if it can't be."""
    try:
        registry.update_genre(child.id, parent_ids=[parent.id])
    except CurationRefused as refusal:
        refused.append(refusal.reason)


def test_two_halves_of_a_circle(shared: Server, registry: GenreRegistryClient) -> None:
    """Each is fine by itself; of the two at once one is refused."""
    for n in range(10):
        first, second = (registry.get_or_create(f"Cir {n} {half}").genre for half in "ab")
        refused: list[str] = []
        put = partial(put_below, registry, refused)
        at_once(partial(put, first, second), partial(put, second, first))
        assert refused == ["PARENT_CYCLE"]


def test_no_circle_and_no_orphan(shared: Server, registry: GenreRegistryClient) -> None:
    """Parents, merges and their undoing, at random from many sides: a graph without cycles."""
    ids = [registry.get_or_create(f"Gra Zonk {n}").genre.id for n in range(14)]
    refused: set[str] = set()

    def curate(seed: int) -> None:
        dice = random.Random(seed)
        with GenreRegistryClient(shared.target) as own:
            for _ in range(40):
                one, other = dice.sample(ids, 2)
                try:
                    match dice.randrange(10):
                        case 0:
                            own.merge_genres([one], other)
                        case 1 | 2:
                            own.unmerge_genre(one)
                        case _:
                            read = own.get_genre(one)
                            own.update_genre(
                                one,
                                parent_ids=[*read.parent_ids, other],
                                expected_revision=read.revision,
                            )
                except RevisionMismatch:
                    continue
                except CurationRefused as refusal:
                    refused.add(refusal.reason)

    at_once(*[partial(curate, seed) for seed in range(WORKERS)])
    assert refused <= {"PARENT_CYCLE", "GENRE_MERGED", "GENRE_NOT_MERGED"}

    genres = {genre.id: genre for genre in registry.list_genres()}
    edges = {genre.id: set(genre.parent_ids) for genre in genres.values()}
    assert sum(map(len, edges.values())) > 5
    assert all(parents <= genres.keys() for parents in edges.values())
    while free := [each for each, parents in edges.items() if not parents & edges.keys()]:
        for each in free:
            del edges[each]
    assert edges == {}
    ended = run("genre-registry", "check", "--database", shared.database)
    assert ended.returncode == 0, ended.stderr
