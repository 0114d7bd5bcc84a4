"""`genrectl duplicates`: pairs that probably are one genre, and the commands that merge them."""

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import BIN, Server, run

from worker_client import Genre, GenreRegistryClient, GenreState
from worker_client._duplicates import Likeness, duplicates

THEN = datetime(2026, 11, 22, tzinfo=UTC)


def genre(genre_id: int, name: str, *aliases: str, **more: Any) -> Genre:
    """Return a genre; its MusicBrainz id may be given as `mb`."""
    if "mb" in more:
        more["external_ids"] = {"musicbrainz": more.pop("mb"), **more.get("external_ids", {})}
    return Genre(genre_id, name, THEN, THEN, 1, aliases=aliases, **more)


def pairs(*genres: Genre, **options: bool) -> list[tuple[int, int]]:
    """Return which is merged into which."""
    return [(pair.source.id, pair.target.id) for pair in duplicates(genres, **options)]


@pytest.mark.parametrize(
    ("first", "second", "likeness"),
    [
        (("Triphop",), ("Trip-Hop",), Likeness.SAME_LETTERS),
        (("kaseko",), ("Kasékò",), Likeness.SAME_LETTERS),
        (("R.B.",), ("R&B",), Likeness.SAME_LETTERS),
        (("Synthpop!",), ("synth pop",), Likeness.SAME_LETTERS),
        (("Eletronic",), ("Electronic",), Likeness.ONE_SLIP),
        (("Kruatrock",), ("Krautrock",), Likeness.ONE_SLIP),
        (("Loud", "Shoegase"), ("Dream Pop", "Shoegaze"), Likeness.ONE_SLIP),
        (("D & B",), ("Drum and Bass", "d.b."), Likeness.SAME_LETTERS),
    ],
)
def test_likely_pairs_are_found(
    first: tuple[str, ...], second: tuple[str, ...], likeness: Likeness
) -> None:
    """By letters or a slip, in names and aliases; the texts that are alike are told."""
    [pair] = duplicates([genre(1, *first), genre(2, "Polka"), genre(3, *second)])

    assert pair.likeness is likeness
    assert (pair.target.id, pair.target_spelling) == (1, first[-1])
    assert (pair.source.id, pair.source_spelling) == (3, second[-1])


@pytest.mark.parametrize(
    "genres",
    [
        (genre(1, "Rock"), genre(2, "Folk")),
        (genre(1, "1980s"), genre(2, "1990s")),
        (genre(1, "Shoegaze", "Shoe-Gaze", "Shoegase"),),
        (genre(1, "Triphop", state=GenreState.DELETED), genre(2, "Trip-Hop")),
    ],
)
def test_others_are_not(genres: tuple[Genre, ...]) -> None:
    """Short or numbered names, one genre's own aliases, and what is deleted."""
    assert pairs(*genres) == []


@pytest.mark.parametrize(
    "genres",
    [
        (genre(1, "hyper techno", mb="a"), genre(2, "hypertechno", mb="b")),
        (genre(1, "Electronic"), genre(2, "Electronica", parent_ids=(1,))),
        (genre(1, "Electronica", parent_ids=(2,)), genre(2, "Electronic")),
    ],
)
def test_pairs_that_are_known_to_be_two_are_told_on_demand(genres: tuple[Genre, ...]) -> None:
    """What MusicBrainz keeps apart, and a genre and its kind."""
    assert pairs(*genres) == []
    assert len(pairs(*genres, with_different=True)) == 1


@pytest.mark.parametrize(
    ("genres", "merged"),
    [
        ((genre(1, "Triphop"), genre(2, "Trip-Hop")), (2, 1)),
        ((genre(1, "Triphop"), genre(2, "Trip-Hop", mb="a")), (1, 2)),
        ((genre(1, "Triphop"), genre(2, "Trip-Hop"), genre(3, "x", parent_ids=(2,))), (1, 2)),
        (
            (genre(1, "Triphop", mb="a"), genre(2, "Trip-Hop"), genre(3, "x", parent_ids=(2,))),
            (2, 1),
        ),
    ],
)
def test_the_better_linked_genre_survives(
    genres: tuple[Genre, ...], merged: tuple[int, int]
) -> None:
    """With more ids elsewhere, else with more children, else the older."""
    assert pairs(*genres) == [merged]


