"""The client's curating, watching and transferring: same methods, plain values, own errors."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, StartServer
from genre_registry.v1 import genre_registry_pb2 as pb

from worker_client import (
    AsyncGenreRegistryClient,
    CallCancelled,
    ChangeType,
    CurationRefused,
    Genre,
    GenreChange,
    GenreNotFound,
    GenreRegistryClient,
    GenreState,
    HistoryTrimmed,
    InvalidName,
    InvalidRequest,
    RegistryError,
    RegistryUnavailable,
    ReviewDecision,
    RevisionMismatch,
    Settlement,
    SpellingBlocked,
    TagSet,
)
from worker_client._convert import change_of_watch
from worker_client._operation_calls import REQUEST_BYTES_MAX, import_requests
from worker_client._records import KINDS, dict_of, record_of

WAITING_S = 30
"""How long a test waits for what another thread has to bring about."""


def created(registry: GenreRegistryClient, *names: str) -> list[Genre]:
    """Return a genre for each of *names*, made up so that no pack knows them."""
    return [registry.get_or_create(name).genre for name in names]


def changes_so_far(registry: GenreRegistryClient, after: int = 0) -> list[GenreChange]:
    """Return every change after the revision, up to the first heartbeat."""
    with closing(registry.watch_genres(after)) as changes:
        return list(takewhile(lambda change: change.type is not ChangeType.HEARTBEAT, changes))


# Both clients


def test_both_clients_have_the_same_methods() -> None:
    """Who knows one knows the other: names, arguments and their defaults."""

    def signatures(client: type) -> dict[str, list[tuple[str, Any, Any]]]:
        return {
            name: [
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(method).parameters.values()
            ]
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    plain = signatures(GenreRegistryClient)

    assert plain == signatures(AsyncGenreRegistryClient)
    rpcs = {
        method.name
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert len(plain) - len({"list_page", "close"}) == len(rpcs)


# Genres and their ids


def test_a_merged_id_tells_that_it_was_merged(registry: GenreRegistryClient) -> None:
    """It answers with the survivor, which is the same genre whichever id was asked for."""
    zonk, zonq = created(registry, "Zonkwave", "Zonqwave")
    merged = registry.merge_genres([zonq.id], zonk.id)

    found = registry.get_genre(zonq.id)

    assert found == registry.get_genre(zonk.id) == merged.genre
    assert found.redirected_from_id == zonq.id
    assert registry.get_genre(zonk.id).redirected_from_id == 0
    [again, own] = registry.batch_get_genres([zonq.id, zonk.id])
    assert isinstance(again, Genre)
    assert isinstance(own, Genre)
    assert (again.redirected_from_id, own.redirected_from_id) == (zonq.id, 0)


def test_a_deleted_genre_says_so(registry: GenreRegistryClient) -> None:
    """By its id and in a listing that asks for it; its spelling names nothing until it is back."""
    [zonk] = created(registry, "Zonkwave")

    deleted = registry.delete_genre(zonk.id, expected_revision=zonk.revision)

    assert deleted.state is registry.get_genre(zonk.id).state is GenreState.DELETED
    assert list(registry.list_genres()) == []
    assert list(registry.list_genres(show_deleted=True)) == [deleted]
    with pytest.raises(SpellingBlocked) as caught:
        registry.get_or_create("zonkwave")
    assert caught.value.metadata["genre_id"] == str(zonk.id)
    assert registry.undelete_genre(zonk.id).state is GenreState.ACTIVE
    assert registry.lookup_genre("zonkwave").id == zonk.id


def test_children_are_listed(registry: GenreRegistryClient) -> None:
    """Those directly below a genre, page by page like all others."""
    zonk, *children = created(registry, "Zonkwave", "Zonk A", "Zonk B", "Zonk C")
    created(registry, "Quibblecore")
    for child in children:
        registry.update_genre(child.id, parent_ids=[zonk.id])

    page = registry.list_page(page_size=2, parent_id=zonk.id)
    rest = registry.list_page(page.next_page_token, page_size=2, parent_id=zonk.id)

    listed = [genre.id for genre in (*page.genres, *rest.genres)]
    assert listed == [child.id for child in children]
    assert [genre.id for genre in registry.list_genres(parent_id=zonk.id)] == listed
    with pytest.raises(InvalidRequest):
        registry.list_page(page.next_page_token)
    with pytest.raises(GenreNotFound):
        registry.list_page(parent_id=99)


def test_searching_ranks(registry: GenreRegistryClient) -> None:
    """What begins with the query comes before what holds it, and that before what nearly is it."""
    near, within, begins = created(registry, "Zonkwvae", "Quibble Zonkwave", "Zonkwave Revival")

    found = registry.search_genres("zonkwave")

    assert [genre.id for genre in found] == [begins.id, within.id, near.id]
    assert registry.search_genres("zonkwave", 1) == [begins]
    with pytest.raises(InvalidName):
        registry.search_genres("")


# Mends


def test_only_what_is_given_is_changed(registry: GenreRegistryClient) -> None:
    """What is None stays; what is empty is emptied."""
    parent, zonk = created(registry, "Quibblecore", "Zonkwave")

    full = registry.update_genre(
        zonk.id,
        description="Like waves, but zonk.",
        parent_ids=[parent.id],
        external_ids={"discogs": "77"},
        expected_revision=zonk.revision,
    )
    renamed = registry.update_genre(zonk.id, name="Zonk Wave Revival")
    emptied = registry.update_genre(zonk.id, description="", parent_ids=(), external_ids={})

    assert (full.name, full.description) == ("Zonkwave", "Like waves, but zonk.")
    assert (full.parent_ids, full.external_ids) == ((parent.id,), {"discogs": "77"})
    assert (renamed.name, renamed.aliases) == ("Zonk Wave Revival", ("Zonkwave",))
    assert (renamed.parent_ids, renamed.description) == (full.parent_ids, full.description)
    assert (emptied.name, emptied.description) == ("Zonk Wave Revival", "")
    assert (emptied.parent_ids, emptied.external_ids) == ((), {})


def test_an_update_of_nothing_changes_nothing(registry: GenreRegistryClient) -> None:
    """It is not taken for one that empties everything."""
    [zonk] = created(registry, "Zonkwave")

    assert registry.update_genre(zonk.id) == zonk


def test_aliases_come_and_go(registry: GenreRegistryClient) -> None:
    """A spelling reaches a genre, and then no more."""
    [zonk] = created(registry, "Zonkwave")

    added = registry.add_alias(zonk.id, "ZW", expected_revision=zonk.revision)
    assert added.aliases == ("ZW",)
    assert registry.lookup_genre("zw").id == zonk.id
    removed = registry.remove_alias(zonk.id, "zw", expected_revision=added.revision)

    assert removed.aliases == ()
    with pytest.raises(GenreNotFound):
        registry.lookup_genre("ZW")


def test_a_merge_can_be_rehearsed_and_undone(registry: GenreRegistryClient) -> None:
    """The rehearsal says what the merge then does; the undoing gives back what was brought."""
    zonk, zonq, child = created(registry, "Zonkwave", "Zonqwave", "Zonk A")
    registry.update_genre(zonk.id, external_ids={"discogs": "1"})
    registry.update_genre(zonq.id, external_ids={"discogs": "2", "lastfm": "zonq"})
    registry.update_genre(child.id, parent_ids=[zonq.id])
    before = registry.list_page()

    rehearsed = registry.merge_genres([zonq.id], zonk.id, validate_only=True)
    assert registry.list_page() == before
    merged = registry.merge_genres([zonq.id], zonk.id)

    for outcome in (rehearsed, merged):
        assert outcome.redirected_ids == (zonq.id,)
        assert outcome.genre.aliases == ("Zonqwave",)
        assert outcome.genre.external_ids == {"discogs": "1", "lastfm": "zonq"}
        assert [(g.id, g.parent_ids) for g in outcome.reparented] == [(child.id, (zonk.id,))]
        [clash] = outcome.clashes
        assert (clash.whose, clash.kept, clash.hidden, clash.source_id) == (
            *("discogs", "1", "2"),
            zonq.id,
        )
    undone = registry.unmerge_genre(zonq.id)
    assert (undone.genre.id, undone.genre.name) == (zonq.id, "Zonqwave")
    assert undone.survivor.id == zonk.id
    assert undone.genre.external_ids == {"discogs": "2", "lastfm": "zonq"}
    assert registry.get_genre(zonq.id).redirected_from_id == 0


def test_spellings_are_blocked_freed_and_pinned(registry: GenreRegistryClient) -> None:
    """A blocked one names nothing, a free one may, a pinned one is not its look-alike."""
    [zonk] = created(registry, "Zonk Wave")
    registry.add_alias(zonk.id, "ZW")

    loser = registry.block_spelling("zw")
    assert loser is not None
    assert (loser.id, loser.aliases) == (zonk.id, ())
    assert registry.block_spelling("Quibble") is None
    registry.unblock_spelling("quibble")
    assert registry.get_or_create("Quibble").created
    pinned = registry.distinguish_spelling("Zonk-Wave")

    assert pinned.created
    assert registry.lookup_genre("zonk-wave").id == pinned.genre.id != zonk.id
    assert registry.lookup_genre("zonk_wave").id == zonk.id
    again = registry.distinguish_spelling("Zonk_Wave", zonk.id)
    assert (again.created, again.genre.id) == (False, zonk.id)


# Refusals


def test_each_refusal_has_its_own_error(registry: GenreRegistryClient) -> None:
    """By kind for a program's flow, by reason for its words."""
    zonk, other, deleted, source = created(registry, "Zonkwave", "Quibble", "Gone", "Merged")
    registry.delete_genre(deleted.id)
    registry.merge_genres([source.id], zonk.id)
    registry.update_genre(other.id, parent_ids=[zonk.id])
    registry.block_spelling("Nix")
    missing, stale = 99, zonk.revision
    update, add_alias = registry.update_genre, registry.add_alias
    cases: list[tuple[Callable[[], object], type[RegistryError], str]] = [
        (lambda: add_alias(zonk.id, "quibble"), CurationRefused, "SPELLING_TAKEN"),
        (lambda: add_alias(zonk.id, "nix"), SpellingBlocked, "SPELLING_BLOCKED"),
        (lambda: update(zonk.id, name="nix"), SpellingBlocked, "SPELLING_BLOCKED"),
        (lambda: update(zonk.id, parent_ids=[other.id]), CurationRefused, "PARENT_CYCLE"),
        (lambda: add_alias(deleted.id, "x"), CurationRefused, "GENRE_DELETED"),
        (lambda: add_alias(source.id, "x"), CurationRefused, "GENRE_MERGED"),
        (lambda: registry.unmerge_genre(other.id), CurationRefused, "GENRE_NOT_MERGED"),
        (lambda: registry.block_spelling("zonkwave"), CurationRefused, "SPELLING_IS_NAME"),
        (lambda: add_alias(zonk.id, ""), InvalidName, "NAME_EMPTY"),
        (lambda: add_alias(missing, "x"), GenreNotFound, "GENRE_NOT_FOUND"),
        (lambda: registry.remove_alias(zonk.id, "quibble"), GenreNotFound, "SPELLING_NOT_FOUND"),
        (lambda: registry.unblock_spelling("quibble"), GenreNotFound, "SPELLING_NOT_FOUND"),
        (lambda: registry.merge_genres([], zonk.id), InvalidRequest, "NOTHING_TO_MERGE"),
        (lambda: update(zonk.id, external_ids={"me": "1"}), InvalidRequest, "EXTERNAL_ID_INVALID"),
        (
            lambda: add_alias(zonk.id, "x", expected_revision=stale),
            *(RevisionMismatch, "REVISION_MISMATCH"),
        ),
    ]
    for call, kind, reason in cases:
        with pytest.raises(kind) as caught:
            call()
        assert (type(caught.value), caught.value.reason) == (kind, reason)


