"""`genrectl tidy`: which names are untidy, and how they should be written."""

import json
import subprocess

import pytest
from conftest import BIN, Server, run
from hypothesis import given
from hypothesis import strategies as st

from worker_client import GenreRegistryClient
from worker_client._tidy import Fault, tidied


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        # Shouting
        ("HARD ROCK", "Hard Rock"),
        ("ROCK", "Rock"),
        ("VARIÉTÉ FRANÇAISE", "Variété Française"),
        ("NEUE DEUTSCHE WELLE", "Neue Deutsche Welle"),
        ("UK GARAGE", "UK Garage"),
        ("U.K. GARAGE", "U.K. Garage"),
        ("JRPG MUSIC", "JRPG Music"),
        ("RHYTHM AND BLUES", "Rhythm and Blues"),
        ("80S POP", "80s Pop"),
        ("4X4 GARAGE", "4x4 Garage"),
        ("2-STEP", "2-Step"),
        ("ROCK'N'ROLL", "Rock'n'Roll"),
        ("CHILDREN'S MUSIC", "Children's Music"),
        # All in lower case
        ("hard rock", "Hard Rock"),
        ("pop", "Pop"),
        ("hip hop", "Hip Hop"),
        ("trip-hop", "Trip-Hop"),
        ("lo-fi", "Lo-Fi"),
        ("k-pop", "K-Pop"),
        ("K-POP", "K-Pop"),
        ("r&b", "R&B"),
        ("alternative r&b", "Alternative R&B"),
        ("d'n'b", "D'n'B"),
        ("dnb", "DnB"),
        ("edm", "EDM"),
        ("idm", "IDM"),
        ("hi-nrg", "Hi-NRG"),
        ("dj mix", "DJ Mix"),
        ("uk drill", "UK Drill"),
        ("drum and bass", "Drum and Bass"),
        ("drum & bass", "Drum & Bass"),
        ("drum-n-bass", "Drum-n-Bass"),
        ("rock 'n' roll", "Rock 'n' Roll"),
        ("rock ’n’ roll", "Rock ’n’ Roll"),
        ("rock n roll", "Rock n Roll"),
        ("rock and roll", "Rock and Roll"),
        ("new wave of british heavy metal", "New Wave of British Heavy Metal"),
        ("the canterbury scene", "The Canterbury Scene"),
        ("a cappella", "A Cappella"),
        ("hands on", "Hands On"),
        ("singer/songwriter", "Singer/Songwriter"),
        ("live (the best of)", "Live (The Best Of)"),
        ("rock en español", "Rock en Español"),
        ("música de capoeira", "Música de Capoeira"),
        ("musique d'ambiance", "Musique d'Ambiance"),
        ("l'amour", "L'Amour"),
        ("don't stop", "Don't Stop"),
        ("électro", "Électro"),
        ("e\u0301lectro me\u0301lodie", "E\u0301lectro Me\u0301lodie"),
        ("jùjú", "Jùjú"),
        ("yé-yé", "Yé-Yé"),
        ("2 tone", "2 Tone"),
        ("8-bit", "8-Bit"),
        ("trance 2.0", "Trance 2.0"),
        ("oi!", "Oi!"),
        ("j-pop 日本", "J-Pop 日本"),
        # In between
        ("K-pop", "K-Pop"),
        ("G-funk", "G-Funk"),
    ],
)
def test_untidy_names_are_written_anew(name: str, proposed: str) -> None:
    """Title case, with acronyms, small words and apostrophes as people write them."""
    found = tidied(name)

    assert found is not None
    assert found[1] == proposed


@pytest.mark.parametrize(
    "name",
    [
        *("Hard Rock", "Hip-hop", "Hard rock", "Drum and Bass", "Rock 'n' Roll", "K-Pop", "Lo-Fi"),
        *("EDM", "IDM", "R&B", "UK", "NWOBHM", "DJ", "MPB", "JRPG", "IDM/EBM", "Hi-NRG", "DnB"),
        *("русский рок", "ШАНСОН", "ελληνικό ροκ", "日本のロック", "रॉक", "ロック"),
        *("TÜRKÇE HALK MÜZİĞİ", "ılık rock", "80s", "2000", "!!!", "X", "", "ｒｏｃｋ"),
    ],
)
def test_other_names_are_left_alone(name: str) -> None:
    """Tidy ones, acronyms, and those that only one who speaks the language can write."""
    assert tidied(name) is None


def test_the_fault_is_told() -> None:
    """In a word for each kind."""
    assert tidied("ROCK") == (Fault.SHOUTING, "Rock")
    assert tidied("rock") == (Fault.LOWER_CASE, "Rock")
    assert tidied("K-pop") == (Fault.LOWER_AFTER_HYPHEN, "K-Pop")


@given(st.text(max_size=30) | st.text("abcABC '-&/éÉßıİǆŉ1.", max_size=12))
def test_a_proposal_is_the_same_genre_and_tidy(name: str) -> None:
    """Only case differs, and nothing is proposed for what was proposed."""
    found = tidied(name)
    if found is not None:
        assert found[1] != name
        assert found[1].casefold() == name.casefold()
        assert tidied(found[1]) is None


# The command


def test_commands_are_proposed_and_work(server: Server, registry: GenreRegistryClient) -> None:
    """As they are printed, quotes and all; nothing has changed before."""
    for name in ("HARD ZZROCK", "zz'n'roll; $x", "Tidy Zz", "-zz wave"):
        registry.get_or_create(name)
    before = list(registry.list_genres())

    table = run("genrectl", "tidy", GENRECTL_TARGET=server.target)
    done = run("genrectl", "--json", "tidy", GENRECTL_TARGET=server.target)

    assert list(registry.list_genres()) == before
    assert (table.returncode, done.returncode) == (0, 0)
    assert "all in capitals    genrectl rename 1 'Hard Zzrock'" in table.stdout
    proposals = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["proposed"] for each in proposals] == [
        "Hard Zzrock",
        "Zz'n'Roll; $X",
        "-Zz Wave",
    ]
    for each in proposals:
        subprocess.run(
            ["/bin/sh", "-ec", each["command"]],
            check=True,
            capture_output=True,
            env={"GENRECTL_TARGET": server.target, "PATH": str(BIN), "LC_ALL": "C.UTF-8"},
        )
    assert [genre.name for genre in registry.list_genres()] == [
        *("Hard Zzrock", "Zz'n'Roll; $X", "Tidy Zz", "-Zz Wave")
    ]
    assert run("genrectl", "tidy", GENRECTL_TARGET=server.target).stdout == (
        "All 4 genres are tidy.\n"
    )


def test_the_registry_that_was_asked_is_named(
    server: Server, registry: GenreRegistryClient
) -> None:
    """A command is of use in a shell that knows nothing of --target."""
    registry.get_or_create("zz rock")

    done = run("genrectl", "--target", server.target, "--json", "tidy")

    [line] = done.stdout.splitlines()
    assert json.loads(line)["command"] == f"genrectl --target {server.target} rename 1 'Zz Rock'"