def test_one_musicbrainz_id_is_reason_enough() -> None:
    """However different the names; no registry should hold such a pair."""
    [pair] = duplicates([genre(1, "Jazz", mb="a"), genre(2, "Swing", mb="a")])

    assert pair.likeness is Likeness.SAME_MUSICBRAINZ_ID


def test_a_pair_is_told_once_by_its_best_reason() -> None:
    """Names before aliases, letters before slips, the likeliest pairs first."""
    found = duplicates(
        [
            genre(1, "Shoegaze", "shoegazing"),
            genre(2, "Shoegaze!", "shoegazin", "shoegazes"),
            genre(3, "Shoegase"),
        ]
    )

    assert [(pair.source.id, pair.target.id, pair.likeness.name) for pair in found] == [
        (2, 1, "SAME_LETTERS"),
        (3, 1, "ONE_SLIP"),
        (3, 2, "ONE_SLIP"),
    ]
    assert (found[0].source_spelling, found[0].target_spelling) == ("Shoegaze!", "Shoegaze")


def test_a_large_registry_is_compared_at_once() -> None:
    """Each with each would take minutes."""
    parts = ["bado", "kefi", "lomu", "nira", "pesu", "tavo", "zilu", "goma", "hude", "jopi"]
    genres = [
        genre(number, f"{a}{b} {c}{d}", f"{d}-{c}-{b}-{a}")
        for number, (a, b, c, d) in enumerate(
            ((a, b, c, d) for a in parts for b in parts for c in parts for d in parts), 1
        )
    ]

    began_s = time.process_time()
    duplicates(genres)

    assert time.process_time() - began_s < 20


# The command


def test_commands_are_proposed_and_work(server: Server, registry: GenreRegistryClient) -> None:
    """As they are printed; nothing has changed before."""
    for name in ("Zzgazer", "Zz-Gazer!", "Polka"):
        registry.get_or_create(name)
    before = list(registry.list_genres())

    table = run("genrectl", "duplicates", GENRECTL_TARGET=server.target)
    done = run("genrectl", "--json", "duplicates", GENRECTL_TARGET=server.target)

    assert list(registry.list_genres()) == before
    assert " ".join(table.stdout.splitlines()[1].split()) == (
        "2 Zz-Gazer! 1 Zzgazer same letters genrectl merge 2 --into 1"
    )
    assert json.loads(done.stdout) == {
        "likeness": "SAME_LETTERS",
        "source": {"id": 2, "name": "Zz-Gazer!", "spelling": "Zz-Gazer!"},
        "target": {"id": 1, "name": "Zzgazer", "spelling": "Zzgazer"},
        "command": "genrectl merge 2 --into 1 --yes",
    }
    subprocess.run(
        ["/bin/sh", "-ec", json.loads(done.stdout)["command"]],
        check=True,
        capture_output=True,
        env={"GENRECTL_TARGET": server.target, "PATH": str(BIN), "LC_ALL": "C.UTF-8"},
    )
    assert registry.get_genre(2).id == 1
    assert run("genrectl", "duplicates", GENRECTL_TARGET=server.target).stdout == (
        "No two of 2 genres are alike.\n"
    )


def test_what_a_curator_keeps_apart_is_not_proposed_again(
    server: Server, registry: GenreRegistryClient
) -> None:
    """One who undid a merge, or pinned a spelling, has looked at the pair."""
    for name in ("Zzgazer", "Zz-Gazer", "Yy Wave"):
        registry.get_or_create(name)
    registry.merge_genres([2], 1)
    registry.unmerge_genre(2)
    registry.distinguish_spelling("Yy-Wave")

    proposed = run("genrectl", "duplicates", GENRECTL_TARGET=server.target)
    known = run("genrectl", "--json", "duplicates", "--all", GENRECTL_TARGET=server.target)

    assert proposed.stdout == "No two of 4 genres are alike.\n"
    assert len(known.stdout.splitlines()) == 2