def test_half_of_a_character_is_refused_before_it_is_sent(registry: GenreRegistryClient) -> None:
    """The wire can't carry it; the error says which field it was in."""
    half = "\ud83c"
    for call, field in (
        (lambda: registry.add_alias(1, f"Ro{half}ck"), "alias"),
        (lambda: registry.update_genre(1, name=half), "genre.name"),
        (lambda: registry.update_genre(1, external_ids={"lastfm": half}), "genre.external_ids"),
        (
            lambda: registry.settle_review("a", Settlement.expand_into(["b", half])),
            "expand.names[1]",
        ),
    ):
        with pytest.raises(InvalidName) as caught:
            call()
        assert (caught.value.reason, caught.value.field) == ("TEXT_NOT_UTF8", field)


# Reviews and the journal


def test_reviews_are_listed_and_settled(registry: GenreRegistryClient) -> None:
    """In each of the four ways; what is decided is listed only when asked for."""
    [zonk] = created(registry, "Zonkwave")
    compounds = [f"Rock/Zonk {letter}" for letter in "ABCD"]
    registry.resolve_tags([TagSet((compound,)) for compound in compounds])
    own = {review.text: review.genre for review in registry.list_reviews()}
    assert sorted(own) == compounds

    kept, dropped, aliased, expanded = (
        registry.settle_review(compound, settlement)
        for compound, settlement in zip(
            compounds,
            (
                *(Settlement.keep(), Settlement.drop(), Settlement.alias_of(zonk.id)),
                Settlement.expand_into(["Rock", "Zonk D"]),
            ),
            strict=True,
        )
    )

    assert kept.genres == (own[compounds[0]],)
    assert dropped.genres == ()
    assert [genre.id for genre in aliased.genres] == [zonk.id]
    assert [genre.name for genre in expanded.genres] == ["Rock", "Zonk D"]
    assert expanded.review.names == ("Rock", "Zonk D")
    assert list(registry.list_reviews()) == []
    decisions = {each.text: each.decision for each in registry.list_reviews(show_settled=True)}
    assert [decisions[compound] for compound in compounds] == [
        *(ReviewDecision.KEEP, ReviewDecision.DROP),
        *(ReviewDecision.ALIAS, ReviewDecision.EXPAND),
    ]


