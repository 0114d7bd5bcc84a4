"""Why a raw value becomes the genres that it does, step by step, without touching anything."""

from collections.abc import Iterator, Sequence

import pytest
from conftest import Server, running_server

from worker_client import ExplainedStep, GenreRegistryClient, TagContainer


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenreRegistryClient]:
    """A client of one server for the tests of this file: explaining leaves no trace."""
    database = tmp_path_factory.mktemp("explaining") / "registry.db"
    with running_server(database) as server, GenreRegistryClient(server.target) as client:
        yield client


Told = list[tuple[str, str, tuple[str, ...]]]


def told(steps: Sequence[ExplainedStep]) -> Told:
    """Return the rule of each step, what it looked at, and what it made of that."""
    return [(step.rule, step.text, step.parts) for step in steps]


EXPLAINED: dict[tuple[str, TagContainer], Told] = {
    ("Hip-Hop/R&B", TagContainer.UNSPECIFIED): [
        ("R7", "Hip-Hop/R&B", ("Hip-Hop", "R&B")),
        ("IDENTITY", "Hip-Hop", ("Hip-Hop",)),
        ("IDENTITY", "R&B", ("R&B",)),
    ],
    ("(17)", TagContainer.ID3V23): [
        ("R2", "(17)", ("Rock",)),
        ("IDENTITY", "Rock", ("Rock",)),
    ],
    ("17", TagContainer.VORBIS): [("IDENTITY", "17", ("17",))],
    ("(255)", TagContainer.ID3V1): [("R2", "(255)", ()), ("R9", "255", ())],
    ("dnb", TagContainer.MP4): [("IDENTITY", "dnb", ("Drum and Bass",))],
    ("Unknown", TagContainer.APE): [("R9", "Unknown", ())],
    ("R&amp;B; ---", TagContainer.ASF): [
        ("R3", "R&amp;B; ---", ("R&B; ---",)),
        ("R4", "R&B; ---", ("R&B", "---")),
        ("R9", "---", ()),
        ("IDENTITY", "R&B", ("R&B",)),
    ],
    ("Rock/AltRock", TagContainer.UNSPECIFIED): [
        ("R7", "Rock/AltRock", ("Rock/AltRock",)),
        ("IDENTITY", "Rock/AltRock", ("Rock/AltRock",)),
    ],
    ("Funk / Soul", TagContainer.UNSPECIFIED): [
        ("R5", "Funk / Soul", ("Funk / Soul",)),
        ("IDENTITY", "Funk / Soul", ("Funk / Soul",)),
    ],
}


def test_every_step_from_the_value_to_the_genres_is_told(registry: GenreRegistryClient) -> None:
    """In the order in which they were taken, each with its rule and in words."""
    steps = {asked: registry.explain_spelling(*asked) for asked in EXPLAINED}

    assert {asked: told(found) for asked, found in steps.items()} == EXPLAINED
    assert all(step.note for found in steps.values() for step in found)


def test_explaining_creates_nothing(server: Server) -> None:
    """Not a genre, not a review, not a byte."""
    with GenreRegistryClient(server.target) as client:
        written = server.written_bytes()
        for value, container in EXPLAINED:
            client.explain_spelling(value, container)
        assert client.list_page().revision == 0
        assert server.written_bytes() == written


def test_a_step_names_the_key_and_the_pack_that_decided(registry: GenreRegistryClient) -> None:
    """A synonym, a loose variant and a translation each say of what, and who knows it."""
    steps = {
        value: registry.explain_spelling(value)[-1]
        for value in ("dnb", "Triphop", "Électronique", "House", "Zorp")
    }

    assert {value: (step.key, step.packs) for value, step in steps.items()} == {
        "dnb": ("drum and bass", ("synonyms",)),
        "Triphop": ("trip hop", ("musicbrainz",)),
        "Électronique": ("electronic", ("translations",)),
        "House": ("house", ("musicbrainz",)),
        "Zorp": ("zorp", ()),
    }
    assert "synonym" in steps["dnb"].note
    assert "loosely" in steps["Triphop"].note
    assert "translation" in steps["Électronique"].note
    assert "no pack" in steps["Zorp"].note


def test_a_slash_names_the_packs_that_know_its_sides(registry: GenreRegistryClient) -> None:
    """And a slash that stays whole names the side that nobody knows."""
    apart = registry.explain_spelling("Hip-Hop/dnb")[0]
    whole = registry.explain_spelling("Rock/AltRock")[0]

    assert apart.packs == ("musicbrainz", "synonyms")
    assert "AltRock" in whole.note


def test_the_genre_that_is_reached_is_told(registry: GenreRegistryClient) -> None:
    """With its id if it is there, by the key that it was reached by; else with none."""
    registry.get_or_create("UK Garage")

    there = registry.explain_spelling("UKG")[-1]
    not_there = registry.explain_spelling("Rock")[-1]

    assert there.genre == registry.lookup_genre("UKG")
    assert there.key == "ukg"
    assert not_there.genre is not None
    assert (not_there.genre.id, not_there.genre.name) == (0, "Rock")


def test_a_value_that_names_nothing_is_explained_too(registry: GenreRegistryClient) -> None:
    """No value is refused, and each has a step that says why nothing came of it."""
    values = ["", " ", "\0", ";;", "---", "x" * 300, "\x07\x07", "(" * 9000]

    steps = {value: registry.explain_spelling(value) for value in values}

    assert [value for value, found in steps.items() if not found] == []
    assert [each for found in steps.values() for each in found if each.genre] == []
