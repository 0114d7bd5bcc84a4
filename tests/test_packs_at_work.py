"""What genres gain from the reference packs, when created, later, and in any order."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import StartServer, running_server

from registry_server.packs.reading import PACKS, shipped_pack
from registry_server.vocabulary.identity import Spelling
from worker_client import Genre, GenreRegistryClient, Resolution, TagContainer, TagSet

ALL_OFF = ("--packs-off", ",".join(PACKS))
IDS = {entry.name: dict(entry.external_ids) for entry in shipped_pack("musicbrainz").entries}

Keys = frozenset[str]


def keys_of(genre: Genre) -> Keys:
    return frozenset(Spelling.of(text).fold for text in (genre.name, *genre.aliases))


def vocabulary(client: GenreRegistryClient) -> set[tuple[Keys, frozenset[tuple[str, str]], Keys]]:
    """Return what is there, display names and ids excepted: keys, external ids, parents' keys."""
    genres = list(client.list_genres())
    keys = {genre.id: keys_of(genre) for genre in genres}
    found = {
        (
            keys[genre.id],
            frozenset(genre.external_ids.items()),
            frozenset(min(keys[parent_id]) for parent_id in genre.parent_ids),
        )
        for genre in genres
    }
    assert len(found) == len(genres)
    return found


def create(client: GenreRegistryClient, *names: str) -> list[Genre]:
    """Return the genres of *names*, created one call after the other."""
    return [client.get_or_create(name).genre for name in names]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenreRegistryClient]:
    """A client of one server that the tests of this file share: each brings genres of its own."""
    database = tmp_path_factory.mktemp("shared") / "registry.db"
    with running_server(database) as server, GenreRegistryClient(server.target) as client:
        yield client


def test_a_mere_variant_does_not_name_a_genre(registry: GenreRegistryClient) -> None:
    """The packs' preferred name does; but its own name, in any language, stays as first seen."""
    names = {
        **{"dnb": "Drum and Bass", "RnB": "R&B", "Rock Music": "Rock", "hiphop": "Hip Hop"},
        **{"ELECTRONIQUE": "Electronic", "Klassik": "Klassik", "SOUL": "SOUL", "Oi!": "Oi"},
        **{"Nonsuch": "Nonsuch", "trip_hop": "trip_hop", "#metal": "Metal"},
    }

    created = {spelling: registry.get_or_create(spelling) for spelling in names}

    assert {spelling: each.genre.name for spelling, each in created.items()} == names
    assert all(each.created for each in created.values())
    assert all(registry.lookup_genre(s).id == each.genre.id for s, each in created.items())


def test_a_new_genre_brings_what_the_packs_know(registry: GenreRegistryClient) -> None:
    """Its other spellings reach it at once, and it is linked to MusicBrainz."""
    revision = registry.list_page().revision

    [genre] = create(registry, "UKG")

    assert (genre.name, genre.aliases) == ("UK Garage", ("UKG",))
    assert genre.external_ids == IDS["uk garage"] != {}
    assert registry.lookup_genre("uk-garage") == registry.lookup_genre("ukg") == genre
    assert registry.list_page().revision == genre.revision == revision + 1


def test_a_translation_that_was_first_stays_the_name(registry: GenreRegistryClient) -> None:
    """It finds the same genre as the English name, whichever comes first."""
    first, second = create(registry, "ブルース", "Blues")

    assert (first, first.name) == (second, "ブルース")
    assert "Blues" in first.aliases


def test_a_parent_becomes_an_edge_once_both_are_there(registry: GenreRegistryClient) -> None:
    """In either order; a genre that was never seen is not made for being a parent."""
    house, deep_house, thrash = create(registry, "House", "Deep House", "Thrash Metal")
    assert (deep_house.parent_ids, thrash.parent_ids) == ((house.id,), ())

    [heavy] = create(registry, "Heavy Metal")

    assert heavy.id == thrash.id + 1
    linked = registry.get_genre(thrash.id)
    assert (linked.parent_ids, linked.revision) == ((heavy.id,), heavy.revision + 1)
    assert registry.get_genre(house.id) == house


