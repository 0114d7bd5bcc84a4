"""Each mend: what it does, how it is refused, what makes no revision, what the journal tells."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import grpc
import pytest
from conftest import Server, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreCurationStub
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from worker_client import (
    ChangeType,
    Genre,
    GenreNotFound,
    GenreRegistryClient,
    GenreState,
    RegistryError,
    Settlement,
    SpellingBlocked,
    TagSet,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that the tests of this file share: each brings genres of its own."""
    with running_server(tmp_path_factory.mktemp("shared") / "registry.db") as server:
        yield server


@pytest.fixture(scope="module")
def registry(shared: Server) -> Iterator[GenreRegistryClient]:
    with GenreRegistryClient(shared.target) as client:
        yield client


@pytest.fixture(scope="module")
def curation(shared: Server) -> Iterator[GenreCurationStub]:
    """The bare stub: for masks, statuses and details."""
    with grpc.insecure_channel(shared.target) as channel:
        yield GenreCurationStub(channel)


def create(registry: GenreRegistryClient, *names: str) -> list[Genre]:
    return [registry.get_or_create(name).genre for name in names]


def refusal(call: Callable[[], object]) -> tuple[str, dict[str, str]]:
    """Return the reason and the metadata that *call* is refused with."""
    with pytest.raises(RegistryError) as caught:
        call()
    return caught.value.reason, dict(caught.value.metadata)


# Renaming and describing


def test_a_rename_leaves_the_old_name_as_an_alias(registry: GenreRegistryClient) -> None:
    """The id holds; both names reach it; a name that differs in case alone leaves no alias."""
    [zonk] = create(registry, "ren zonk")

    renamed = registry.update_genre(zonk.id, name="Ren Quibble")
    recased = registry.update_genre(zonk.id, name="REN QUIBBLE")

    assert (renamed.id, renamed.name, renamed.aliases) == (zonk.id, "Ren Quibble", ("ren zonk",))
    assert (recased.name, recased.aliases) == ("REN QUIBBLE", ("ren zonk",))
    assert registry.lookup_genre("Ren-Zonk") == registry.lookup_genre("ren quibble") == recased
    again = registry.update_genre(zonk.id, name="Ren Zonk")
    assert (again.name, again.aliases) == ("Ren Zonk", ("REN QUIBBLE",))


def test_a_mask_says_which_fields_are_replaced(
    registry: GenreRegistryClient, curation: GenreCurationStub
) -> None:
    """What it names is emptied if it is empty; what it does not name stays, whatever is sent."""
    zonk, parent = create(registry, "Mask Zonk", "Mask Parent")
    registry.update_genre(zonk.id, description="old", external_ids={"lastfm": "mask-zonk"})

    def update(genre: pb.Genre, *paths: str) -> pb.Genre:
        request = pb.UpdateGenreRequest(genre=genre, update_mask=FieldMask(paths=paths))
        return curation.UpdateGenre(request, timeout=20).genre

    only = update(
        pb.Genre(id=zonk.id, name="Mask Other", parent_ids=[parent.id], description="new"),
        "parent_ids",
    )
    assert (only.name, only.description, list(only.parent_ids)) == ("Mask Zonk", "old", [parent.id])
    emptied = update(pb.Genre(id=zonk.id), "parent_ids", "external_ids", "description")
    assert (list(emptied.parent_ids), dict(emptied.external_ids), emptied.description) == (
        *([], {}),
        "",
    )
    assert update(pb.Genre(id=zonk.id, description="no"), *()) == emptied
    unset = curation.UpdateGenre(
        pb.UpdateGenreRequest(genre=pb.Genre(id=zonk.id, description="set")), timeout=20
    ).genre
    assert (unset.name, unset.description) == ("Mask Zonk", "set")


