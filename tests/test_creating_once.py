"""However many callers name a genre at once, in whatever spelling, it is created once."""

import asyncio
import math
import random
import unicodedata
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from conftest import Server

from registry_server.catalogue import Catalogue
from registry_server.change_feed import ChangeFeed
from registry_server.packs.reading import PACKS, knowledge_of
from registry_server.store.sqlite import open_store
from registry_server.tag_resolver import TagResolver, TagSet
from worker_client import AsyncGenreRegistryClient, GenreRegistryClient, Resolution

PROCESSES = 16
CALLS = 200
NAMES = [
    *("Électro", "Hip Hop", "Drum & Bass", "R&B", "Rock and Roll", "Straßenmusik", "Trip Hop"),
    *("Şarkı", "Русский рок", "Ρεμπέτικο", "演歌 歌謡", "ジャズ", "Neue Deutsche Härte"),
    *(f"Genre {number} Läuft" for number in range(37)),
]


def spellings_of(name: str) -> list[str]:
    """Return other ways to write *name*, all one genre with it."""
    return [
        name,
        name.upper(),
        name.lower(),
        unicodedata.normalize("NFD", name),
        name.replace(" ", "-"),
        name.replace(" ", "_"),
        name.replace(" ", " \u00a0 "),
        f"  {name}\u200b ",
        name.replace("&", "and") if " & " in name else name,
    ]


def create_all(target: str, seed: int) -> list[tuple[str, int, bool]]:
    """Make all calls of one process at once; return name, id and whether it was created."""
    dice = random.Random(seed)
    names = [NAMES[at % len(NAMES)] for at in range(CALLS)]
    dice.shuffle(names)

    async def call_all() -> list[Resolution]:
        async with AsyncGenreRegistryClient(target) as registry:
            return await asyncio.gather(
                *(registry.get_or_create(dice.choice(spellings_of(name))) for name in names)
            )

    answers = asyncio.run(call_all())
    return [(n, a.genre.id, a.created) for n, a in zip(names, answers, strict=True)]


def test_sixteen_processes_create_fifty_genres_exactly_once(
    server: Server, registry: GenreRegistryClient
) -> None:
    """16 processes x 200 concurrent calls over 50 names: 50 genres, one id each, 50 created."""
    assert len(NAMES) == len(set(NAMES)) == 50

    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        told = [
            each
            for one in pool.map(create_all, [server.target] * PROCESSES, range(PROCESSES))
            for each in one
        ]

    assert len(told) == PROCESSES * CALLS
    ids: dict[str, set[int]] = {}
    for name, genre_id, _ in told:
        ids.setdefault(name, set()).add(genre_id)
    assert all(len(each) == 1 for each in ids.values())
    assert len(set.union(*ids.values())) == 50
    created = Counter(genre_id for _, genre_id, created in told if created)
    assert len(created) == 50
    assert set(created.values()) == {1}
    page = registry.list_page()
    assert [genre.id for genre in page.genres] == sorted(created)
    assert page.revision >= 50, "each creation is a change, and so is a parent that came later"


def test_five_creators_at_once_get_one_row_and_no_error(
    server: Server, registry: GenreRegistryClient
) -> None:
    """The race that used to end in UNIQUE constraint failed."""
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: registry.get_or_create("Electronic"), range(5)))

    assert len({answer.genre.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert [genre.name for genre in registry.list_genres()] == ["Electronic"]


def test_a_repeated_request_is_told_created_again(registry: GenreRegistryClient) -> None:
    """A retry whose first answer was lost still learns that it created; nobody else does."""
    first = registry.get_or_create("Ska", request_id="scan-1")
    again = registry.get_or_create("ska", request_id="scan-1")
    other = registry.get_or_create("Ska", request_id="scan-2")
    nameless = registry.get_or_create("Ska", request_id="")

    assert (first.created, again.created, other.created, nameless.created) == (
        True,
        True,
        False,
        False,
    )
    assert len({answer.genre.id for answer in (first, again, other, nameless)}) == 1


def test_an_empty_request_id_never_matches(registry: GenreRegistryClient) -> None:
    """Two calls without an id are two requests."""
    assert registry.get_or_create("Dub", request_id="").created
    assert not registry.get_or_create("Dub", request_id="").created


def test_a_repeated_request_survives_a_restart(server: Server, start_server: type) -> None:
    """The id is stored with the genre, not in memory."""
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Ska", request_id="scan-1")
    server.kill()

    with GenreRegistryClient(start_server().target) as registry:
        assert registry.get_or_create("Ska", request_id="scan-1").created
        assert not registry.get_or_create("Ska", request_id="scan-2").created


def test_in_a_batch_the_first_spelling_is_told_created(registry: GenreRegistryClient) -> None:
    """One request id for all of a batch; within it only the first of a key is created."""
    names = ["Hip-Hop", "hip hop", "Rock", "HIP_HOP"]

    def flags(request_id: str) -> list[tuple[int, bool]]:
        outcomes = registry.batch_get_or_create(names, request_id=request_id)
        return [(o.genre.id, o.created) for o in outcomes if isinstance(o, Resolution)]

    assert flags("batch-1") == [(1, True), (1, False), (2, True), (1, False)]
    assert flags("batch-1") == [(1, True), (1, False), (2, True), (1, False)]
    assert flags("batch-2") == [(1, False), (1, False), (2, False), (1, False)]


def test_every_creation_has_a_revision_of_its_own(registry: GenreRegistryClient) -> None:
    """Also within one commit; revisions rise with the order of the batch."""
    outcomes = registry.batch_get_or_create(["A", "B", "C"])
    one_more = registry.get_or_create("D")

    genres = [o.genre for o in outcomes if isinstance(o, Resolution)] + [one_more.genre]
    assert [genre.revision for genre in genres] == [1, 2, 3, 4]
    assert registry.list_page().revision == 4


async def test_whoever_created_is_told_so_however_many_ask_meanwhile(database: Path) -> None:
    """Calls that find the genre in the cache, while the creator's answer is on its way, are not."""
    knowledge = knowledge_of((), off=PACKS, placeholders=())
    async with open_store(database, history_kept=100) as (store, _):
        catalogue = Catalogue(
            store,
            knowledge,
            feed=ChangeFeed(store, heartbeat_s=1, on_storage_failure=lambda: None),
            on_storage_failure=lambda: None,
        )
        await catalogue.warm_up()
        resolver = TagResolver(store, catalogue)
        for number in range(10):
            tag_sets = [TagSet((f"Genre {number}",), is_id3=False)]
            calls = [asyncio.create_task(resolver.resolve(tag_sets, "", deadline_s=math.inf))]
            while not calls[0].done():
                await asyncio.sleep(0)
                if len(calls) < 500:
                    call = resolver.resolve(tag_sets, "", deadline_s=math.inf)
                    calls.append(asyncio.create_task(call))
            answers = await asyncio.gather(*calls)

            told = [part.resolution.created for [answer] in answers for part in answer.parts]
            assert told.count(True) == 1
        await catalogue.close()
