"""Listing by parent and with deleted genres: each once, by id, whatever changes meanwhile."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from conftest import Server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class Lister:
    """The generated stubs, and what these tests do with them."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.registry: Any = pb_grpc.GenreRegistryStub(channel)
        self.curation: Any = pb_grpc.GenreCurationStub(channel)

    def create(self, *names: str) -> list[int]:
        reply = self.registry.BatchGetOrCreate(pb.BatchGetOrCreateRequest(names=names))
        return [result.resolved.genre.id for result in reply.results]

    def put_under(self, parent_id: int, *ids: int) -> None:
        for genre_id in ids:
            genre = pb.Genre(id=genre_id, parent_ids=[parent_id])
            self.curation.UpdateGenre(pb.UpdateGenreRequest(genre=genre))

    def page(self, **fields: Any) -> pb.ListGenresResponse:
        page: pb.ListGenresResponse = self.registry.ListGenres(pb.ListGenresRequest(**fields))
        return page

    def ids(self, **fields: Any) -> list[int]:
        """Return the ids of every page, three genres at a time."""
        found: list[int] = []
        token = ""
        while True:
            page = self.page(page_size=3, page_token=token, **fields)
            found += [genre.id for genre in page.genres]
            token = page.next_page_token
            if not token:
                return found

    def reason(self, **fields: Any) -> str:
        """Return why a page is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.page(**fields)
        rich = rpc_status.from_call(caught.value)
        info = error_details_pb2.ErrorInfo()
        assert rich is not None
        assert rich.details[0].Unpack(info)
        return str(info.reason)


@pytest.fixture
def lister(server: Server) -> Iterator[Lister]:
    with grpc.insecure_channel(server.target) as channel:
        yield Lister(channel)


def test_children_are_listed_by_parent(lister: Lister) -> None:
    """Directly below it only, page by page, by ascending id."""
    top, middle, *rest = lister.create("Top", "Middle", *(f"Child {n}" for n in range(8)))
    lister.put_under(top, middle, *rest[:7])
    lister.put_under(middle, rest[7])

    assert lister.ids(parent_id=top) == [middle, *rest[:7]]
    assert lister.ids(parent_id=middle) == [rest[7]]
    assert lister.ids(parent_id=rest[7]) == []


def test_children_follow_a_merge_and_its_undoing(lister: Lister) -> None:
    """Either id lists what the survivor has; afterwards each its own; no child twice."""
    left, right, a, b, both = lister.create("Left", "Right", "A 1", "B 1", "Both")
    lister.put_under(left, a)
    lister.put_under(right, b)
    genre = pb.Genre(id=both, parent_ids=[left, right])
    lister.curation.UpdateGenre(pb.UpdateGenreRequest(genre=genre))

    lister.curation.MergeGenres(pb.MergeGenresRequest(source_ids=[left], target_id=right))
    assert lister.ids(parent_id=right) == lister.ids(parent_id=left) == [a, b, both]
    assert [list(g.parent_ids) for g in lister.page(parent_id=right).genres] == [[right]] * 3

    lister.curation.UnmergeGenre(pb.UnmergeGenreRequest(source_id=left))
    assert lister.ids(parent_id=left) == [a, both]
    assert lister.ids(parent_id=right) == [b, both]


def test_a_merged_child_is_listed_as_its_survivor_alone(lister: Lister) -> None:
    """The target keeps its own parents, so that a source's are no longer listed."""
    parent, child, survivor = lister.create("Parent", "Child", "Survivor")
    lister.put_under(parent, child)

    lister.curation.MergeGenres(pb.MergeGenresRequest(source_ids=[child], target_id=survivor))

    assert lister.ids(parent_id=parent) == []
    assert lister.ids() == lister.ids(show_deleted=True) == [parent, survivor]


def test_deleted_genres_are_listed_when_asked_for(lister: Lister) -> None:
    """With their state, in their place; below a parent too."""
    parent, *ids = lister.create("Parent", *(f"Child {n}" for n in range(5)))
    lister.put_under(parent, *ids)
    for genre_id in (ids[1], ids[4]):
        lister.curation.DeleteGenre(pb.DeleteGenreRequest(id=genre_id))

    assert lister.ids() == [parent, ids[0], ids[2], ids[3]]
    assert lister.ids(show_deleted=True) == [parent, *ids]
    assert lister.ids(parent_id=parent) == [ids[0], ids[2], ids[3]]
    assert lister.ids(parent_id=parent, show_deleted=True) == ids
    states = {genre.id: genre.state for genre in lister.page(show_deleted=True).genres}
    assert states[ids[1]] == pb.GENRE_STATE_DELETED
    assert states[ids[0]] == pb.GENRE_STATE_ACTIVE


def test_pages_hold_though_genres_come_and_go_between_them(lister: Lister) -> None:
    """What was there all along is listed exactly once, in order."""
    ids = lister.create(*(f"Genre {n}" for n in range(12)))
    found: list[int] = []
    token = ""
    for turn in range(12):
        page = lister.page(page_size=2, page_token=token)
        found += [genre.id for genre in page.genres]
        token = page.next_page_token
        if not token:
            break
        if turn < 3:
            request = pb.MergeGenresRequest(source_ids=[ids[turn * 2]], target_id=ids[11])
            lister.curation.MergeGenres(request)
            lister.curation.DeleteGenre(pb.DeleteGenreRequest(id=ids[turn * 2 + 1]))
            lister.create(f"New {turn}")

    assert found == sorted(set(found))
    assert set(ids[6:]) < set(found)


def test_a_token_is_good_for_its_own_filters_alone(lister: Lister) -> None:
    """Another parent, or deleted ones too, is another listing."""
    parent, other, *ids = lister.create("Parent", "Other", *(f"Child {n}" for n in range(5)))
    lister.put_under(parent, *ids)
    token = lister.page(page_size=2, parent_id=parent).next_page_token

    assert lister.page(page_token=token, parent_id=parent).genres
    for filters in ({}, {"parent_id": other}, {"parent_id": parent, "show_deleted": True}):
        assert lister.reason(page_token=token, **filters) == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("parent_id", [7, -1, 2**63 - 1, -(2**63)])
def test_an_unknown_parent_is_said_to_be_unknown(lister: Lister, parent_id: int) -> None:
    """An empty page would say that it has no children."""
    lister.create("Rock")

    assert lister.reason(parent_id=parent_id) == "GENRE_NOT_FOUND"
