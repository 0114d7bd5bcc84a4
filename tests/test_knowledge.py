"""What the reference packs say together: which spellings are one genre, and which are not."""

import time
import tracemalloc
from collections import defaultdict
from datetime import date
from itertools import combinations

import pytest
from case_tables import Pair, equivalence_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_server.packs.reading import FOLDER, PACKS, knowledge_of, pack_of, shipped_pack
from registry_server.settings import PLACEHOLDERS
from registry_server.vocabulary.identity import Spelling, fold_key, loose_key, strict_key
from registry_server.vocabulary.knowledge import Knowledge, Meaning, Pack, Reference
from worker_client import GenreRegistryClient, Resolution

KNOWLEDGE = knowledge_of((), off=(), placeholders=PLACEHOLDERS)
PAIRS = equivalence_pairs()
ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def meaning(text: str, knowledge: Knowledge = KNOWLEDGE) -> Meaning | None:
    return knowledge.meaning(Spelling.of(text))


def reference(text: str, knowledge: Knowledge = KNOWLEDGE) -> Reference | None:
    found = meaning(text, knowledge)
    return found.reference if found else None


def one_genre(first: str, second: str, knowledge: Knowledge = KNOWLEDGE) -> bool:
    """Whether both are one genre: by their fold keys, or because the packs say so."""
    if Spelling.of(first).fold == Spelling.of(second).fold:
        return True
    known = reference(first, knowledge)
    return known is not None and known is reference(second, knowledge)


def made_pack(name: str, columns: str, *rows: str) -> Pack:
    """Return a pack of that name, its cells divided by commas here."""
    head = ["# title: T", "# source: S", "# licence: L", "# version: 2026-01-01"]
    return pack_of(name, "\n".join([*head, *(row.replace(",", "\t") for row in (columns, *rows))]))


def loose(text: str) -> str:
    return loose_key(fold_key(strict_key(text)))


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_names_its_source_and_loads_at_once(name: str) -> None:
    """Nobody waits for a pack, and nobody wonders where it came from."""
    times_s = []
    for _ in range(3):
        shipped_pack.cache_clear()
        begun = time.thread_time()
        pack = shipped_pack(name)
        times_s.append(time.thread_time() - begun)

    assert all((pack.title, pack.source, pack.licence, pack.entries))
    assert date.fromisoformat(pack.version)
    assert min(times_s) < 0.1
    assert Knowledge([pack]).conflicts == ()


def test_the_licence_that_asks_for_it_lies_beside_its_pack() -> None:
    """MIT wants its text to go where the data goes."""
    assert "Permission is hereby granted" in (FOLDER / "beets.LICENSE").read_text()
    assert "beets.LICENSE" in shipped_pack("beets").licence


def test_all_packs_together_agree_and_are_small() -> None:
    """No pack contradicts another, and all that they know fits a small machine's memory."""
    shipped_pack.cache_clear()
    tracemalloc.start()
    try:
        knowledge = knowledge_of((), off=(), placeholders=PLACEHOLDERS)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert knowledge.conflicts == ()
    assert [pack.name for pack in knowledge.packs] == list(PACKS)
    assert size < 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("Trip-Hop", "triphop"), ("VARIETE FRANCAISE", "Variété française")),
        *(("!!!metal!!!", "Metal"), ("#metal", "metal"), ("shoegaze.", "Shoegaze")),
        *(("לָדִינוֹ", "לדינו"), ("رَاي", "راي"), ("رـــاي", "راي"), ("λαϊκό", "λαικο")),
        *(("Øst", "ost"), ("Тёмный", "Темный")),
    ],
)
def test_a_loose_key_leaves_out_what_people_leave_out(first: str, second: str) -> None:
    """Separators, accents, points and vowel signs, and punctuation worn as decoration."""
    assert loose(first) == loose(second) != ""


@pytest.mark.parametrize(
    ("first", "second"),
    [("Oi!", "oi"), ("Pop!", "Pop"), ("ジャズ", "シャス"), ("Eurobeat™", "Eurobeat"), ("C+", "C")],
)
def test_a_loose_key_keeps_what_tells_names_apart(first: str, second: str) -> None:
    """A mark that is a letter's own, a symbol, and an exclamation that belongs to the name."""
    assert loose(first) != loose(second)


