"""What broke in the design this replaces; each is a promise now."""

import base64

import grpc
import pytest
from conftest import Server
from genre_registry.v1 import genre_registry_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from worker_client import (
    GenreNotFound,
    GenreRegistryClient,
    InvalidName,
    InvalidRequest,
    RegistryError,
    Resolution,
)

SERVICE = "/genre_registry.v1.GenreRegistry/"


@pytest.mark.parametrize("name", ["R&B", "C#", "50% Off", "AC/DC", "Rock?x=1", '"Weird" Music'])
def test_names_come_back_as_themselves(registry: GenreRegistryClient, name: str) -> None:
    """`?name=r&b` once reached the server as `r`."""
    assert registry.get_or_create(name).genre.name == name
    assert registry.lookup_genre(name).name == name


def test_case_is_folded_beyond_ascii(registry: GenreRegistryClient) -> None:
    """SQLite's ASCII-only LOWER never found "Électro" again."""
    first = registry.get_or_create("Électro")
    again = registry.get_or_create("ÉLECTRO")

    assert again.genre == first.genre
    assert (first.created, again.created) == (True, False)


def test_pop_is_not_britpop(registry: GenreRegistryClient) -> None:
    """A substring search once resolved "pop" to "Britpop"."""
    britpop = registry.get_or_create("Britpop").genre

    with pytest.raises(GenreNotFound):
        registry.lookup_genre("Pop")
    assert registry.get_or_create("Pop").genre.id != britpop.id


def test_looking_up_creates_nothing(registry: GenreRegistryClient) -> None:
    """Search and creation are two things."""
    with pytest.raises(GenreNotFound) as caught:
        registry.lookup_genre("jazz")

    assert caught.value.reason == "GENRE_NOT_FOUND"
    assert caught.value.metadata == {"name": "jazz"}
    assert registry.list_page().genres == ()
    assert registry.list_page().revision == 0


BAD_NAMES = [
    ("", "NAME_EMPTY"),
    ("  \t\n ", "NAME_EMPTY"),
    ("\u200b\ufeff", "NAME_EMPTY"),
    ("x" * 201, "NAME_TOO_LONG"),
    ("Ro\x07ck", "NAME_HAS_CONTROL_CHARACTER"),
    ("Ro\x00ck", "NAME_HAS_CONTROL_CHARACTER"),
    ("Ro\nck", "NAME_HAS_CONTROL_CHARACTER"),
    ("-_-", "NAME_WITHOUT_KEY"),
]


@pytest.mark.parametrize(("name", "reason"), BAD_NAMES)
def test_a_bad_name_is_refused_with_its_field(
    registry: GenreRegistryClient, name: str, reason: str
) -> None:
    """A clear status instead of 400, 422 or 500 by turns; nothing is created."""
    for call in (registry.get_or_create, registry.lookup_genre):
        with pytest.raises(InvalidName) as caught:
            call(name)
        assert (caught.value.reason, caught.value.field) == (reason, "name")
    assert list(registry.list_genres()) == []


def test_one_bad_name_does_not_fail_the_rest(registry: GenreRegistryClient) -> None:
    """Every name of a batch has an answer of its own."""
    names = ["Rock", *(name for name, _ in BAD_NAMES), "Pop"]

    first, *refused, last = registry.batch_get_or_create(names)

    assert isinstance(first, Resolution)
    assert isinstance(last, Resolution)
    for at, (outcome, (_, reason)) in enumerate(zip(refused, BAD_NAMES, strict=True), 1):
        assert isinstance(outcome, InvalidName)
        assert (outcome.reason, outcome.field) == (reason, f"names[{at}]")
    assert [genre.name for genre in registry.list_genres()] == ["Rock", "Pop"]


def test_the_longest_name_is_allowed(registry: GenreRegistryClient) -> None:
    """200 characters, of any script, after trimming."""
    assert registry.get_or_create(f"  {'ж' * 200}\n").genre.name == "ж" * 200


@pytest.mark.parametrize(
    ("rpc", "field", "size"),
    [("batch_get_or_create", "names", 1001), ("batch_get_genres", "ids", 1001)],
)
def test_a_batch_of_1001_is_refused_whole(
    registry: GenreRegistryClient, rpc: str, field: str, size: int
) -> None:
    """The limit is told, with the field."""
    items = [str(n) for n in range(size)] if field == "names" else list(range(size))
    with pytest.raises(InvalidRequest) as caught:
        getattr(registry, rpc)(items)

    assert (caught.value.reason, caught.value.field) == ("BATCH_TOO_LARGE", field)
    assert list(registry.list_genres()) == []


def test_a_batch_of_1000_is_answered(registry: GenreRegistryClient) -> None:
    """The limit itself is allowed, and an empty batch too."""
    outcomes = registry.batch_get_or_create([f"genre {n}" for n in range(1000)])

    assert [o.created for o in outcomes if isinstance(o, Resolution)] == [True] * 1000
    assert registry.batch_get_or_create([]) == []