def test_history_tells_who_did_what(registry: GenreRegistryClient) -> None:
    """The latest first, of one genre or of all, over more than one page."""
    zonk, other = created(registry, "Zonkwave", "Quibble")
    for number in range(120):
        registry.update_genre(zonk.id, description=str(number))

    own = list(registry.list_history(zonk.id))

    assert [change.type for change in own] == [ChangeType.UPDATED] * 120 + [ChangeType.CREATED]
    [difference] = own[0].differences
    assert (difference.field, difference.removed, difference.added) == (
        *("description", ("118",)),
        ("119",),
    )
    assert own[0].who == "local"
    everything = [change.revision for change in registry.list_history()]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == len(own) + len(list(registry.list_history(other.id)))


# Watching


def test_a_watch_tells_every_change_and_then_waits(registry: GenreRegistryClient) -> None:
    """In order, with the genre as of then; a heartbeat says that all was told."""
    zonk, zonq = created(registry, "Zonkwave", "Zonqwave")
    registry.add_alias(zonk.id, "ZW")
    registry.block_spelling("Nix")
    registry.merge_genres([zonq.id], zonk.id)

    told = changes_so_far(registry)

    assert [change.revision for change in told] == sorted({change.revision for change in told})
    assert [(change.type, change.genre and change.genre.id) for change in told[:4]] == [
        (ChangeType.CREATED, zonk.id),
        (ChangeType.CREATED, zonq.id),
        (ChangeType.ALIAS_ADDED, zonk.id),
        (ChangeType.SPELLING_BLOCKED, None),
    ]
    assert told[0].genre is not None
    assert told[0].genre.aliases == ()
    assert told[3].spelling == "Nix"
    [merged] = [change for change in told if change.type is ChangeType.MERGED]
    assert merged.source_id == zonq.id
    assert changes_so_far(registry, after=told[-1].revision) == []


