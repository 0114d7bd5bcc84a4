"""`genrectl scan --dry-run`: what a library's tags would become, and nothing is written."""

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, run_installed
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC
from sample_library import SEEDS, make_library

from worker_client import (
    DroppedPart,
    Genre,
    GenreRegistryClient,
    ResolvedGenre,
    ResolvedTags,
    ReviewPart,
)
from worker_client._near import LETTERS_MAX, LETTERS_MIN, bare, near_pairs
from worker_client._tables import CELL_WIDTH_MAX, aligned, plain, quoted
from worker_client.scan.linting import Lint
from worker_client.scan.reporting import ROWS_MAX, lint_tables

# Near-duplicates


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Electronic", "Eletronic"),
        ("Electronic", "Electronica"),
        ("Shoegaze", "Shoegase"),
        ("Krautrock", "Kruatrock"),
        ("Metal", "Metla"),
        ("hyper techno", "hypertechno"),
        ("kaseko", "kasékò"),
        ("R&B", "R.B."),
        ("Drum & Bass", "Drum Bass"),
        ("Synth-Pop", "Synthpop!"),
        ("Trip-Hop", "Trop Hop"),
        ("GRIME", "Grimes"),
        ("Ｓｈｏｅｇａｚｅ", "shoegazer"),
        ("Русский рок", "Руский рок"),
        ("Lo-Fi 90s Pop", "Lo-Fi 90s Poop"),
        ("1a bcd", "a1 bcd"),
    ],
)
def test_names_that_nearly_agree_are_found(first: str, second: str) -> None:
    """One slip of the keyboard, or nothing but accents, punctuation and spaces, lies between."""
    assert list(near_pairs([first, second])) == [(0, 1)]
    assert list(near_pairs([second, "something else", first])) == [(0, 2)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Rock", "Folk"),
        ("Punk", "Funk"),
        ("Ska", "Skas"),
        ("Electronic", "Elctrnic"),
        ("Hard Rock", "Hard Bop"),
        ("1980s", "1990s"),
        ("Top 40", "Top 401"),
        ("90s Rock", "09s Rock"),
        ("!!!", "???"),
        ("र" + "ॉ" + "क", "र" + "ै" + "क"),
        ("x" * (LETTERS_MAX + 1), "x" * (LETTERS_MAX + 2)),
    ],
)
def test_names_that_differ_are_not(first: str, second: str) -> None:
    """Two slips, short names, other digits, and marks that are letters of their script."""
    assert list(near_pairs([first, second])) == []


def distance(first: str, second: str) -> int:
    """Return the least number of slips between two texts, by the textbook."""
    table = [[row + column for column in range(len(second) + 1)] for row in range(len(first) + 1)]
    for row, a in enumerate(first, 1):
        for column, b in enumerate(second, 1):
            table[row][column] = min(
                table[row - 1][column] + 1,
                table[row][column - 1] + 1,
                table[row - 1][column - 1] + (a != b),
            )
            if min(row, column) > 1 and (a, b) == (second[column - 2], first[row - 2]):
                table[row][column] = min(table[row][column], table[row - 2][column - 2] + 1)
    return table[-1][-1]


def digits(text: str) -> list[str]:
    return [c for c in text if c.isdigit()]


def nearly_agree(first: str, second: str) -> bool:
    a, b = bare(first), bare(second)
    return bool(a) and (
        a == b
        or (
            min(len(a), len(b)) >= LETTERS_MIN
            and max(len(a), len(b)) <= LETTERS_MAX
            and digits(a) == digits(b)
            and distance(a, b) == 1
        )
    )


@settings(deadline=None)
@given(st.lists(st.text("abé1 -", min_size=3, max_size=8), max_size=12))
def test_the_fast_way_finds_what_the_slow_way_does(names: list[str]) -> None:
    """Every pair once, the earlier name first, and no other."""
    slow = {
        (a, b)
        for a in range(len(names))
        for b in range(a + 1, len(names))
        if nearly_agree(names[a], names[b])
    }

    fast = list(near_pairs(names))

    assert set(fast) == slow
    assert len(fast) == len(slow)