@settings(deadline=None)
@given(st.text(st.characters()) | st.text("aé-_ !?#.&+'n/(ø\u0301\u05b7シ\u3099"))
def test_a_loose_key_is_its_own_loose_key(text: str) -> None:
    """How often it is computed changes nothing."""
    assert loose_key(loose(text)) == loose(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("dnb", "Drum and Bass"), ("rnb", "R&B"), ("Triphop", "Trip Hop"), ("Oi!", "Oi")),
        *(("#metal", "Metal"), ("!!!metal!!!", "Metal"), ("Hip/Hop", "Hip Hop")),
        *(("Électronique", "Electronic"), ("ELECTRONIQUE", "Electronic"), ("ロック", "Rock")),
        *(("variete francaise", "Variété française"), ("Klassik", "Classical")),
        *(("Música electrónica", "Electronic"), ("Rock Music", "Rock")),
    ],
)
def test_a_spelling_means_the_genre_that_people_mean(text: str, name: str) -> None:
    """Abbreviations, variants and translations, with and without their accents."""
    known = reference(text)

    assert known is not None
    assert known.name.text == name


@pytest.mark.parametrize(
    "text", ["Folk/Rock", "Pop; Rock", "Rock, Pop", "Pop!", "Nonsuch", "フォク"]
)
def test_a_spelling_that_no_pack_knows_means_nothing(text: str) -> None:
    """A compound is not the genre that its parts would spell when run together."""
    assert meaning(text) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("kaseko", "kasékò"), ("hyper techno", "hypertechno"), ("Psy-Trance", "Psytrance")),
        *(("Pop", "Pop!"), ("Folk/Rock", "Folk Rock"), ("Rock", "Rap"), ("80s", "90s")),
    ],
)
def test_what_musicbrainz_keeps_apart_stays_apart(first: str, second: str) -> None:
    """However loosely two genres' names are one, each spelling reaches its own or none."""
    assert not one_genre(first, second)


def test_two_genres_of_one_name_are_one_without_an_id() -> None:
    """Nobody can tell which of the two is meant, so the name is linked to neither."""
    rows = (f"Drift,{ONE}", f"drift,{TWO}", "Dub,")

    knowledge = Knowledge([made_pack("musicbrainz", "name,musicbrainz", *rows)])

    assert list(knowledge.references) == ["drift", "dub"]
    assert knowledge.references["drift"].external_ids == {}
    [conflict] = knowledge.conflicts
    assert "Drift" in conflict


def test_three_genres_of_one_name_are_linked_to_none_of_them() -> None:
    """Nor does a third one win because the first two fell out."""
    three = "33333333-3333-4333-8333-333333333333"
    rows = (f"Drift,{ONE}", f"Drift,{TWO}", f"Drift,{three}")

    knowledge = Knowledge([made_pack("musicbrainz", "name,musicbrainz", *rows)])

    assert knowledge.references["drift"].external_ids == {}


def test_loosely_one_name_of_two_genres_means_neither() -> None:
    """If several have the loose key, nothing follows from it, whichever pack names a third."""
    musicbrainz = made_pack("musicbrainz", "name,musicbrainz", f"kaseko,{ONE}", f"kasékò,{TWO}")
    later = made_pack("beets", "name", "Kasekó")

    knowledge = Knowledge([musicbrainz, later])

    assert meaning("KASÈKO", knowledge) is None
    assert list(knowledge.references) == ["kaseko", "kasékò", "kasekó"]


@pytest.mark.parametrize(
    ("synonyms", "conflicts"), [("Dub,Ska", 1), ("Dub,Dub Music", 0), ("Dub,dub", 0)]
)
def test_a_synonym_that_names_another_genre_is_not_followed(synonyms: str, conflicts: int) -> None:
    """The first word on a spelling counts; what was said later is told as a conflict."""
    packs = [
        made_pack("musicbrainz", "name", "Dub", "Ska"),
        made_pack("synonyms", "name,synonyms", synonyms),
    ]

    knowledge = Knowledge(packs)

    assert not one_genre("Dub", "Ska", knowledge)
    assert len(knowledge.conflicts) == conflicts


def test_a_later_packs_name_joins_what_it_is_loosely() -> None:
    """ "Hiphop" in one pack and "hip hop" in a more trusted one are one genre's names."""
    packs = [made_pack("musicbrainz", "name", "hip hop"), made_pack("beets", "name", "Hiphop")]

    knowledge = Knowledge(packs)

    assert list(knowledge.references) == ["hip hop"]
    assert [each.text for each in knowledge.references["hip hop"].synonyms] == ["Hiphop"]


