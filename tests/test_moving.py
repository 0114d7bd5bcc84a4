"""What an application that moves over relies on: its ids, and what a failed import leaves alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, running_server

from worker_client import (
    CurationRefused,
    GenreNotFound,
    GenreRegistryClient,
    InvalidRequest,
    TagSet,
)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[GenreRegistryClient]:
    """A client of a second registry, empty."""
    with (
        running_server(tmp_path / "other.db") as server,
        GenreRegistryClient(server.target) as client,
    ):
        yield client


def taken_in(registry: GenreRegistryClient, records: list[dict[str, Any]], **options: bool) -> Any:
    """Import *records*; return what was created, where ids lead, and reasons of problems."""
    parts = list(registry.import_records(records, **options))
    return (
        sum(part.created for part in parts),
        {each.old_id: each.new_id for part in parts for each in part.mappings},
        [problem.reason for part in parts for problem in part.problems],
    )


def row(genre_id: int, name: str, **more: object) -> dict[str, Any]:
    return {"genre": {"id": genre_id, "name": name, **more}}


def test_an_id_that_was_left_out_is_nobody_elses(registry: GenreRegistryClient) -> None:
    """Something in the application may still hold it: it is not given to a new genre."""
    rows = [row(3, "Zonk"), row(5, "ZONK"), row(9, "")]

    assert taken_in(registry, rows, keep_ids=True) == (1, {3: 3, 5: 3}, ["NAME_EMPTY"])
    assert registry.get_or_create("Zapp").genre.id == 10
    with pytest.raises(GenreNotFound):
        registry.get_genre(9)


def test_kept_ids_can_be_imported_again(registry: GenreRegistryClient) -> None:
    """A caller that missed the answer repeats; other genres with these ids are refused."""
    rows = [row(3, "Zonk"), row(5, "ZONK"), row(7, "Zapp")]
    taken_in(registry, rows, keep_ids=True)
    before = registry.list_page().revision

    assert taken_in(registry, rows, keep_ids=True) == (0, {3: 3, 5: 3, 7: 7}, [])
    assert registry.list_page().revision == before
    with pytest.raises(CurationRefused) as refused:
        taken_in(registry, [row(3, "Zapp")], keep_ids=True)
    assert refused.value.reason == "REGISTRY_NOT_EMPTY"


def test_a_compound_of_a_table_is_no_curators_word(registry: GenreRegistryClient) -> None:
    """It comes whole, is reported each time, waits on the review list, and tags split on."""
    rows = [row(1, "Rock, Pop, Jazz")]

    assert taken_in(registry, rows)[2] == ["COMPOUND"]
    assert taken_in(registry, rows)[2] == ["COMPOUND"]
    assert [review.text for review in registry.list_reviews()] == ["Rock, Pop, Jazz"]
    [tags] = registry.resolve_tags([TagSet(("Rock, Pop, Jazz",))])
    assert [each.genre.name for each in tags.genres] == ["Rock", "Pop", "Jazz"]


def test_an_export_that_points_nowhere_is_refused_whole(
    server: Server, registry: GenreRegistryClient, other: GenreRegistryClient
) -> None:
    """Nothing of it stays, and the next caller is served."""
    registry.get_or_create("Zonk")
    records = list(registry.export_records())
    [genre] = [record for record in records if "genre" in record]
    genre["genre"]["parent_ids"] = [77]

    with pytest.raises(InvalidRequest) as refused:
        list(other.import_records(records))

    assert refused.value.reason == "RECORD_INVALID"
    assert list(other.list_genres(show_deleted=True)) == []
    assert other.get_or_create("Zapp").created


def test_a_chain_of_merges_comes_along_by_name(
    registry: GenreRegistryClient, other: GenreRegistryClient
) -> None:
    """Into a registry that holds something each of its ids leads to the survivor's."""
    ids = [registry.get_or_create(name).genre.id for name in ("Zonk A", "Zonk B", "Zonk C")]
    registry.merge_genres([ids[0]], ids[1])
    registry.merge_genres([ids[1]], ids[2])
    other.get_or_create("Something Else")

    _, mapping, problems = taken_in(other, list(registry.export_records()))

    survivor = other.lookup_genre("Zonk C")
    assert mapping == dict.fromkeys(ids, survivor.id)
    assert problems == []
    assert other.lookup_genre("Zonk A").id == survivor.id


def test_a_genre_is_never_listed_as_its_own_child(registry: GenreRegistryClient) -> None:
    """Its parent was merged into it."""
    child, parent = (registry.get_or_create(name).genre for name in ("Zonk Child", "Zonk Parent"))
    registry.update_genre(child.id, parent_ids=[parent.id])
    registry.merge_genres([parent.id], child.id)

    assert registry.get_genre(child.id).parent_ids == ()
    assert list(registry.list_genres(parent_id=child.id)) == []