def test_a_watch_hears_what_is_done_meanwhile(registry: GenreRegistryClient) -> None:
    """A listing and the watch from there miss nothing."""
    page = registry.list_page()

    with closing(registry.watch_genres(page.revision, page.incarnation)) as changes:
        assert next(changes).type is ChangeType.HEARTBEAT
        [zonk] = created(registry, "Zonkwave")
        change = next(each for each in changes if each.type is not ChangeType.HEARTBEAT)

    assert (change.type, change.genre) == (ChangeType.CREATED, zonk)
    assert change.incarnation == page.incarnation


@pytest.mark.parametrize("end", [Server.stop, Server.kill], ids=["stopped", "killed"])
def test_a_watch_goes_on_after_a_restart(
    start_server: StartServer, end: Callable[[Server], object]
) -> None:
    """It connects anew by itself, and tells each change once and in order."""
    first = start_server()
    told: list[GenreChange] = []
    caught_up, is_told = threading.Event(), threading.Event()

    def listen() -> None:
        with GenreRegistryClient(first.target) as watching:
            for change in watching.watch_genres():
                if change.type is ChangeType.HEARTBEAT:
                    caught_up.set()
                    continue
                told.append(change)
                if change.genre is not None and change.genre.name == "The Last":
                    is_told.set()
                    return

    listening = threading.Thread(target=listen, daemon=True)
    with GenreRegistryClient(first.target) as registry:
        created(registry, "Zonk A", "Zonk B")
        listening.start()
        assert caught_up.wait(WAITING_S)
        end(first)
        start_server(listen=first.target)
        created(registry, "Zonk C", "The Last")
    assert is_told.wait(WAITING_S)
    listening.join(WAITING_S)

    assert [change.genre and change.genre.name for change in told] == [
        *("Zonk A", "Zonk B", "Zonk C", "The Last")
    ]