def test_the_authoritys_own_names_are_never_joined() -> None:
    """Not even by their loose keys, nor because a later pack takes them for one."""
    musicbrainz = made_pack("musicbrainz", "name", "hyper techno", "hypertechno")
    synonyms = made_pack("synonyms", "name,synonyms", "Hyper Techno,Hypertechno")

    knowledge = Knowledge([musicbrainz, synonyms])

    assert list(knowledge.references) == ["hyper techno", "hypertechno"]
    assert len(knowledge.conflicts) == 1


def test_a_parent_that_would_close_a_cycle_is_skipped() -> None:
    """Whatever several packs say, no genre is a kind of itself."""
    packs = [
        made_pack("discogs", "name,parents", "A,B", "B,C", "C,"),
        made_pack("beets", "name,parents", "C,A", "B,B", "D,A"),
    ]

    knowledge = Knowledge(packs)

    parents = {key: each.parents for key, each in knowledge.references.items()}
    assert parents == {"a": ["b"], "b": ["c"], "c": [], "d": ["a"]}
    assert knowledge.references["a"].children == ["d"]


def test_packs_that_are_off_are_not_known() -> None:
    """ID3's numbers are decoded all the same."""
    knowledge = knowledge_of((), off=PACKS, placeholders=("Unknown",))

    assert meaning("Rock", knowledge) is None
    assert knowledge.numbers[17] == "Rock"
    assert knowledge.placeholders == {"unknown"}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.kind}-{pair.first}")
def test_every_pair_of_the_table_is_one_genre_or_two(pair: Pair) -> None:
    """Same and different always; an alias where a rule or a pack can tell."""
    if pair.relation == "different":
        assert not one_genre(pair.first, pair.second)
    elif pair.relation == "same" or pair.kind in {"SEP", "AMP"}:
        assert Spelling.of(pair.first).fold == Spelling.of(pair.second).fold
    elif pair.kind in {"NOSEP", "ACC", "PUNCT"}:
        spellings = [Spelling.of(pair.first), Spelling.of(pair.second)]
        known = [each for each in spellings if KNOWLEDGE.knows_whole(each.fold)]
        kept_apart = len({id(reference(each.text)) for each in known}) > 1
        assert one_genre(pair.first, pair.second) or not known or kept_apart


FLOORS = {
    **{"SEP": 13, "AMP": 10, "NOSEP": 13, "ACC": 13, "PUNCT": 4, "ABBR": 13, "TRANSLIT": 7},
    **{"LOCALE": 6, "PLURAL": 6, "SPELL": 6, "SYN": 4},
}
"""How many aliases of each class are one genre at least."""


def test_most_aliases_are_one_genre() -> None:
    """The share of each class never falls; shown with -s."""
    joined: dict[str, list[bool]] = defaultdict(list)
    for pair in PAIRS:
        if pair.relation == "alias":
            joined[pair.kind].append(one_genre(pair.first, pair.second))

    for kind, found in joined.items():
        print(f"{kind:9} {sum(found):3} of {len(found):3}")
    assert {kind: sum(found) for kind, found in joined.items() if sum(found) < FLOORS[kind]} == {}


def test_no_two_musicbrainz_ids_are_joined() -> None:
    """Over all that the table names, and over every genre that has an id."""
    ids = {entry.name: dict(entry.external_ids) for entry in shipped_pack("musicbrainz").entries}
    by_reference: dict[str, set[str]] = defaultdict(set)
    for name, external_ids in ids.items():
        known = reference(name)
        assert known is not None
        by_reference[known.key] |= set(external_ids.values())

    assert [key for key, found in by_reference.items() if len(found) > 1] == []
    assert len(by_reference) == len(ids)


def test_a_server_makes_of_the_table_what_the_packs_say(registry: GenreRegistryClient) -> None:
    """By ids: in whatever order the spellings come, and whatever else is there."""
    texts = list(dict.fromkeys(text for pair in PAIRS for text in (pair.first, pair.second)))
    ids: dict[str, int] = {}
    for at in range(0, len(texts), 25):
        chunk = texts[at : at + 25]
        for text, answer in zip(chunk, registry.batch_get_or_create(chunk), strict=True):
            assert isinstance(answer, Resolution)
            ids[text] = answer.genre.id

    wrong = [pair for pair in PAIRS if (ids[pair.first] == ids[pair.second]) != _expected(pair)]

    assert wrong == []
    assert not any(ids[a] == ids[b] and not one_genre(a, b) for a, b in combinations(texts, 2))


def _expected(pair: Pair) -> bool:
    return pair.relation != "different" and (
        pair.relation == "same" or one_genre(pair.first, pair.second)
    )