@pytest.mark.parametrize(
    ("genre", "paths", "reason", "field"),
    [
        (pb.Genre(name="x"), ["aliases"], "UPDATE_MASK_INVALID", "update_mask"),
        (pb.Genre(name="x"), ["name", "id"], "UPDATE_MASK_INVALID", "update_mask"),
        (pb.Genre(), ["name"], "NAME_EMPTY", "genre.name"),
        (pb.Genre(name="x" * 201), ["name"], "NAME_TOO_LONG", "genre.name"),
        (pb.Genre(name="-"), ["name"], "NAME_WITHOUT_KEY", "genre.name"),
        (
            pb.Genre(description="x" * 2001),
            *(["description"], "DESCRIPTION_TOO_LONG", "genre.description"),
        ),
        (
            pb.Genre(external_ids={"me": "1"}),
            *(["external_ids"], "EXTERNAL_ID_INVALID", "genre.external_ids"),
        ),
        (
            pb.Genre(external_ids={"discogs": ""}),
            *(["external_ids"], "EXTERNAL_ID_INVALID", "genre.external_ids"),
        ),
        (
            pb.Genre(external_ids={"discogs": "a b"}),
            *(["external_ids"], "EXTERNAL_ID_INVALID", "genre.external_ids"),
        ),
    ],
)
def test_a_wrong_value_names_its_field(
    registry: GenreRegistryClient,
    curation: GenreCurationStub,
    genre: pb.Genre,
    paths: list[str],
    reason: str,
    field: str,
) -> None:
    """INVALID_ARGUMENT, and nothing is changed."""
    [before] = create(registry, "Wrong Zonk")
    request = pb.UpdateGenreRequest(genre=genre, update_mask=FieldMask(paths=paths))
    request.genre.id = before.id

    with pytest.raises(grpc.RpcError) as raised:
        curation.UpdateGenre(request, timeout=20)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(raised.value).details:
        detail.Unpack(info)
        detail.Unpack(bad)
    assert (info.reason, [each.field for each in bad.field_violations]) == (reason, [field])
    assert registry.get_genre(before.id) == before


def test_an_update_that_is_refused_changes_nothing_at_all(registry: GenreRegistryClient) -> None:
    """The name that could be had is not had either, if the parents can't be."""
    [zonk] = create(registry, "Half Zonk")

    assert refusal(
        lambda: registry.update_genre(zonk.id, name="Half Quibble", parent_ids=[zonk.id])
    ) == ("PARENT_CYCLE", {"genre_id": str(zonk.id), "parent_id": str(zonk.id)})

    assert registry.get_genre(zonk.id) == zonk
    assert registry.get_or_create("Half Quibble").created


# Refusals


def test_what_is_anothers_stays_anothers(registry: GenreRegistryClient) -> None:
    """The metadata says whose it is."""
    zonk, other, gone = create(registry, "Tak Zonk", "Tak Other", "Tak Gone")
    registry.add_alias(other.id, "Tak Alias")
    registry.update_genre(other.id, external_ids={"discogs": "tak"})
    registry.delete_genre(gone.id)
    registry.block_spelling("Tak Blocked")
    taken = {"spelling": "tak-alias", "genre_id": str(other.id)}

    calls: list[Callable[[str], object]] = [
        lambda text: registry.add_alias(zonk.id, text),
        lambda text: registry.update_genre(zonk.id, name=text),
    ]
    for call in calls:
        assert refusal(partial(call, "tak-alias")) == ("SPELLING_TAKEN", taken)
        assert refusal(partial(call, "tak-other"))[0] == "SPELLING_TAKEN"
        assert refusal(partial(call, "TAK BLOCKED")) == (
            "SPELLING_BLOCKED",
            {"spelling": "TAK BLOCKED"},
        )
        assert refusal(partial(call, "tak_gone")) == (
            "SPELLING_BLOCKED",
            {"spelling": "tak_gone", "genre_id": str(gone.id)},
        )
    assert refusal(lambda: registry.update_genre(zonk.id, external_ids={"discogs": "tak"})) == (
        "EXTERNAL_ID_TAKEN",
        {"whose": "discogs", "value": "tak", "genre_id": str(other.id)},
    )
    assert registry.get_genre(zonk.id) == zonk


def test_merged_and_deleted_ids_are_refused(registry: GenreRegistryClient) -> None:
    """By every mend that names a genre; a merged one says which to name instead."""
    survivor, merged, gone = create(registry, "Idz Survivor", "Idz Merged", "Idz Gone")
    registry.add_alias(gone.id, "Idz Alias")
    registry.merge_genres([merged.id], survivor.id)
    registry.delete_genre(gone.id)
    mends: list[Callable[[int], object]] = [
        lambda i: registry.update_genre(i, description="x"),
        lambda i: registry.add_alias(i, "Idz More"),
        lambda i: registry.remove_alias(i, "Idz Alias"),
        lambda i: registry.distinguish_spelling("Idz-Pinned", i),
    ]
    before = registry.list_page(page_size=1).revision

    for mend in mends:
        assert refusal(partial(mend, merged.id)) == (
            "GENRE_MERGED",
            {"genre_id": str(merged.id), "redirected_to_id": str(survivor.id)},
        )
        assert refusal(partial(mend, gone.id)) == (
            "GENRE_DELETED",
            {"genre_id": str(gone.id)},
        )
        with pytest.raises(GenreNotFound) as caught:
            mend(1 << 40)
        assert caught.value.reason == "GENRE_NOT_FOUND"
    for mend in (registry.delete_genre, registry.undelete_genre):
        assert refusal(partial(mend, merged.id))[0] == "GENRE_MERGED"
    assert refusal(lambda: registry.merge_genres([gone.id], survivor.id))[0] == "GENRE_DELETED"
    assert refusal(lambda: registry.merge_genres([survivor.id], gone.id))[0] == "GENRE_DELETED"
    assert refusal(lambda: registry.update_genre(survivor.id, parent_ids=[gone.id]))[0] == (
        "GENRE_DELETED"
    )
    assert refusal(lambda: registry.unmerge_genre(survivor.id)) == (
        "GENRE_NOT_MERGED",
        {"genre_id": str(survivor.id)},
    )
    assert registry.list_page(page_size=1).revision == before


