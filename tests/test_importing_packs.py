"""A newer MusicBrainz pack, imported into a running registry: what it links, what is refused."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import grpc
import pytest
from conftest import Server, StartServer, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreOperationsStub
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from registry_server.catalogue import Catalogue
from registry_server.change_feed import ChangeFeed
from registry_server.packs.musicbrainz import read_genre_all
from registry_server.packs.reading import knowledge_of, pack_of, shipped_pack
from registry_server.store.sqlite import open_store
from registry_server.vocabulary.identity import Spelling
from worker_client import ChangeType, GenreRegistryClient, InvalidRequest, TagSet

ID = "00000000-0000-4000-8000-{:012}".format
SHIPPED = {entry.name: dict(entry.external_ids) for entry in shipped_pack("musicbrainz").entries}


def page(*genres: tuple[str, str], count: int | None = None, offset: int = 0) -> bytes:
    """Return a page as MusicBrainz's web service answers it; genres are ids and names."""
    return json.dumps(
        {
            "genre-count": len(genres) if count is None else count,
            "genre-offset": offset,
            "genres": [{"id": i, "name": name, "disambiguation": ""} for i, name in genres],
        }
    ).encode()


def refusal(
    server: Server, documents: Sequence[bytes], pack: str = "musicbrainz"
) -> tuple[grpc.StatusCode, str, list[str]]:
    """Return with which status, reason and fields an import is refused."""
    with grpc.insecure_channel(server.target) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            GenreOperationsStub(channel).ImportPack(
                pb.ImportPackRequest(pack=pack, documents=documents), timeout=20
            )
        status: status_pb2.Status = rpc_status.from_call(raised.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return raised.value.code(), info.reason, [each.field for each in bad.field_violations]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that tests of this file share: each brings genres and ids of its own."""
    with running_server(tmp_path_factory.mktemp("shared") / "registry.db") as server:
        yield server


@pytest.fixture(scope="module")
def registry(shared: Server) -> Iterator[GenreRegistryClient]:
    with GenreRegistryClient(shared.target) as client:
        yield client


def test_an_import_links_what_is_there_and_what_comes(start_server: StartServer) -> None:
    """Each gain is a change; nothing is renamed; and all of it outlives a restart."""
    first = start_server()
    with GenreRegistryClient(first.target) as client:
        mine, rock = (client.get_or_create(name).genre for name in ("ZORP-core", "Rock"))
        assert (mine.external_ids, rock.external_ids) == ({}, SHIPPED["rock"])
        imported = client.import_pack(
            "musicbrainz",
            [page((ID(1), "zorpcore"), (ID(2), "blip"), (SHIPPED["rock"]["musicbrainz"], "rock"))],
        )
        linked, blip = client.get_genre(mine.id), client.get_or_create("Blip").genre
        same_rock = client.get_genre(rock.id)
        changes = [change.type for change in islice(client.watch_genres(rock.revision), 3)]

    assert changes == [ChangeType.PACKS_CHANGED, ChangeType.LINKED, ChangeType.CREATED]
    assert (imported.genres, imported.changed, imported.skipped) == (3, 1, ())
    assert imported.revision == 4 == linked.revision
    assert (linked.name, linked.external_ids) == ("ZORP-core", {"musicbrainz": ID(1)})
    assert "zorpcore" in linked.aliases
    assert blip.external_ids == {"musicbrainz": ID(2)}
    assert same_rock == rock

    first.stop()
    with GenreRegistryClient(start_server().target) as client:
        assert list(client.list_genres()) == [linked, rock, blip]
        assert client.list_page().revision == 5
        assert client.get_or_create("zorp core").genre == linked


def test_what_was_remembered_is_read_again(registry: GenreRegistryClient) -> None:
    """A compound that was left whole falls apart once the import knows both its sides."""
    tags = [TagSet(("Squee/Plonk",)), TagSet(("Rock/Plonk",))]
    before = registry.resolve_tags(tags)
    registry.import_pack("musicbrainz", [page((ID(101), "squee"), (ID(102), "plonk"))])

    after = registry.resolve_tags(tags)

    assert [len(each.genres) for each in before] == [1, 1]
    assert [[g.spelling for g in each.genres] for each in after] == [
        ["Squee", "Plonk"],
        ["Rock", "Plonk"],
    ]
    assert [len(each.review) for each in (*before, *after)] == [0, 1, 0, 0]


PAGES = [
    page(*((ID(n), f"zorp {n}") for n in range(at, at + 2)), count=6, offset=at) for at in (0, 2, 4)
]


def test_pages_come_as_they_like(registry: GenreRegistryClient) -> None:
    """Several documents, or several pages in one as a shell loop writes them, in any order."""
    ways = {
        **{"each": PAGES, "backwards": PAGES[::-1], "concatenated": [b"".join(PAGES)]},
        "mixed": [PAGES[0], b"\n".join(PAGES[1:]) + b"\n"],
        "one twice": [*PAGES, PAGES[0]],
        "a list": [b"[" + b",".join(PAGES) + b"]"],
        "with a mark": [b"\xef\xbb\xbf" + page for page in PAGES],
    }

    genres = {way: registry.import_pack("musicbrainz", ways[way]).genres for way in ways}

    assert genres == dict.fromkeys(ways, 6)
    assert registry.get_or_create("Zorp 5").genre.external_ids == {"musicbrainz": ID(5)}


GOOD = {"genre-count": 1, "genres": [{"id": ID(1), "name": "zorp"}]}
WRONG = {
    "nothing": [],
    "empty": [b""],
    "no JSON": [b"<html>"],
    "cut": [PAGES[0][:-9]],
    "no UTF-8": [b'{"genre-count": 1, "genres": [{"name": "\xff"}]}'],
    "a list": [b"[1, 2]"],
    "a text": [b'"genres"'],
    "null": [b"null"],
    "an error of the service": [b'{"error": "Your requests are exceeding the rate limit."}'],
    "no genres": [b'{"genre-count": 0, "genres": []}'],
    "no id": [json.dumps(GOOD | {"genres": [{"name": "zorp"}]}).encode()],
    "no name": [json.dumps(GOOD | {"genres": [{"id": ID(1)}]}).encode()],
    "a number for a name": [json.dumps(GOOD | {"genres": [{"id": ID(1), "name": 7}]}).encode()],
    "no such id": [json.dumps(GOOD | {"genres": [{"id": "7", "name": "zorp"}]}).encode()],
    "no such remark": [
        json.dumps(GOOD | {"genres": [{"id": ID(1), "name": "z", "disambiguation": 7}]}).encode()
    ],
    "no number": [json.dumps(GOOD | {"genre-count": "many"}).encode()],
    "an endless number": [json.dumps(GOOD).encode().replace(b": 1,", b": 1e999,")],
    "a number of 5000 digits": [
        json.dumps(GOOD).encode().replace(b": 1,", b": " + b"1" * 5000 + b",")
    ],
    "too deep": [b"[" * 100_000],
    "half a character": [
        json.dumps(GOOD | {"genres": [{"id": ID(1), "name": "z\ud800"}]}).encode()
    ],
    "half a character in a remark": [
        json.dumps(
            GOOD | {"genres": [{"id": ID(1), "name": "z", "disambiguation": "\ud800"}]}
        ).encode()
    ],
    "a page is missing": PAGES[:2],
    "the last page only": PAGES[2:],
    "one page three times": [PAGES[0]] * 3,
}


def test_a_wrong_import_is_refused_and_changes_nothing(server: Server) -> None:
    """Whatever the documents are; the older knowledge serves on."""
    answers = {name: outcome_of(server, documents) for name, documents in WRONG.items()}
    with GenreRegistryClient(server.target) as client:
        genre = client.get_or_create("dnb").genre

    refused = (grpc.StatusCode.INVALID_ARGUMENT, "PACK_INVALID", ["documents"])
    assert {name: answer for name, answer in answers.items() if answer != refused} == {}
    assert (genre.name, genre.external_ids) == ("Drum and Bass", SHIPPED["drum and bass"])
    assert genre.revision == 1


def outcome_of(server: Server, documents: Sequence[bytes]) -> object:
    try:
        return refusal(server, documents)
    except pytest.fail.Exception:
        return "it was taken"


def test_an_unknown_pack_is_refused(shared: Server) -> None:
    """Only what MusicBrainz publishes can be brought up to date."""
    refused = (grpc.StatusCode.INVALID_ARGUMENT, "PACK_UNKNOWN", ["pack"])

    for pack in ("", "synonyms", "MusicBrainz", "nonsuch"):
        assert refusal(shared, PAGES, pack) == refused


def test_a_refused_import_leaves_the_one_before(registry: GenreRegistryClient) -> None:
    """Also when that was an import itself."""
    registry.import_pack("musicbrainz", [page((ID(111), "fizz"))])

    with pytest.raises(InvalidRequest) as raised:
        registry.import_pack("musicbrainz", PAGES[:1])

    assert raised.value.reason == "PACK_INVALID"
    assert registry.get_or_create("Fizz").genre.external_ids == {"musicbrainz": ID(111)}


def test_names_that_can_be_none_are_left_out_and_told(registry: GenreRegistryClient) -> None:
    """One odd genre does not keep two thousand others out."""
    rows = [(ID(121), "---"), (ID(122), "z" * 201), (ID(123), "fizz"), (ID(124), "  ")]

    imported = registry.import_pack("musicbrainz", [page(*rows)])

    assert imported.genres == 1
    assert sorted(imported.skipped) == sorted(["---", "z" * 201, "  "])


def test_two_genres_of_one_name_are_one_without_an_id(registry: GenreRegistryClient) -> None:
    """Nobody can tell which is meant: those there already are not linked either."""
    there = registry.get_or_create("Thunk").genre

    imported = registry.import_pack(
        "musicbrainz",
        [page((ID(131), "thunk"), (ID(132), "Thunk"), (ID(133), "clonk"), (ID(134), "Clonk"))],
    )

    assert (imported.genres, imported.changed) == (4, 0)
    assert registry.get_or_create("THUNK").genre == there
    assert registry.get_or_create("Clonk").genre.external_ids == {}


def test_importing_the_same_again_changes_nothing(registry: GenreRegistryClient) -> None:
    """What was not answered in time may be repeated."""
    registry.batch_get_or_create(["Whirr", "Rock"])
    first = registry.import_pack("musicbrainz", [page((ID(141), "whirr"))])

    second = registry.import_pack("musicbrainz", [page((ID(141), "whirr"))])

    assert (first.changed, second.changed) == (1, 0)
    assert second.revision == first.revision


def test_no_id_is_on_two_genres(registry: GenreRegistryClient) -> None:
    """MusicBrainz renames a genre: its id stays with the genre that has it."""
    registry.import_pack("musicbrainz", [page((ID(157), "bonk"))])
    bonk = registry.get_or_create("Bonk").genre
    registry.import_pack("musicbrainz", [page((ID(157), "zonk"))])

    zonk = registry.get_or_create("Zonk").genre

    assert registry.get_genre(bonk.id).external_ids == {"musicbrainz": ID(157)}
    assert zonk.id == bonk.id or zonk.external_ids == {}


def test_a_genre_is_linked_by_its_name_before_its_aliases(registry: GenreRegistryClient) -> None:
    """MusicBrainz takes up what was a mere synonym: the genre stays what its name says."""
    genre = registry.get_or_create("Arabic Music").genre
    assert "Arabic" in genre.aliases

    registry.import_pack("musicbrainz", [page((ID(161), "arabic"), (ID(162), "arabic music"))])

    assert registry.get_genre(genre.id).external_ids == {"musicbrainz": ID(162)}


async def test_an_import_whose_caller_went_away_is_done_all_the_same(database: Path) -> None:
    """What was kept is also what is served from then on, without a restart."""
    content = read_genre_all([page((ID(1), "zorp"))], version="9999-12-31").content
    shipped = knowledge_of((), off=(), placeholders=())
    newer = knowledge_of([pack_of("musicbrainz", content)], off=(), placeholders=())
    async with open_store(database, history_kept=100) as (store, _):
        catalogue = Catalogue(
            store,
            shipped,
            feed=ChangeFeed(store, heartbeat_s=1, on_storage_failure=lambda: None),
            on_storage_failure=lambda: None,
        )
        await catalogue.warm_up()
        zorp = Spelling.of("Zorp")
        before = (await catalogue.reach([zorp], "", deadline_s=math.inf))[zorp.fold]

        call = asyncio.create_task(
            catalogue.adopt(newer, ("musicbrainz", content), deadline_s=math.inf)
        )
        for _ in range(3):  # its turn has come: the round, the writer's thread
            await asyncio.sleep(0)
        assert not call.done()
        call.cancel()
        await catalogue.close()

        assert call.cancelled()
        assert catalogue.knowledge.digest == newer.digest
        assert before.known.genre.external_ids == (("musicbrainz", ID(1)),)
        assert (await store.packs())["musicbrainz"] == content


def test_other_clients_hear_that_they_remember_too_much(shared: Server) -> None:
    """What a client remembers of a raw value is void once a newer pack splits it elsewhere."""
    compound = TagSet(("Fnord/Wibble",))
    with GenreRegistryClient(shared.target) as worker, GenreRegistryClient(shared.target) as other:
        first = page((ID(201), "fnord wibble"))
        other.import_pack("musicbrainz", [first])
        while not worker._cache.is_watched:
            worker.get_or_create("Rock")
            worker.lookup_genre("Rock")
        heard = worker._cache.voided
        worker.resolve_tags([compound])

        other.import_pack("musicbrainz", [page((ID(202), "fnord"), (ID(203), "wibble"))])

        while worker._cache.voided == heard:
            worker.lookup_genre("Rock")
        [after] = worker.resolve_tags([compound])
    assert [each.spelling for each in after.genres] == ["Fnord", "Wibble"]
