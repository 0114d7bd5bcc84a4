"""One refusal, one status, one error of the client's: nothing on the way is lost or made up."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from stub_server import answering

import worker_client
from registry_server.transport.status import DOMAIN, STATUS_FOR, status_of, status_of_defect
from registry_server.vocabulary import backup, curation_refusals, refusals
from registry_server.vocabulary.callers import Caller, Role
from registry_server.vocabulary.refusals import RegistryError
from worker_client import (
    AsyncGenreRegistryClient,
    DeadlineExceeded,
    Genre,
    GenreRegistryClient,
    RegistryDefect,
    RegistryUnavailable,
)
from worker_client._errors import ERROR_FOR, error_of_status

FAMILY: list[tuple[RegistryError, type[worker_client.RegistryError]]] = [
    (refusals.NameEmpty(), worker_client.InvalidName),
    (refusals.NameTooLong(201), worker_client.InvalidName),
    (refusals.NameHasControlCharacter("Trip\tHop", 4), worker_client.InvalidName),
    (refusals.TextNotUtf8("tag_sets[3].values[0]"), worker_client.InvalidName),
    (refusals.NameWithoutKey("---"), worker_client.InvalidName),
    (refusals.BatchTooLarge(1001, field="names"), worker_client.InvalidRequest),
    (refusals.RequestIdTooLong(65), worker_client.InvalidRequest),
    (refusals.PageSizeNegative(), worker_client.InvalidRequest),
    (refusals.PageTokenInvalid(), worker_client.InvalidRequest),
    (refusals.PackUnknown("beets", ["musicbrainz"]), worker_client.InvalidRequest),
    (refusals.PackInvalid("It is not JSON."), worker_client.InvalidRequest),
    (refusals.MessageMalformed("No message.", field="name"), worker_client.InvalidRequest),
    (refusals.TokenInvalid.missing(), worker_client.TokenInvalid),
    (refusals.TokenInvalid.unknown(), worker_client.TokenInvalid),
    (refusals.TokenInvalid.certificate_unlisted(["nas"]), worker_client.TokenInvalid),
    (refusals.TokenInvalid.certificate_distrusted("it has ended"), worker_client.TokenInvalid),
    (refusals.PlaintextRefused("192.168.1.9"), worker_client.TokenInvalid),
    (refusals.RoleTooLow(Caller("tv", Role.READER), Role.WORKER), worker_client.RoleTooLow),
    (refusals.MessageTooLarge(9, 8, field="GetOrCreateRequest"), worker_client.InvalidRequest),
    (refusals.GenreNotFound.with_id(7), worker_client.GenreNotFound),
    (refusals.GenreNotFound.named("Dub"), worker_client.GenreNotFound),
    (curation_refusals.UpdateMaskInvalid("id", ["name"]), worker_client.InvalidRequest),
    (curation_refusals.DescriptionTooLong(2001), worker_client.InvalidRequest),
    (curation_refusals.ExternalIdInvalid.of_unknown("tidal"), worker_client.InvalidRequest),
    (curation_refusals.ExternalIdInvalid.with_value("lastfm", ""), worker_client.InvalidRequest),
    (curation_refusals.NothingToMerge(), worker_client.InvalidRequest),
    (curation_refusals.SettlementMissing(), worker_client.InvalidRequest),
    (curation_refusals.RevisionNegative("start_revision"), worker_client.InvalidRequest),
    (curation_refusals.RecordInvalid(3, "no kind."), worker_client.InvalidRequest),
    (curation_refusals.SpellingNotFound.not_blocked("Dub"), worker_client.GenreNotFound),
    (curation_refusals.SpellingNotFound.of_genre("Dub", 7, "Ska"), worker_client.GenreNotFound),
    (curation_refusals.SpellingBlocked("Dub"), worker_client.SpellingBlocked),
    (curation_refusals.SpellingBlocked("Dub", 7), worker_client.SpellingBlocked),
    (curation_refusals.SpellingTaken("Dub", 7, "Dub"), worker_client.CurationRefused),
    (curation_refusals.SpellingIsName("Dub", 7), worker_client.CurationRefused),
    (curation_refusals.ExternalIdTaken("lastfm", "dub", 7), worker_client.CurationRefused),
    (curation_refusals.ParentCycle(7, 8), worker_client.CurationRefused),
    (curation_refusals.GenreMerged(7, 8), worker_client.CurationRefused),
    (curation_refusals.GenreDeleted(7), worker_client.CurationRefused),
    (curation_refusals.GenreNotMerged(7), worker_client.CurationRefused),
    (curation_refusals.RegistryNotEmpty(7), worker_client.CurationRefused),
    (curation_refusals.RevisionMismatch(7, 1, 2), worker_client.RevisionMismatch),
    (curation_refusals.HistoryTrimmed.before(1, 2), worker_client.HistoryTrimmed),
    (curation_refusals.HistoryTrimmed.elsewhere(9), worker_client.HistoryTrimmed),
    (curation_refusals.WatcherTooSlow(30), worker_client.RegistryUnavailable),
    (backup.BackupTargetInvalid("b.db"), worker_client.InvalidRequest),
    (backup.BackupTargetTaken("/b.db"), worker_client.BackupRefused),
    (backup.BackupTargetIsDatabase("/b.db"), worker_client.BackupRefused),
    (backup.BackupTargetUnwritable("/b.db", "no such folder"), worker_client.BackupRefused),
    (backup.BackupDiskFull("/b.db"), worker_client.BackupRefused),
    (backup.BackupFailed("/b.db", "the copy is damaged"), worker_client.BackupRefused),
    (backup.BackupStopped(), worker_client.BackupRefused),
    (refusals.Overloaded(0.25), worker_client.RegistryOverloaded),
    (refusals.ShuttingDown(), worker_client.RegistryUnavailable),
    (refusals.DeadlinePassed(), worker_client.DeadlineExceeded),
    (refusals.StorageFull(), worker_client.StorageFull),
    (refusals.StorageFailed(), worker_client.RegistryUnavailable),
]
"""Each refusal of the server's, and what a caller catches for it."""


