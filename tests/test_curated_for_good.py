"""What a curator did survives every rescan of the library that caused it, restarts and packs."""

import json
from collections.abc import Sequence

import pytest
from conftest import StartServer, run
from sample_library import NICHES, SPELLINGS

from registry_server.packs.reading import shipped_pack
from worker_client import (
    Genre,
    GenreNotFound,
    GenreRegistryClient,
    GenreState,
    Settlement,
    SpellingBlocked,
    TagSet,
)

COMPOUNDS = ["Rock/Kept Zonk", "Rock/Dropped Zonk", "Rock/Aliased Zonk", "Rock/Expanded Zonk"]
LIBRARY = [
    *(TagSet((spelling,)) for group in SPELLINGS for spelling in group),
    *(TagSet((niche.title(), niche.upper())) for niche in NICHES),
    *(TagSet((compound,)) for compound in COMPOUNDS),
    TagSet(("dnb; DnB | Drum & Bass",)),
    TagSet(("Deep House", "House", "Zonk Wave", "Zonk-Wave", "Zonk_Wave")),
    TagSet(("Progressive Metal", "Heavy Metal", "Metal", "Dub", "Reggae")),
]


def musicbrainz() -> bytes:
    """Return the shipped list of MusicBrainz as its web service answers it."""
    genres = [
        {"id": dict(entry.external_ids)["musicbrainz"], "name": entry.name, "disambiguation": ""}
        for entry in shipped_pack("musicbrainz").entries
        if entry.external_ids
    ]
    page = {"genre-count": len(genres), "genre-offset": 0, "genres": genres}
    return json.dumps(page).encode()


def scan(registry: GenreRegistryClient) -> list[list[tuple[int, str]]]:
    """Scan the library; return the genres of each tag set, as ids with what was written."""
    answers = registry.resolve_tags(LIBRARY)
    return [[(each.genre.id, each.spelling) for each in answer.genres] for answer in answers]


def everything(registry: GenreRegistryClient) -> tuple[Sequence[Genre], int]:
    """Return every genre, deleted ones too, and the revision."""
    listed = list(registry.list_genres(show_deleted=True))
    return listed, registry.list_page(page_size=1).revision


def test_a_rescan_undoes_nothing(start_server: StartServer) -> None:
    """Merge, rename, delete, block, removals, pins and settlements; not after a restart either."""
    server = start_server()
    with GenreRegistryClient(server.target) as registry:
        scan(registry)
        found = registry.lookup_genre
        deep_house, house = found("Deep House"), found("House")
        assert deep_house.parent_ids == (house.id,)
        rock, pop, metal = found("Rock"), found("Pop"), found("Heavy Metal")
        britpop, fado, dnb, wave = found("Britpop"), found("Fado"), found("dnb"), found("Zonk Wave")
        assert "musicbrainz" in fado.external_ids

        registry.merge_genres([britpop.id], pop.id)
        registry.update_genre(rock.id, name="Rock as it was")
        registry.delete_genre(found("Schlager").id)
        registry.add_alias(pop.id, "Popular Zonk")
        registry.block_spelling("Popular Zonk")
        registry.remove_alias(dnb.id, "DnB")
        registry.update_genre(deep_house.id, parent_ids=[])
        registry.update_genre(fado.id, external_ids={})
        pinned = registry.distinguish_spelling("Zonk_Wave").genre
        kept, dropped, aliased, expanded = COMPOUNDS
        registry.settle_review(kept, Settlement.keep())
        registry.settle_review(dropped, Settlement.drop())
        registry.settle_review(aliased, Settlement.alias_of(metal.id))
        registry.settle_review(expanded, Settlement.expand_into(["Rock", "Zonk Expanded"]))
        scan(registry)  # Now "DnB" is a genre of its own: the spelling was freed.
        scanned, curated = scan(registry), everything(registry)

        def holds() -> None:
            assert scan(registry) == scanned
            assert everything(registry) == curated
            assert registry.get_genre(britpop.id).redirected_from_id == britpop.id
            assert registry.get_or_create("BRITPOP").genre.id == pop.id
            assert found("rock").name == "Rock as it was"
            assert registry.get_genre(rock.id).id == rock.id
            for blocked in ("Schlager", "popular-zonk", dropped, expanded):
                with pytest.raises(SpellingBlocked):
                    registry.get_or_create(blocked)
            assert registry.get_genre(dnb.id).state is GenreState.ACTIVE
            assert found("DnB").id != dnb.id == found("Drum 'n' Bass").id
            assert registry.get_genre(deep_house.id).parent_ids == ()
            assert registry.get_genre(fado.id).external_ids == {}
            assert found("Zonk_Wave").id == pinned.id != wave.id == found("Zonk-Wave").id
            assert found(kept).name == kept
            assert found(aliased).id == metal.id
            [answer] = registry.resolve_tags([TagSet((expanded,))])
            assert [each.genre.id for each in answer.genres] == [
                *(rock.id, found("Zonk Expanded").id)
            ]
            assert [review.text for review in registry.list_reviews()] == []

        holds()
    server.kill()
    server = start_server()
    with GenreRegistryClient(server.target) as registry:
        found = registry.lookup_genre
        holds()
        imported = registry.import_pack("musicbrainz", [musicbrainz()])
        # That another version is in force is a change of its own, and the only one.
        assert imported.changed == 0
        curated = (curated[0], imported.revision)
        holds()
    server.stop()
    server = start_server()
    with GenreRegistryClient(server.target) as registry:
        found = registry.lookup_genre
        holds()
    server.stop()
    ended = run("genre-registry", "check", "--database", server.database)
    assert ended.returncode == 0, ended.stderr


def test_a_freed_spelling_is_nobodys_until_it_is_scanned(start_server: StartServer) -> None:
    """A removed alias that a pack knows finds nothing, and then a genre of its own, once."""
    with GenreRegistryClient(start_server().target) as registry:
        dnb = registry.get_or_create("Drum and Bass").genre
        registry.remove_alias(dnb.id, "DnB")

        with pytest.raises(GenreNotFound):
            registry.lookup_genre("DnB")
        own = registry.get_or_create("DnB")
        assert own.created
        assert (own.genre.name, own.genre.external_ids) == ("DnB", {})
        assert not registry.get_or_create("dnb").created