def test_a_watch_of_another_incarnation_is_told_to_list_again(
    registry: GenreRegistryClient,
) -> None:
    """Revisions mean nothing there."""
    with pytest.raises(HistoryTrimmed) as caught:
        next(registry.watch_genres(1, "of another"))
    assert caught.value.reason == "HISTORY_TRIMMED"
    with pytest.raises(InvalidRequest):
        next(registry.watch_genres(-1))


def test_a_watch_gives_up_when_told_to() -> None:
    """After being without the registry for as long as was said; it names where it tried."""
    with (
        GenreRegistryClient("127.0.0.1:1") as registry,
        pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:1"),
    ):
        next(registry.watch_genres(deadline_s=0.3))


def test_closing_the_client_ends_its_watches(server: Server) -> None:
    """Also one that waits for a change in another thread."""
    registry = GenreRegistryClient(server.target)
    caught_up = threading.Event()
    ended: list[RegistryError] = []

    def listen() -> None:
        try:
            for _ in registry.watch_genres():
                caught_up.set()
        except RegistryError as error:
            ended.append(error)

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    assert caught_up.wait(WAITING_S)
    registry.close()
    listening.join(WAITING_S)

    assert [type(error) for error in ended] == [CallCancelled]


def test_what_a_newer_server_tells_is_passed_on() -> None:
    """A change of a kind that this client does not know is a change all the same."""
    message = pb.WatchGenresResponse(revision=7)
    message.type = 99  # type: ignore[assignment]  # no such type, yet

    change = change_of_watch(message)

    assert (change.type, change.revision) == (ChangeType.OTHER, 7)


