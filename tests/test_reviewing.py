"""Compounds that no rule can decide: answered as such, and kept, once each, for a curator."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from conftest import Server, StartServer

from worker_client import GenreRegistryClient, TagContainer, TagSet


@dataclass(frozen=True, slots=True)
class Review:
    """A row of the review list."""

    text: str
    rule: str
    raw_value: str
    first_seen_us: int
    times_seen: int


def reviews(database: Path) -> dict[str, Review]:
    """Return the review list of a database that nobody serves, by key."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT lookup_key, text, rule, raw_value, first_seen_us, times_seen FROM review"
        )
        return {key: Review(*row) for key, *row in rows}


def tag(*values: str) -> TagSet:
    return TagSet(values)


def test_what_is_undecided_is_a_genre_and_on_the_list(server: Server) -> None:
    """The answer tells which parts wait for a curator, and which rule could not decide."""
    begun_us = time.time_ns() // 1000
    with GenreRegistryClient(server.target) as client:
        slash, comma, decided = client.resolve_tags(
            [tag("Dub; Rock/AltRock"), tag("Jazz, R&B, and Soul"), tag("AC/DC; Rock/Pop")]
        )
    server.stop()

    assert [genre.spelling for genre in slash.genres] == ["Dub", "Rock/AltRock"]
    assert [(each.text, each.rule) for each in slash.review] == [("Rock/AltRock", "R7")]
    assert [(each.text, each.rule) for each in comma.review] == [("Jazz, R&B, and Soul", "R8")]
    assert decided.review == ()
    listed = reviews(server.database)
    assert sorted(listed) == ["jazz, r and b, and soul", "rock/altrock"]
    row = listed["rock/altrock"]
    assert (row.text, row.rule, row.times_seen) == ("Rock/AltRock", "R7", 1)
    assert row.raw_value == "Dub; Rock/AltRock"
    assert begun_us <= row.first_seen_us <= time.time_ns() // 1000


def test_a_compound_is_listed_once_and_counted(server: Server) -> None:
    """Over values, batches and calls, however it is spelled; the first spelling stays."""
    with GenreRegistryClient(server.target) as client:
        client.resolve_tags([tag("Rock/AltRock"), tag("ROCK/ALTROCK"), tag("Dub; rock/altrock")])
        client.resolve_tags([tag("Rock/AltRock")])
        client.resolve_tags([tag("Jazz/Nonsuch"), tag("rock/ALTROCK; Dub")])
        client.resolve_tags([tag("Rock/AltRock")] * 5)
    server.stop()

    listed = reviews(server.database)
    assert {key: row.times_seen for key, row in listed.items()} == {
        "rock/altrock": 10,
        "jazz/nonsuch": 1,
    }
    row = listed["rock/altrock"]
    assert (row.text, row.raw_value) == ("Rock/AltRock", "Rock/AltRock")


def test_the_list_names_the_value_that_held_the_compound(server: Server) -> None:
    """Of several delivered values the one, decoded or not; a huge one is cut."""
    huge = "Zorp; " * 300 + "Jazz/Huge"
    with GenreRegistryClient(server.target) as client:
        client.resolve_tags(
            [
                tag("Unknown", "Rock/First"),
                TagSet(("(17)Soul; Rock &amp; Pop/Second",), TagContainer.ID3V23),
                tag("", "Dub;  Rock/  Third"),
                tag(huge[-400:]),
            ]
        )
    server.stop()

    raw_values = {row.text: row.raw_value for row in reviews(server.database).values()}
    assert raw_values["Rock/First"] == "Rock/First"
    assert raw_values["Rock/ Third"] == "Dub;  Rock/  Third"
    assert len(raw_values["Jazz/Huge"]) <= 1000


def test_a_second_scan_writes_nothing_while_it_runs(start_server: StartServer) -> None:
    """Sightings are counted in memory and written at the orderly end; so after a restart."""
    tags = [tag("Rock/AltRock"), tag("Jazz, R&B, and Soul"), tag("Dub/Zorp; Rock"), tag("Rock")]
    server = start_server()
    with GenreRegistryClient(server.target) as client:
        client.resolve_tags(tags)
        written, revision = server.written_bytes(), client.list_page().revision
        for _ in range(3):
            client.resolve_tags(tags)
        assert server.written_bytes() == written
        assert client.list_page().revision == revision
    server.stop()
    first = reviews(server.database)

    server = start_server()
    with GenreRegistryClient(server.target) as client:
        written = server.written_bytes()
        for _ in range(2):
            client.resolve_tags(tags)
        assert server.written_bytes() == written
    server.stop()

    assert {row.times_seen for row in first.values()} == {4}
    again = reviews(server.database)
    assert {row.times_seen for row in again.values()} == {6}
    assert [r.first_seen_us for r in again.values()] == [r.first_seen_us for r in first.values()]


def test_counts_go_with_the_next_write(server: Server) -> None:
    """A power cut loses no more than what was counted since something was written."""
    with GenreRegistryClient(server.target) as client:
        for _ in range(3):
            client.resolve_tags([tag("Rock/AltRock")])
        client.get_or_create("Dub")
        client.resolve_tags([tag("Rock/AltRock")])
    server.kill()

    assert reviews(server.database)["rock/altrock"].times_seen == 3


def test_what_is_only_validated_is_not_written(server: Server) -> None:
    """A genre that would be created has no id yet, and one key for all of its spellings."""
    values = ["dnb", "Drum & Bass", "DRUM'N'BASS", "Rock/AltRock", "rock/altrock", "zorp", "Dub"]
    with GenreRegistryClient(server.target) as client:
        dub = client.get_or_create("Dub").genre
        written = server.written_bytes()
        results = client.resolve_tags([tag(value) for value in values], validate_only=True)
        again = client.resolve_tags([tag(value) for value in values], validate_only=True)
        assert server.written_bytes() == written
        assert list(client.list_genres()) == [dub]
    server.stop()

    answers = [each for result in results for each in result.genres]
    keys = [each.key for each in answers]
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] == keys[4]
    assert len(set(keys)) == 4
    assert [each.genre.id for each in answers] == [0, 0, 0, 0, 0, 0, dub.id]
    assert [each.genre.name for each in answers[:3]] == ["Drum and Bass"] * 3
    assert [len(result.review) for result in results] == [0, 0, 0, 1, 1, 0, 0]
    assert [each.created for each in answers[-1:]] == [False]
    assert again == results
    assert reviews(server.database) == {}


def test_validating_foretells_what_resolving_does(registry: GenreRegistryClient) -> None:
    """The same spellings, rules, keys, drops and reviews; only ids are still to come."""
    tags = [tag("Hip-Hop/R&B"), tag("Rock/AltRock; Unknown"), tag("dnb", "Drum and Bass"), tag("")]
    foretold = registry.resolve_tags(tags, validate_only=True)

    done = registry.resolve_tags(tags)

    assert [
        [(g.spelling, g.rule, g.key, g.created, g.genre.name) for g in each.genres] for each in done
    ] == [
        [(g.spelling, g.rule, g.key, g.created, g.genre.name) for g in each.genres]
        for each in foretold
    ]
    assert [(each.dropped, each.review) for each in done] == [
        (each.dropped, each.review) for each in foretold
    ]