def test_a_large_library_is_compared_at_once() -> None:
    """Twenty thousand names in the time of a blink; each with each would take minutes."""
    names = [f"{a}{b} {c}{d}o" for a in "bdfgklmnp" for b in VOWELS for c in ENDS for d in ENDS]
    names += [f"genre number {number}" for number in range(20_000 - len(names))]
    names += ["genre nubmer 7"]

    began_s = time.process_time()
    pairs = list(near_pairs(names))

    assert time.process_time() - began_s < 10
    assert (names.index("genre number 7"), len(names) - 1) in pairs


VOWELS = ("aa", "ee", "io", "ou", "uy")
ENDS = ("bar", "cel", "dim", "fon", "gup", "hat", "jer", "kis")


# What is gathered

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def named(genre_id: int, name: str, spelling: str = "", pack: str = "") -> ResolvedGenre:
    """Return what resolving answers for one part, under the key that its name has."""
    genre = Genre(genre_id, name, WHEN, WHEN, 1)
    return ResolvedGenre(genre, False, spelling or name, "R10", name.casefold(), pack)


def test_a_genre_is_one_by_its_id_or_else_by_its_key() -> None:
    """Each batch of a dry run answers anew for what does not exist yet."""
    lint = Lint()
    lint.add(("Dub",), ResolvedTags((named(0, "Dub"),), ()))
    lint.add(("dub",), ResolvedTags((named(0, "dub"),), ()))
    lint.add(("Ska",), ResolvedTags((named(7, "Ska"),), ()))
    lint.add(("Skah",), ResolvedTags((named(7, "Ska", "Skah"),), ()))

    assert [(g.id, g.name, g.tracks) for g in lint.genres] == [(0, "Dub", 2), (7, "Ska", 2)]
    assert [dict(g.spellings) for g in lint.respelled] == [
        {"Dub": 1, "dub": 1},
        {"Ska": 1, "Skah": 1},
    ]


def test_a_genre_that_another_scan_creates_meanwhile_stays_one() -> None:
    """Its id is told as soon as it has one."""
    lint = Lint()
    for genre_id in (0, 12, 0):
        lint.add(("Dub",), ResolvedTags((named(genre_id, "Dub"),), ()))

    assert [(g.id, g.tracks) for g in lint.genres] == [(12, 3)]
    assert [count for _, count in lint.values] == [3]


def test_everything_is_counted_most_frequent_first() -> None:
    """What is fixed first should help most tracks."""
    lint = Lint()
    for times, text in ((1, "Ska"), (3, "Dub"), (2, "Zydeco")):
        for _ in range(times):
            lint.add(
                (text,),
                ResolvedTags(
                    (named(0, text),), (DroppedPart(text, "NO_WORD"),), (ReviewPart(text, "R7"),)
                ),
            )

    counts = [("Dub", 3), ("Zydeco", 2), ("Ska", 1)]
    assert [(values[0], count) for (values, _), count in lint.values] == counts
    assert [(part.text, count) for part, count in lint.dropped] == counts
    assert [(part.text, count) for part, count in lint.review] == counts
    assert [(genre.name, genre.tracks) for genre in lint.genres] == counts


def test_near_duplicates_hold_one_that_no_pack_knows() -> None:
    """What reference packs keep apart is apart on purpose; the more frequent comes first."""
    lint = Lint()
    known = [named(0, "Techno", pack="musicbrainz"), named(0, "Tecno", pack="musicbrainz")]
    slip = named(0, "Techmo")
    for genres in ((known[0],), (known[0],), (known[1],), (slip,)):
        lint.add(("x",), ResolvedTags(genres, ()))

    assert [(a.name, b.name) for a, b in lint.near_duplicates] == [("Techno", "Techmo")]


def test_a_long_table_is_cut_and_says_so() -> None:
    """A screenful for people; the JSON has the rest."""
    lint = Lint()
    for number in range(ROWS_MAX + 5):
        lint.add((f"Genre {number}",), ResolvedTags((named(0, f"Genre {number}"),), ()))

    lines = list(lint_tables(lint))

    assert "  and 5 more; --json shows all" in lines
    assert sum("→" in line for line in lines) == ROWS_MAX


def test_columns_are_in_line_in_every_script() -> None:
    """Wide, combining and invisible characters take the columns that a terminal gives them."""
    rows = [("7", "演歌", "|"), ("12", "e\u0301", "|"), ("130", "plain", "|")]

    assert list(aligned(rows, right=[0])) == [
        "  7  演歌   |",
        " 12  e\u0301      |",
        "130  plain  |",
    ]