# Records


RECORDS: list[dict[str, Any]] = [
    {
        "registry": {
            "format": 1,
            "incarnation": "abc",
            "revision": 9007199254740993,
            "last_genre_id": 7,
            "export_time": "2026-11-22T16:21:44.983651Z",
        }
    },
    {"pack": {"name": "musicbrainz", "content": '{"genres": []}'}},
    {
        "genre": {
            "id": 7,
            "name": "Électro",
            "state": "GENRE_STATE_DELETED",
            "merged_into_id": 3,
            "spellings": [{"text": "Électro", "is_name": True}, {"text": "elektro"}],
            "parent_ids": [1, 2],
            "external_ids": {"discogs": "17"},
            "removed_parent_ids": [9007199254740993],
            "create_time": "2026-11-22T16:21:44.983651Z",
            "revision": 12,
        }
    },
    {"block": {"spelling": "Unknown"}},
    {"detached": {}},
    {"review": {"text": "A/B", "times_seen": 3, "decision": "DECISION_EXPAND", "names": ["A"]}},
    {
        "change": {
            "revision": 5,
            "type": "CHANGE_TYPE_MERGED",
            "genre_id": 3,
            "source_id": 7,
            "differences": [{"field": "aliases", "added": ["x"]}],
            "genre": {"id": 3, "parent_ids": [2]},
        }
    },
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: next(iter(record)))
def test_records_are_plain_and_exact(record: dict[str, Any]) -> None:
    """There and back again is the same; ids are numbers, however large."""
    assert dict_of(record_of(record)) == record
    assert record_of(dict_of(record_of(record))) == record_of(record)


def test_every_kind_of_record_is_tried() -> None:
    """A kind that the contract gains is tried here too."""
    assert sorted(next(iter(record)) for record in RECORDS) == sorted(KINDS)


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({}, "record"),
        ([], "record"),
        ({"genre": {"id": 1}, "block": {}}, "record"),
        ({"gender": {}}, "record.gender"),
        ({"genre": {"id": "x"}}, "record.genre.id"),
        ({"genre": {"id": 1 << 63}}, "record.genre.id"),
        ({"genre": {"id": True}}, "record.genre.id"),
        ({"genre": {"nam": "x"}}, "record.genre.nam"),
        ({"genre": {"name": "\ud83c"}}, "record.genre.name"),
        ({"genre": {"parent_ids": [1, "y"]}}, "record.genre.parent_ids"),
        ({"genre": {"external_ids": {"discogs": 17}}}, "record.genre.external_ids"),
        ({"genre": {"create_time": "yesterday"}}, "record.genre.create_time"),
        ({"genre": {"spellings": [{"text": "a"}, {"txt": "b"}]}}, "record.genre.spellings[1].txt"),
        ({"genre": {"spellings": ["a"]}}, "record.genre.spellings[0]"),
        ({"genre": "Rock"}, "record.genre"),
    ],
)
def test_a_wrong_record_names_its_field(record: Any, field: str) -> None:
    """So that a person finds it in a file of a hundred thousand lines."""
    with pytest.raises(InvalidRequest) as caught:
        record_of(record)
    assert (caught.value.reason, caught.value.field) == ("RECORD_INVALID", field)
    assert str(caught.value).startswith(f"{field}: ")
    assert "\n" not in str(caught.value)