def kinds_of(error: type[RegistryError]) -> set[type[RegistryError]]:
    """Return every class below *error*."""
    below = set(error.__subclasses__())
    return below.union(*map(kinds_of, below))


REFUSALS = {kind for kind in kinds_of(RegistryError) if "reason" in vars(kind)}


def detail_of(status: status_pb2.Status, kind: type[Message]) -> Any:
    """Return the one detail of *kind* in *status*; None if it holds none."""
    found = [detail for detail in status.details if detail.Is(kind.DESCRIPTOR)]
    assert len(found) <= 1
    unpacked = kind()
    return unpacked if found and found[0].Unpack(unpacked) else None


def test_every_refusal_has_a_status() -> None:
    """A new refusal is given its status when it is made, and no other class has one."""
    assert set(STATUS_FOR) == REFUSALS
    assert {type(refusal) for refusal, _ in FAMILY} == REFUSALS
    assert all(kind.__subclasses__() for kind in kinds_of(RegistryError) - REFUSALS)


def test_reasons_are_unique() -> None:
    """A program that knows the reason knows the refusal."""
    reasons = [kind.reason for kind in REFUSALS]

    assert sorted(reasons) == sorted(set(reasons))
    assert all(re.fullmatch("[A-Z0-9_]+", reason) for reason in reasons)