@pytest.mark.parametrize("text", ["x" * 10_000, "演" * 10_000, "\0" * 10_000, "\u0301" * 10_000])
def test_no_cell_breaks_the_table(text: str) -> None:
    """However long a value is, and whatever it holds."""
    for cell in (plain(text), quoted(text)):
        assert cell.isprintable()
        assert len(cell) <= 2 * CELL_WIDTH_MAX


# The command


def tag(folder: Path, name: str, *values: str) -> None:
    """Put an audio file with these genres into *folder*."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(SEEDS / "silence.flac", folder / name)
    audio = FLAC(folder / name)
    audio["genre"] = list(values)
    audio.save()


def dry_run(server: Server, folder: Path, *more: str) -> tuple[int, str, str]:
    """Lint *folder* for people; return the exit code, the report and what was said."""
    done = run_installed(
        "genrectl", "--target", server.target, "scan", str(folder), "--dry-run", *more
    )
    return done.returncode, done.stdout, done.stderr


def lint_of(server: Server, folder: Path) -> dict[str, Any]:
    """Lint *folder* for scripts; return the one document."""
    done = run_installed(
        "genrectl", "--target", server.target, "--json", "scan", str(folder), "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def by_raw_values(document: dict[str, Any]) -> dict[tuple[str, ...], list[str]]:
    return {
        tuple(row["raw_values"]): [genre["name"] for genre in row["genres"]]
        for row in document["values"]
    }


def test_a_dry_run_writes_nothing(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """No genre, no revision; and no line a track either."""
    make_library(tmp_path / "music", 100)

    code, report, said = dry_run(server, tmp_path / "music")

    assert code == 0
    page = registry.list_page()
    assert (page.genres, page.revision) == ((), 0)
    assert "100 tracks, 98 with genre tags" in said
    assert "nothing was written" in said
    assert '"path"' not in report


def test_a_dry_run_tells_what_a_scan_does(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Tag by tag the same genres, over many batches."""
    make_library(tmp_path / "music", 200)

    document = lint_of(server, tmp_path / "music")

    scanned = run_installed("genrectl", "--target", server.target, "scan", str(tmp_path / "music"))
    lines = [json.loads(line) for line in scanned.stdout.splitlines()]
    assert by_raw_values(document) == {
        tuple(line["raw_values"]): [genre["name"] for genre in line["genres"]]
        for line in lines
        if line["raw_values"]
    }
    names = [genre["name"] for genre in document["genres"]]
    assert sorted(names) == sorted(genre.name for genre in registry.list_genres())
    assert all(genre["new"] and genre["id"] == 0 for genre in document["genres"])
    assert [row["tracks"] for row in document["values"]] == sorted(
        (row["tracks"] for row in document["values"]), reverse=True
    )