def test_one_batch_makes_the_same_edges(registry: GenreRegistryClient) -> None:
    """A child before its parent, and after it, all in one transaction."""
    before = registry.list_page().revision

    registry.batch_get_or_create(["Roots Reggae", "Reggae", "Dub"])

    roots, reggae, dub = map(registry.lookup_genre, ("Roots Reggae", "Reggae", "Dub"))
    assert reggae.id in roots.parent_ids
    assert reggae.id in dub.parent_ids
    revisions = sorted(genre.revision for genre in (roots, reggae, dub))
    assert (before + 1 < revisions[0], revisions[-1]) == (True, registry.list_page().revision)


def test_a_genre_is_made_once_however_many_spell_it(registry: GenreRegistryClient) -> None:
    """Synonyms, variants and translations race for one genre like its name does."""
    spellings = ["Prog", "Prog Rock", "progressive-rock", "ProgressiveRock", "PROG"] * 5

    with ThreadPoolExecutor(24) as workers:
        answers = list(workers.map(registry.get_or_create, spellings))

    assert len({answer.genre.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


LIBRARY_SPELLINGS = [
    *("dnb", "Drum & Bass", "drum'n'bass", "D&B", "ドラムンベース", "Jungle", "Liquid Funk"),
    *("liquid dnb", "Neurofunk", "Breakbeat", "Electronic", "Électronique", "ELECTRONIQUE"),
    *("Elektronisch", "Electrónica", "electronic music", "House", "Deep House", "deep-house"),
    *("DEEPHOUSE", "Tech House", "French Touch", "French House", "Techno", "Minimal Techno"),
    *(
        "Ambient",
        "アンビエント",
        "Rock",
        "Rock Music",
        "Рок",
        "ロック",
        "Punk",
        "Punk Rock",
        "Post-Punk",
    ),
    *("post punk", "postpunk", "Alt. Rock", "AlternRock", "Alternative Rock", "Rock alternatif"),
    *("Prog", "Progressive Rock", "Rock progressif", "Hard Rock", "Metal", "#metal"),
    *("!!!metal!!!", "Death Metal", "deathmetal", "Nu Metal", "Nü-Metal", "Black Metal"),
    *("Doom Metal", "Jazz", "ジャズ", "Jazz-Funk", "Fusion Jazz", "Jazz Fusion", "Bebop", "Bebob"),
    *("Hip-Hop", "hiphop", "Hip Hop", "Rap", "Trap", "Hip-Hop/Rap", "R&B", "RnB"),
    *("Rhythm and Blues", "R and B", "Contemporary R&B", "Soul", "Neo Soul", "Funk"),
    *("Funk / Soul", "Funk/Soul", "Folk, World, & Country", "Country", "Country & Western"),
    *("Folk", "Indie Folk", "Singer/Songwriter", "singer songwriter", "Variété française"),
    *("VARIETE FRANCAISE", "Chanson française", "French Chanson", "Klassik", "Classical"),
    *("Classique", "Opera", "Operas", "Operetta", "Soundtrack", "OST", "Film Score", "Musicals"),
    *("kaseko", "kasékò", "KASEKÓ", "hyper techno", "hypertechno", "Hyper-Techno", "Psy-Trance"),
    *("Psytrance", "Goa", "Goa Trance", "Trance", "Reggae", "Dub", "Dubstep", "Ska", "Ragga"),
    *("Dancehall", "Blues", "Rock/AltRock", "AC/DC", "Jazz, R&B, and Soul", "Pop", "Pop/Rock"),
    *("J-Pop", "JPOP", "Japanese Pop", "K-Pop", "raï", "rai", "Nonsuch", "non-such"),
    *("Nonsuch Music", "Unknown", "Other / Rock"),
]


def library() -> list[TagSet]:
    """Return some 300 tags as a library holds them: every spelling alone, and in company."""
    shuffled = random.Random(3)
    tags = [TagSet((spelling,)) for spelling in LIBRARY_SPELLINGS]
    for _ in range(100):
        values = shuffled.sample(LIBRARY_SPELLINGS, shuffled.randint(2, 3))
        joint = shuffled.choice(["; ", " / ", ", ", "|"])
        tags += [TagSet(tuple(values)), TagSet((joint.join(values),))]
    numbers = ["(17)", "17", "(4)Eurodisco", "(9)(138)Viking Metal", "127", "(255)"]
    return tags + [TagSet((number,), TagContainer.ID3V23) for number in numbers]


def test_a_library_makes_one_vocabulary_in_any_order(tmp_path: Path) -> None:
    """Ten orders, batches of twenty, half of them through four workers at once."""

    def resolved_in(order: int) -> set[tuple[Keys, frozenset[tuple[str, str]], Keys]]:
        tags = library()
        random.Random(order).shuffle(tags)
        batches = [tags[at : at + 20] for at in range(0, len(tags), 20)]
        with (
            running_server(tmp_path / f"{order}.db") as server,
            GenreRegistryClient(server.target) as client,
            ThreadPoolExecutor(4 if order % 2 else 1) as workers,
        ):
            list(workers.map(client.resolve_tags, batches))
            return vocabulary(client)

    with ThreadPoolExecutor(2) as servers:
        first, *others = servers.map(resolved_in, range(10))

    assert [each ^ first for each in others if each != first] == []
    assert 80 < len(first) < len(LIBRARY_SPELLINGS)


def test_packs_that_are_off_decide_nothing(start_server: StartServer) -> None:
    """Spellings are then one genre only if their keys are."""
    with GenreRegistryClient(start_server(flags=ALL_OFF).target) as client:
        genres = create(
            client, "dnb", "Drum and Bass", "Triphop", "Trip Hop", "Deep House", "House"
        )
        [tags] = client.resolve_tags([TagSet(("Folk/Rock",))])

    assert [genre.id for genre in genres] == list(range(1, 7))
    assert not any(
        (genre.aliases, genre.parent_ids, genre.external_ids) != ((), (), {}) for genre in genres
    )
    assert [(genre.spelling, genre.pack) for genre in tags.genres] == [("Folk/Rock", "")]


def test_one_pack_that_is_off_leaves_the_others(start_server: StartServer) -> None:
    """Without the synonyms an abbreviation is a genre of its own, which MusicBrainz lacks."""
    with GenreRegistryClient(start_server(flags=("--packs-off", "synonyms")).target) as client:
        abbreviation, full = create(client, "dnb", "Drum and Bass")

    assert (abbreviation.name, abbreviation.external_ids) == ("dnb", {})
    assert full.external_ids == IDS["drum and bass"]


def test_packs_turned_on_link_what_is_there(start_server: StartServer) -> None:
    """Nothing is renamed or merged, each genre's gain is a change, and once is enough."""
    names = ["dnb", "Drum and Bass", "Triphop", "electronic", "house", "Deep House", "Nonsuch"]
    bare = start_server(flags=ALL_OFF)
    with GenreRegistryClient(bare.target) as client:
        before = create(client, *names)
    bare.stop()

    server = start_server()
    with GenreRegistryClient(server.target) as client:
        after, revision = list(client.list_genres()), client.list_page().revision
        spellings = ["D&B", "Trip-Hop", "Électronique", "Electronic Music", "DEEPHOUSE"]
        answers = client.batch_get_or_create(spellings)
        assert client.list_page().revision == revision
    server.stop()
    content = server.database.read_bytes()
    again = start_server()
    with GenreRegistryClient(again.target) as client:
        assert list(client.list_genres()) == after
        assert client.list_page().revision == revision
    again.stop()
    assert again.database.read_bytes() == content

    dnb, full, trip_hop, electronic, house, deep_house, nonsuch = after
    assert [(genre.id, genre.name) for genre in after] == [(g.id, g.name) for g in before]
    reached = [answer.genre.id for answer in answers if isinstance(answer, Resolution)]
    assert reached == [full.id, trip_hop.id, electronic.id, electronic.id, deep_house.id]
    assert (dnb, nonsuch) == (before[0], before[6])
    assert full.external_ids == IDS["drum and bass"]
    assert trip_hop.external_ids == IDS["trip hop"]
    assert deep_house.parent_ids == (house.id,)
    linked = [genre.revision for genre in after if genre.revision > len(names)]
    # The first change says that other packs are in force.
    assert sorted(linked) == list(range(len(names) + 2, revision + 1))
    assert len(linked) == 5


def test_what_the_packs_gave_stays_when_they_are_off(start_server: StartServer) -> None:
    """Aliases reach the genre as before, and all of its spellings have one key."""
    before = start_server()
    with GenreRegistryClient(before.target) as client:
        [genre] = create(client, "Drum and Bass")
    before.stop()

    with GenreRegistryClient(start_server(flags=ALL_OFF).target) as client:
        results = client.resolve_tags([TagSet((text,)) for text in ("dnb", "D&B", "drum_n_bass")])

    answers = [answer for result in results for answer in result.genres]
    assert [answer.genre for answer in answers] == [genre] * 3
    assert len({answer.key for answer in answers}) == 1
