"""The RPCs as values, alike for both clients: what is sent, how long it may take, its meaning."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Generic, TypeVar

from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreOperationsStub, GenreRegistryStub
from google.protobuf.message import Message

from worker_client._config import Deadlines
from worker_client._errors import InvalidName, RegistryError, error_of_status
from worker_client._values import (
    DroppedPart,
    ExplainedStep,
    Genre,
    GenrePage,
    ImportedPack,
    Resolution,
    ResolvedGenre,
    ResolvedTags,
    ReviewPart,
    TagContainer,
    TagSet,
)

Answer = TypeVar("Answer")
Stub = type[GenreRegistryStub] | type[GenreOperationsStub]


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """
    One call of the RPC *rpc*: its request, its deadline of a profile, its reply's meaning.

    *stub* is that of the service which has the RPC.
    """

    rpc: str
    request: Message
    deadline_s: Callable[[Deadlines], float]
    meaning: Callable[[Any], Answer]
    stub: Stub = GenreRegistryStub


class Stubs:
    """The stubs on one channel, each made for the first call of its service."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._made: dict[Stub, Any] = {}

    def method(self, call: Call[Any]) -> Callable[..., Any]:
        """Return what makes *call* on the channel, awaitable if the channel is of asyncio."""
        stub = self._made.get(call.stub)
        if stub is None:
            # Threads that meet here make one each, all alike; the first is kept.
            stub = self._made.setdefault(call.stub, call.stub(self._channel))
        method: Callable[..., Any] = getattr(stub, call.rpc)
        return method


def get_or_create(name: str, request_id: str | None) -> Call[Resolution]:
    request = pb.GetOrCreateRequest(name=_text(name, "name"), request_id=_id_of(request_id))
    return Call("GetOrCreate", request, _write_s, _resolution)


def batch_get_or_create(
    names: Iterable[str], request_id: str | None
) -> Call[list[Resolution | RegistryError]]:
    request = pb.BatchGetOrCreateRequest(
        names=[_text(name, f"names[{at}]") for at, name in enumerate(names)],
        request_id=_id_of(request_id),
    )
    return Call(
        "BatchGetOrCreate",
        request,
        _batch_s,
        lambda reply: [
            _resolution(result.resolved)
            if result.HasField("resolved")
            else error_of_status(result.error)
            for result in reply.results
        ],
    )


def resolve_tags(
    tag_sets: Iterable[TagSet], request_id: str | None, *, validate_only: bool
) -> Call[list[ResolvedTags]]:
    request = pb.ResolveTagsRequest(
        tag_sets=[
            pb.TagSet(
                values=[
                    _text(value, f"tag_sets[{at}].values[{value_at}]")
                    for value_at, value in enumerate(tag_set.values)
                ],
                container=_container(tag_set.container),
            )
            for at, tag_set in enumerate(tag_sets)
        ],
        request_id=_id_of(request_id),
        validate_only=validate_only,
    )
    return Call(
        "ResolveTags", request, _batch_s, lambda reply: [_resolved_tags(r) for r in reply.results]
    )


def get_genre(genre_id: int) -> Call[Genre]:
    return Call("GetGenre", pb.GetGenreRequest(id=genre_id), _read_s, lambda r: _genre(r.genre))


def batch_get_genres(ids: Iterable[int]) -> Call[list[Genre | RegistryError]]:
    return Call(
        "BatchGetGenres",
        pb.BatchGetGenresRequest(ids=ids),
        _batch_s,
        lambda reply: [
            _genre(result.found.genre)
            if result.HasField("found")
            else error_of_status(result.error)
            for result in reply.results
        ],
    )


def lookup_genre(name: str) -> Call[Genre]:
    request = pb.LookupGenreRequest(name=_text(name, "name"))
    return Call("LookupGenre", request, _read_s, lambda reply: _genre(reply.genre))


def list_genres(page_size: int, page_token: str) -> Call[GenrePage]:
    request = pb.ListGenresRequest(page_size=page_size, page_token=_text(page_token, "page_token"))
    return Call("ListGenres", request, _read_s, _page)


def explain_spelling(value: str, container: TagContainer) -> Call[list[ExplainedStep]]:
    request = pb.ExplainSpellingRequest(
        value=_text(value, "value"), container=_container(container)
    )
    return Call(
        "ExplainSpelling", request, _read_s, lambda reply: [_step(step) for step in reply.steps]
    )


def import_pack(pack: str, documents: Iterable[bytes]) -> Call[ImportedPack]:
    request = pb.ImportPackRequest(pack=_text(pack, "pack"), documents=documents)
    return Call("ImportPack", request, _batch_s, _imported_pack, GenreOperationsStub)


def _read_s(deadlines: Deadlines) -> float:
    return deadlines.read_s


def _write_s(deadlines: Deadlines) -> float:
    return deadlines.write_s


def _batch_s(deadlines: Deadlines) -> float:
    return deadlines.batch_s


def _id_of(request_id: str | None) -> str:
    """Return the id of a logical write; gRPC's retries repeat it, which keeps `created` true."""
    return uuid.uuid4().hex if request_id is None else _text(request_id, "request_id")


def _text(text: str, field: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidName(
            f"{text!r} holds half of a character and can't be sent.",
            reason="TEXT_NOT_UTF8",
            field=field,
        ) from None
    return text


def _container(container: TagContainer) -> pb.TagContainer.ValueType:
    return pb.TagContainer.Value(f"TAG_CONTAINER_{container.name}")


def _genre(message: pb.Genre) -> Genre:
    return Genre(
        id=message.id,
        name=message.name,
        create_time=message.create_time.ToDatetime(UTC),
        update_time=message.update_time.ToDatetime(UTC),
        revision=message.revision,
        aliases=tuple(message.aliases),
        parent_ids=tuple(message.parent_ids),
        external_ids=dict(message.external_ids),
    )


def _resolution(message: pb.GetOrCreateResponse) -> Resolution:
    return Resolution(_genre(message.genre), message.created)


def _resolved_tags(message: pb.ResolveTagsResponse.Result) -> ResolvedTags:
    return ResolvedTags(
        genres=tuple(
            ResolvedGenre(
                _genre(each.genre), each.created, each.spelling, each.rule, each.key, each.pack
            )
            for each in message.genres
        ),
        dropped=tuple(DroppedPart(each.text, each.reason) for each in message.dropped),
        review=tuple(ReviewPart(each.text, each.rule) for each in message.review),
    )


def _step(message: pb.ExplainSpellingResponse.Step) -> ExplainedStep:
    return ExplainedStep(
        rule=message.rule,
        text=message.text,
        parts=tuple(message.parts),
        note=message.note,
        key=message.key,
        packs=tuple(message.packs),
        genre=_genre(message.genre) if message.HasField("genre") else None,
    )


def _imported_pack(message: pb.ImportPackResponse) -> ImportedPack:
    return ImportedPack(
        version=message.version,
        genres=message.genres,
        skipped=tuple(message.skipped),
        changed=message.changed,
        revision=message.revision,
    )


def _page(message: pb.ListGenresResponse) -> GenrePage:
    return GenrePage(
        genres=tuple(_genre(genre) for genre in message.genres),
        next_page_token=message.next_page_token,
        revision=message.revision,
        incarnation=message.incarnation,
    )