def test_what_is_there_already_has_its_id(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Others are marked as new."""
    dub = registry.get_or_create("Dub").genre
    tag(tmp_path / "music", "a.flac", "DUB; Zeuhlwave")

    document = lint_of(server, tmp_path / "music")

    assert [(g["id"], g["new"], g["name"]) for g in document["values"][0]["genres"]] == [
        (dub.id, False, "Dub"),
        (0, True, "Zeuhlwave"),
    ]
    _, report, _ = dry_run(server, tmp_path / "music")
    assert f"'DUB; Zeuhlwave'  →  Dub ({dub.id}), Zeuhlwave (new)" in report


def test_the_report_names_what_to_look_at(server: Server, tmp_path: Path) -> None:
    """What is dropped, undecided, nearly the same, and written in several ways; with counts."""
    music = tmp_path / "music"
    for number, values in enumerate(
        [
            *[("Unknown", "Zeuhlwave")] * 3,
            *[("Rock/Zeuhlwave",)] * 2,
            ("ZEUHLWAVE",),
            ("Zeulwave",),
        ]
    ):
        tag(music, f"{number}.flac", *values)

    document = lint_of(server, music)

    assert document["tracks"] == document["tagged"] == 7
    assert document["dropped"] == [{"text": "Unknown", "reason": "PLACEHOLDER", "count": 3}]
    assert document["review"] == [{"text": "Rock/Zeuhlwave", "rule": "R7", "count": 2}]
    [pair] = document["near_duplicates"]
    assert [(g["name"], g["pack"], g["tracks"]) for g in pair["genres"]] == [
        ("Zeuhlwave", "", 4),
        ("Zeulwave", "", 1),
    ]
    [zeuhlwave] = [genre for genre in document["genres"] if genre["name"] == "Zeuhlwave"]
    assert zeuhlwave["spellings"] == {"Zeuhlwave": 3, "ZEUHLWAVE": 1}

    code, report, said = dry_run(server, music)
    assert code == 0
    for row in (
        "3  'Unknown'  PLACEHOLDER",
        "2  'Rock/Zeuhlwave'  R7",
        "4  Zeuhlwave (new)       1  Zeulwave (new)",
        "4  Zeuhlwave (new)  'Zeuhlwave' 3, 'ZEUHLWAVE' 1",
    ):
        assert row in report
    assert "1 compound wants review" in said


def test_what_packs_keep_apart_is_no_near_duplicate(server: Server, tmp_path: Path) -> None:
    """MusicBrainz has both "hyper techno" and "hypertechno"; a slip of neither is told."""
    for number, name in enumerate(("hyper techno", "hypertechno", "Zouk", "Zouks")):
        tag(tmp_path / "music", f"{number}.flac", name)

    assert lint_of(server, tmp_path / "music")["near_duplicates"] == []


def test_a_file_that_cannot_be_read_is_told_as_in_a_scan(server: Server, tmp_path: Path) -> None:
    """Exit 1 with its name and the reason; the report covers the rest."""
    tag(tmp_path / "music", "a.flac", "Dub")
    (tmp_path / "music" / "broken.flac").write_bytes(b"fLaC" + bytes(40))

    code, report, said = dry_run(server, tmp_path / "music")

    assert code == 1
    assert "1 files could not be read" in said
    assert "broken.flac" in said
    assert "'Dub'" in report


def test_a_dry_run_without_a_registry_says_so(server: Server, tmp_path: Path) -> None:
    """Every tagged file is unresolved, and the exit code tells it."""
    tag(tmp_path / "music", "a.flac", "Dub")
    server.stop()

    done = run_installed(
        *("genrectl", "--target", server.target, "--deadline-s", "0.5", "--json"),
        *("scan", str(tmp_path / "music"), "--dry-run"),
    )

    assert done.returncode == 1
    document = json.loads(done.stdout)
    [(path, reason)] = document["unresolved"].items()
    assert path == str(tmp_path / "music" / "a.flac")
    assert "could not be reached" in reason
    assert json.loads(done.stderr)["unresolved"] == 1


def test_the_report_goes_where_it_is_told(server: Server, tmp_path: Path) -> None:
    """Into a file; and one that can't be written is named."""
    tag(tmp_path / "music", "a.flac", "Dub")
    output = tmp_path / "report.txt"

    code, printed, _ = dry_run(server, tmp_path / "music", "--output", str(output))

    assert (code, printed) == (0, "")
    assert "'Dub'" in output.read_text(encoding="utf-8")
    code, _, said = dry_run(server, tmp_path / "music", "--output", "/dev/full")
    assert code == 1
    assert "/dev/full: No space left" in said


def test_an_empty_folder_has_an_empty_report(server: Server, tmp_path: Path) -> None:
    """Nothing to tell is told."""
    code, report, _ = dry_run(server, tmp_path)

    assert code == 0
    assert "What would be dropped: nothing." in report


def test_a_scan_tells_what_wants_review(server: Server, tmp_path: Path) -> None:
    """In the track's line, and counted in the summary, each compound once."""
    for name in ("a.flac", "b.flac", "c.flac"):
        tag(tmp_path / "music", name, "Rock/Zeuhlwave" if name != "c.flac" else "Dub/Zeuhlwave")
    tag(tmp_path / "music", "d.flac", "Dub")

    done = run_installed("genrectl", "--target", server.target, "scan", str(tmp_path / "music"))

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("review") for line in lines] == [
        [{"text": "Rock/Zeuhlwave", "rule": "R7"}],
        [{"text": "Rock/Zeuhlwave", "rule": "R7"}],
        [{"text": "Dub/Zeuhlwave", "rule": "R7"}],
        None,
    ]
    assert "2 compounds want review" in done.stderr