@pytest.mark.parametrize("refusal", [each for each, _ in FAMILY], ids=lambda e: type(e).__name__)
def test_a_refusal_is_answered_with_typed_details(refusal: RegistryError) -> None:
    """Programs read the reason, the field and the delay; people read the message."""
    status = status_of(refusal)

    assert status.code == STATUS_FOR[type(refusal)].value[0]
    assert status.message == refusal.message
    info = detail_of(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (refusal.reason, DOMAIN)
    assert dict(info.metadata) == dict(refusal.metadata)
    bad_request = detail_of(status, error_details_pb2.BadRequest)
    fields = [violation.field for violation in bad_request.field_violations] if bad_request else []
    assert fields == ([refusal.field] if isinstance(refusal, refusals.InvalidRequest) else [])
    assert bool(fields) == (STATUS_FOR[type(refusal)] is StatusCode.INVALID_ARGUMENT)
    retry = detail_of(status, error_details_pb2.RetryInfo)
    assert (retry is not None) == isinstance(refusal, refusals.TryLater)


def test_an_overloaded_registry_says_when_to_come_back() -> None:
    """The delay is the refusal's own."""
    retry = detail_of(status_of(refusals.Overloaded(0.25)), error_details_pb2.RetryInfo)

    assert retry.retry_delay.ToMilliseconds() == 250


def test_the_fault_of_one_item_of_many_is_placed() -> None:
    """In a batch the field says which name it was."""
    error = error_of_status(status_of(refusals.NameEmpty(), field="names[3]"))

    assert error.field == "names[3]"


def test_a_defect_is_answered_blandly_with_an_id() -> None:
    """The id leads to the log; nothing else of the mistake leaks."""
    defect_id, status = status_of_defect()
    error = error_of_status(status)

    assert type(error) is RegistryDefect
    assert (error.reason, error.metadata) == ("INTERNAL", {"defect_id": defect_id})
    assert defect_id in str(error)


def test_the_client_knows_every_status_of_the_server() -> None:
    """The two tables mirror each other."""
    assert {*STATUS_FOR.values(), StatusCode.INTERNAL} - set(ERROR_FOR) == set()


@pytest.mark.parametrize(("refusal", "kind"), FAMILY)
def test_the_client_raises_what_the_server_refused(
    refusal: RegistryError, kind: type[worker_client.RegistryError]
) -> None:
    """Kind, reason, field and metadata arrive as they left."""
    error = error_of_status(status_of(refusal))

    assert type(error) is kind
    assert str(error) == refusal.message
    assert error.reason == refusal.reason
    assert error.metadata == dict(refusal.metadata)
    assert error.field == getattr(refusal, "field", "")


def ask(target: str, deadline_s: float) -> Genre:
    with GenreRegistryClient(target) as registry:
        return registry.get_genre(1, deadline_s=deadline_s)


def ask_asyncio(target: str, deadline_s: float) -> Genre:
    async def ask_once() -> Genre:
        async with AsyncGenreRegistryClient(target) as registry:
            return await registry.get_genre(1, deadline_s=deadline_s)

    return asyncio.run(ask_once())


Ask = Callable[[str, float], Genre]
UNLISTED = [code for code in StatusCode if code not in {StatusCode.OK, *ERROR_FOR}]
both_clients = pytest.mark.parametrize("ask", [ask, ask_asyncio], ids=["sync", "asyncio"])


@both_clients
@pytest.mark.parametrize("code", UNLISTED, ids=str)
def test_a_status_of_no_registry_is_a_defect(ask: Ask, code: StatusCode) -> None:
    """What no registry answers is told as such, with gRPC's own error behind it."""

    def answer(_data: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "of another kind")

    with answering({"GetGenre": answer}) as target, pytest.raises(RegistryDefect) as raised:
        ask(target, 5)

    cause = raised.value.__cause__
    assert isinstance(cause, grpc.RpcError)
    assert cause.code() is code
    assert all(said in str(raised.value) for said in (target, code.name, "of another kind"))


@both_clients
def test_a_reply_that_is_no_message_is_a_defect(ask: Ask) -> None:
    """A server that speaks gRPC and is no registry trips nobody."""
    with (
        answering({"GetGenre": lambda _data, _context: b"\xff\xff\xff"}) as target,
        pytest.raises(RegistryDefect),
    ):
        ask(target, 5)


@both_clients
@pytest.mark.parametrize("backlog", [None, 1], ids=["nobody listens", "nobody speaks"])
def test_a_registry_that_is_not_there_is_unavailable(ask: Ask, backlog: int | None) -> None:
    """Not reached is no time-out: the caller hears it at the deadline, with where it tried."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if backlog is not None:
            taken.listen(backlog)
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        began_s = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=target):
            ask(target, 0.5)

    assert time.monotonic() - began_s < 1.5


@both_clients
def test_a_registry_that_never_answers_is_too_slow(ask: Ask) -> None:
    """Reached and silent is a deadline that passed, not an absent registry."""
    over = threading.Event()

    def answer(_data: bytes, _context: grpc.ServicerContext) -> bytes:
        over.wait(30)
        return b""

    with answering({"GetGenre": answer}) as target:
        try:
            with pytest.raises(DeadlineExceeded, match=target):
                ask(target, 0.5)
        finally:
            over.set()


def test_a_process_ends_after_an_unreachable_registry() -> None:
    """A client that nobody closed must not hold its process for ever."""
    worker = (
        "from worker_client import GenreRegistryClient\n"
        "GenreRegistryClient('127.0.0.1:1').get_or_create('x', deadline_s=0.3)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", worker], capture_output=True, text=True, timeout=20
    )

    assert done.returncode == 1
    assert "RegistryUnavailable" in done.stderr