# Spellings


def test_a_deleted_genre_blocks_what_reaches_it(registry: GenreRegistryClient) -> None:
    """Its name and aliases; undeleting lifts just that, and leaves a curator's own block."""
    [zonk] = create(registry, "Del Zonk")
    registry.add_alias(zonk.id, "Del Alias")
    registry.block_spelling("Del Block")
    deleted = registry.delete_genre(zonk.id)

    assert deleted.state is GenreState.DELETED
    for spelling in ("del-zonk", "del-alias", "del-block"):
        with pytest.raises(SpellingBlocked):
            registry.get_or_create(spelling)
    [answer] = registry.resolve_tags([TagSet(("Del Zonk", "Del Alias", "Del Block"))])
    assert answer.genres == ()
    assert {part.reason for part in answer.dropped} == {"SPELLING_BLOCKED"}
    assert refusal(lambda: registry.unblock_spelling("Del Alias"))[0] == "GENRE_DELETED"
    back = registry.undelete_genre(zonk.id)
    assert (back.state, back.name, back.aliases) == (GenreState.ACTIVE, "Del Zonk", ("Del Alias",))
    assert registry.lookup_genre("del alias") == back
    assert refusal(lambda: registry.lookup_genre("Del Block"))[0] == "SPELLING_BLOCKED"


def test_a_name_is_neither_removed_nor_blocked(registry: GenreRegistryClient) -> None:
    """SPELLING_IS_NAME; an alias is, and is then free, or nobody's."""
    [zonk] = create(registry, "Nam Zonk")
    registry.add_alias(zonk.id, "Nam One")
    registry.add_alias(zonk.id, "Nam Two")
    named = {"spelling": "nam-zonk", "genre_id": str(zonk.id)}

    assert refusal(lambda: registry.remove_alias(zonk.id, "nam-zonk")) == (
        "SPELLING_IS_NAME",
        named,
    )
    assert refusal(lambda: registry.block_spelling("nam-zonk")) == ("SPELLING_IS_NAME", named)
    assert registry.remove_alias(zonk.id, "NAM-ONE").aliases == ("Nam Two",)
    assert registry.get_or_create("Nam One").created
    loser = registry.block_spelling("nam_two")
    assert loser is not None
    assert loser.aliases == ()
    assert refusal(lambda: registry.get_or_create("Nam Two"))[0] == "SPELLING_BLOCKED"
    registry.unblock_spelling("NAM TWO")
    assert refusal(lambda: registry.unblock_spelling("Nam Two"))[0] == "SPELLING_NOT_FOUND"
    assert registry.get_or_create("Nam Two").created


def test_every_alias_that_is_shown_reaches_its_genre(registry: GenreRegistryClient) -> None:
    """Also when the way it was written is pinned to another genre afterwards."""
    [zonk] = create(registry, "Shown Zonk")
    registry.add_alias(zonk.id, "shown bel")

    pinned = registry.distinguish_spelling("Shown Bel").genre

    assert registry.lookup_genre("shown bel").id == pinned.id != zonk.id
    assert registry.lookup_genre("shown-bel").id == zonk.id
    [alias] = registry.get_genre(zonk.id).aliases
    assert registry.lookup_genre(alias).id == zonk.id


def test_a_pin_of_a_deleted_genre_is_blocked(registry: GenreRegistryClient) -> None:
    """To distinguish it again does not answer with what was deleted."""
    create(registry, "Pin Bel")
    pinned = registry.distinguish_spelling("Pin-Bel").genre
    assert refusal(lambda: registry.distinguish_spelling("pin bel"))[0] == "SPELLING_IS_NAME"
    registry.delete_genre(pinned.id)

    assert refusal(lambda: registry.distinguish_spelling("Pin-Bel")) == (
        "SPELLING_BLOCKED",
        {"spelling": "Pin-Bel", "genre_id": str(pinned.id)},
    )