def test_an_import_is_sent_in_parts() -> None:
    """None larger than a server takes, each record once and in order; the first has the options."""
    records = [{"genre": {"id": number, "name": "x" * 150}} for number in range(1, 20_001)]
    records[5000] = {"pack": {"content": "x" * (REQUEST_BYTES_MAX + 1)}}

    requests = list(import_requests(records, validate_only=True, keep_ids=True))

    sizes = [request.ByteSize() for request in requests]
    assert [size for size in sizes if size > REQUEST_BYTES_MAX] == [
        request.ByteSize() for request in requests if request.records[0].HasField("pack")
    ]
    assert [dict_of(record) for request in requests for record in request.records] == records
    assert (requests[0].validate_only, requests[0].keep_ids) == (True, True)
    assert len(list(import_requests([], validate_only=False, keep_ids=False))) == 1


# Transfers


def test_a_registry_goes_out_and_in(
    registry: GenreRegistryClient, start_server: StartServer, tmp_path: Path
) -> None:
    """What was exported makes an empty registry the same one."""
    zonk, zonq, gone = created(registry, "Zonkwave", "Zonqwave", "Gone")
    registry.merge_genres([zonq.id], zonk.id)
    registry.delete_genre(gone.id)
    registry.block_spelling("Nix")

    records = list(registry.export_records())
    elsewhere = start_server(database=tmp_path / "another.db")

    with GenreRegistryClient(elsewhere.target) as other:
        *_, last = other.import_records(records)
        assert last.done == last.total == len(records)
        assert last.revision == registry.list_page().revision
        assert list(other.list_genres(show_deleted=True)) == list(
            registry.list_genres(show_deleted=True)
        )
        assert other.get_genre(zonq.id).redirected_from_id == zonq.id
        assert list(other.list_history()) == list(registry.list_history())
    assert next(iter(records[0])) == "registry"


def test_names_from_elsewhere_are_taken_in(registry: GenreRegistryClient) -> None:
    """Where each id leads is told; a rehearsal tells the same and changes nothing."""
    [zonk] = created(registry, "Zonkwave")
    records = [
        {"genre": {"id": 70, "name": "zonkwave"}},
        {"genre": {"id": 71, "name": "Quibble"}},
        {"genre": {"id": 72, "name": "x" * 201}},
    ]

    rehearsed = list(registry.import_records(records, validate_only=True))
    assert list(registry.list_genres()) == [zonk]
    done = list(registry.import_records(records))

    assert [(m.old_id, m.new_id) for part in rehearsed for m in part.mappings] == [(70, 1), (71, 0)]
    assert [(m.old_id, m.new_id) for part in done for m in part.mappings] == [(70, 1), (71, 2)]
    assert sum(part.created for part in done) == 1
    [problem] = [problem for part in done for problem in part.problems]
    assert (problem.record, problem.reason) == (3, "NAME_TOO_LONG")
    with pytest.raises(CurationRefused) as caught:
        list(registry.import_records(records, keep_ids=True))
    assert caught.value.reason == "REGISTRY_NOT_EMPTY"


def broken_records() -> Iterator[dict[str, Any]]:
    for number in range(1, 10_001):
        yield {"genre": {"name": f"Zonk {number} " + "x" * 150}}
    raise OSError("the disk is gone")


def wrong_records() -> Iterator[dict[str, Any]]:
    yield {"genre": {"name": "Zonkwave"}}
    yield {"genre": {"id": "seven"}}


def test_what_breaks_an_import_reaches_the_caller(registry: GenreRegistryClient) -> None:
    """A file that can't be read on, and a record that is none: not as the end of the records."""
    with pytest.raises(OSError, match="the disk is gone"):
        list(registry.import_records(broken_records()))
    with pytest.raises(InvalidRequest) as caught:
        list(registry.import_records(wrong_records()))
    assert caught.value.field == "records[1].genre.id"


# Asyncio