def test_a_long_request_id_is_refused_even_on_a_hit(registry: GenreRegistryClient) -> None:
    """What is wrong is refused however the answer would have been found."""
    registry.get_or_create("Rock", request_id="i" * 64)

    with pytest.raises(InvalidRequest) as caught:
        registry.get_or_create("Rock", request_id="i" * 65)
    assert (caught.value.reason, caught.value.field) == ("REQUEST_ID_TOO_LONG", "request_id")


def raw_call(server: Server, rpc: str, data: bytes) -> bytes:
    """Send bytes as they are, and return the bytes of the answer."""
    with grpc.insecure_channel(server.target) as channel:
        answer: bytes = channel.unary_unary(SERVICE + rpc)(data, timeout=10)
        return answer


def refusal_of(server: Server, rpc: str, data: bytes) -> tuple[grpc.StatusCode, str, str]:
    """Return the status, the reason and the field that *data* is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(server, rpc, data)
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status.details[0].Unpack(info)
    status.details[1].Unpack(bad_request)
    return caught.value.code(), info.reason, bad_request.field_violations[0].field


@pytest.mark.parametrize(
    ("rpc", "data", "reason", "field"),
    [
        ("GetOrCreate", b"\x0a\x03a\xffb", "TEXT_NOT_UTF8", "name"),
        ("GetOrCreate", b"\x0a\x01a\x12\x01\xff", "TEXT_NOT_UTF8", "request_id"),
        ("LookupGenre", b"\x0a\x03a\xffb", "TEXT_NOT_UTF8", "name"),
        ("ListGenres", b"\x12\x01\xff", "TEXT_NOT_UTF8", "page_token"),
        ("ResolveTags", b"\x0a\x06\x0a\x01a\x0a\x01\xff", "TEXT_NOT_UTF8", "tag_sets[0].values[1]"),
        ("BatchGetOrCreate", b"\x0a\x01a\x12\x01\xff", "TEXT_NOT_UTF8", "request_id"),
        ("GetOrCreate", b"\xff\xff\xff", "MESSAGE_MALFORMED", "GetOrCreateRequest"),
        ("GetGenre", b"\x08", "MESSAGE_MALFORMED", "GetGenreRequest"),
        ("BatchGetOrCreate", b"\x0a\x7fa", "MESSAGE_MALFORMED", "BatchGetOrCreateRequest"),
    ],
)
def test_bytes_that_are_no_message_are_refused_by_name(
    server: Server, rpc: str, data: bytes, reason: str, field: str
) -> None:
    """gRPC would answer UNKNOWN with a parser's words; here it is the caller's, and named."""
    assert refusal_of(server, rpc, data) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)


def test_bad_bytes_in_one_name_spare_the_rest_of_the_batch(server: Server) -> None:
    """Even what protobuf can't parse is one name's own affair."""
    answer = raw_call(server, "BatchGetOrCreate", b"\x0a\x03a\xffb\x0a\x04Jazz\x12\x01\n")

    bad, good = pb.BatchGetOrCreateResponse.FromString(answer).results
    assert bad.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert (good.resolved.genre.name, good.resolved.created) == ("Jazz", True)


def token_of(server: Server, after_id: int, revision: int) -> str:
    """Return a page token as only the registry should make it."""
    with GenreRegistryClient(server.target) as registry:
        incarnation = registry.list_page().incarnation
    return base64.urlsafe_b64encode(f"{after_id}:{revision}:{incarnation}".encode()).decode()


@pytest.mark.parametrize(("after_id", "revision"), [(10**20, 0), (2**63, 0), (-1, 0), (1, -1)])
def test_a_page_token_out_of_range_is_refused(
    server: Server, registry: GenreRegistryClient, after_id: int, revision: int
) -> None:
    """Forged numbers are the caller's mistake, not ours."""
    with pytest.raises(InvalidRequest) as caught:
        registry.list_page(token_of(server, after_id, revision))
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("token", ["x", "MTox", "💥", "MTowOmFiY2Q=", "-1", "\ud800"])
def test_a_page_token_of_ones_own_making_is_refused(
    registry: GenreRegistryClient, token: str
) -> None:
    """Tokens are opaque; a wrong one is never taken for the first page."""
    with pytest.raises(InvalidRequest) as caught:
        registry.list_page(token)
    assert caught.value.field == "page_token"
    assert caught.value.reason in ("PAGE_TOKEN_INVALID", "TEXT_NOT_UTF8")


def test_unknown_ids_are_told_one_by_one(registry: GenreRegistryClient) -> None:
    """The loser of a race once returned nothing; here every id has an answer."""
    rock = registry.get_or_create("Rock").genre

    found = registry.batch_get_genres([rock.id, 99, 0, -5, 2**63 - 1, rock.id])

    assert found[0] == found[5] == rock
    assert all(isinstance(each, GenreNotFound) for each in found[1:5])
    assert registry.get_genre(rock.id) == rock
    with pytest.raises(RegistryError, match="No genre has the id 99"):
        registry.get_genre(99)