# What makes no revision, and what the journal tells


def test_what_is_as_asked_makes_no_revision(registry: GenreRegistryClient) -> None:
    """Every mend, made twice, is one change."""
    zonk, parent, source, gone = create(registry, "Noo Zonk", "Noo Up", "Noo Src", "Noo Gone")
    registry.resolve_tags([TagSet(("Rock/Noo Zonkish",))])
    mends: list[Callable[[], object]] = [
        lambda: registry.update_genre(
            zonk.id,
            name="Noo Named",
            description="d",
            parent_ids=[parent.id],
            external_ids={"discogs": "noo"},
        ),
        lambda: registry.add_alias(zonk.id, "Noo Alias"),
        lambda: registry.merge_genres([source.id], zonk.id),
        lambda: registry.delete_genre(gone.id),
        lambda: registry.block_spelling("Noo Block"),
        lambda: registry.distinguish_spelling("Noo-Alias"),
        lambda: registry.settle_review("Rock/Noo Zonkish", Settlement.keep()),
    ]
    for mend in mends:
        before = registry.list_page(page_size=1).revision
        mend()
        once = registry.list_page(page_size=1).revision
        mend()
        assert before < once == registry.list_page(page_size=1).revision


def test_the_journal_tells_who_when_and_what(registry: GenreRegistryClient) -> None:
    """Each field's old and new, with the time of the change."""
    begun = datetime.now(UTC)
    zonk, parent = create(registry, "Jou Zonk", "Jou Up")
    registry.update_genre(zonk.id, name="Jou New", parent_ids=[parent.id])
    registry.add_alias(zonk.id, "Jou Alias")
    registry.delete_genre(zonk.id)

    deleted, aliased, updated, created = registry.list_history(zonk.id)

    assert [each.type for each in (created, updated, aliased, deleted)] == [
        *(ChangeType.CREATED, ChangeType.UPDATED, ChangeType.ALIAS_ADDED, ChangeType.DELETED)
    ]
    assert {(each.who, each.genre_id) for each in (created, updated, aliased, deleted)} == {
        ("local", zonk.id)
    }
    assert begun <= created.time <= updated.time <= aliased.time <= deleted.time
    assert deleted.time <= datetime.now(UTC)
    told = {each.field: (each.removed, each.added) for each in updated.differences}
    assert told == {
        "name": (("Jou Zonk",), ("Jou New",)),
        "aliases": ((), ("Jou Zonk",)),
        "parent_ids": ((), (str(parent.id),)),
    }
    assert [(each.field, each.added) for each in aliased.differences] == [
        ("aliases", ("Jou Alias",))
    ]
    assert registry.get_genre(zonk.id).revision == deleted.revision


# Reviews


def test_a_compound_that_was_never_seen_can_be_decided_on(registry: GenreRegistryClient) -> None:
    """A curator need not wait for a scan: any tag may mean several genres."""
    registry.settle_review("Never & Seen", Settlement.expand_into(["Never Zonk", "Seen Zonk"]))

    [scanned] = registry.resolve_tags([TagSet(("never & seen",))])
    reviews = registry.list_reviews(show_settled=True)
    [review] = [each for each in reviews if each.text == "Never & Seen"]

    assert [each.genre.name for each in scanned.genres] == ["Never Zonk", "Seen Zonk"]
    assert (review.text, review.rule, review.times_seen) == ("Never & Seen", "R10", 0)


def test_to_decide_anew_replaces_what_was_decided(registry: GenreRegistryClient) -> None:
    """From any of the four to any other."""
    first, second = create(registry, "Anew One", "Anew Two")
    text = "Rock/Anew Zonk"
    [seen] = registry.resolve_tags([TagSet((text,))])
    own = seen.genres[0].genre.id
    decisions = {
        "keep": (Settlement.keep(), [own]),
        "drop": (Settlement.drop(), []),
        "first": (Settlement.alias_of(first.id), [first.id]),
        "second": (Settlement.alias_of(second.id), [second.id]),
        "both": (Settlement.expand_into(["Anew One", "Anew Two"]), [first.id, second.id]),
    }
    order = ["keep", "drop", "keep", "first", "drop", "first", "second", "both", "second", "keep"]
    for name in order:
        settlement, ids = decisions[name]
        settled = registry.settle_review(text, settlement)
        assert [genre.id for genre in settled.genres] == ids, name
        [scanned] = registry.resolve_tags([TagSet((text,))])
        assert [each.genre.id for each in scanned.genres] == ids, name