async def test_the_asyncio_client_curates_too(server: Server) -> None:
    """Same names, same answers, same errors."""
    async with AsyncGenreRegistryClient(server.target) as registry:
        zonk = (await registry.get_or_create("Zonkwave")).genre
        zonq = (await registry.get_or_create("Zonqwave")).genre
        named = await registry.update_genre(zonk.id, description="Zonk.")
        assert named.description == "Zonk."
        assert (await registry.add_alias(zonk.id, "ZW")).aliases == ("ZW",)
        assert (await registry.remove_alias(zonk.id, "ZW")).aliases == ()
        assert (await registry.merge_genres([zonq.id], zonk.id)).redirected_ids == (zonq.id,)
        assert (await registry.get_genre(zonq.id)).redirected_from_id == zonq.id
        assert (await registry.unmerge_genre(zonq.id)).genre.name == "Zonqwave"
        assert (await registry.delete_genre(zonq.id)).state is GenreState.DELETED
        assert (await registry.undelete_genre(zonq.id)).state is GenreState.ACTIVE
        assert await registry.block_spelling("Nix") is None
        with pytest.raises(SpellingBlocked):
            await registry.lookup_genre("nix")
        await registry.unblock_spelling("Nix")
        assert (await registry.distinguish_spelling("Zonk-wave")).created
        assert [genre.id for genre in await registry.search_genres("zonq")] == [zonq.id]
        await registry.resolve_tags([TagSet(("Rock/Quibble",))])
        [review] = [review async for review in registry.list_reviews()]
        settled = await registry.settle_review(review.text, Settlement.keep())
        assert settled.review.decision is ReviewDecision.KEEP
        with GenreRegistryClient(server.target) as plain:
            assert [c async for c in registry.list_history()] == list(plain.list_history())
            assert [g async for g in registry.list_genres(show_deleted=True)] == list(
                plain.list_genres(show_deleted=True)
            )


async def test_the_asyncio_client_watches_and_transfers(start_server: StartServer) -> None:
    """Over a restart too; closing the stream, and closing the client, end it."""
    first = start_server()
    async with AsyncGenreRegistryClient(first.target) as registry:
        await registry.get_or_create("Zonkwave")
        async with aclosing(registry.watch_genres()) as changes:
            assert (await anext(changes)).type is ChangeType.CREATED
            assert (await anext(changes)).type is ChangeType.HEARTBEAT
            first.kill()
            start_server(listen=first.target)
            await registry.get_or_create("Quibble")
            async for change in changes:
                if change.type is not ChangeType.HEARTBEAT:
                    break
            assert change.genre is not None
            assert (change.type, change.genre.name) == (ChangeType.CREATED, "Quibble")
        records = [record async for record in registry.export_records()]
        *_, last = [part async for part in registry.import_records(records)]
        assert last.done == len(records)
        with pytest.raises(OSError, match="the disk is gone"):
            async for _ in registry.import_records(broken_records()):
                pass
        with pytest.raises(HistoryTrimmed):
            await anext(registry.watch_genres(1, "of another"))
        waiting = registry.watch_genres(last.revision)
        assert (await anext(waiting)).type is ChangeType.HEARTBEAT
        ended = asyncio.ensure_future(anext(waiting))
    with pytest.raises(CallCancelled):
        await ended


async def test_the_asyncio_client_gives_up_when_told_to() -> None:
    """As the plain one does."""
    async with AsyncGenreRegistryClient("127.0.0.1:1") as registry:
        with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:1"):
            await anext(registry.watch_genres(deadline_s=0.3))


async def test_a_cancelled_task_ends_its_watch(server: Server) -> None:
    """It is told of its own cancellation, not of a closed client."""
    async with AsyncGenreRegistryClient(server.target) as registry:
        changes = registry.watch_genres()
        assert (await anext(changes)).type is ChangeType.HEARTBEAT
        listening = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        assert listening.cancelled()


def test_a_dropped_iterator_ends_its_call(registry: GenreRegistryClient) -> None:
    """A reader who stops early leaves nothing open."""
    created(registry, "Zonkwave")

    assert len(list(islice(registry.export_records(), 1))) == 1
    assert len(list(islice(registry.watch_genres(), 1))) == 1
    assert registry.lookup_genre("zonkwave").id == 1
