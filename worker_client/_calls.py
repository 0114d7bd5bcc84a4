"""The RPCs for workers and readers: what is sent, how long it may take, its meaning."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import (
    GenreCurationStub,
    GenreOperationsStub,
    GenreRegistryStub,
)
from google.protobuf.message import Message

from worker_client._convert import (
    all_resolved_tags_of,
    change_of_watch,
    container_of,
    found_of,
    genre_of,
    page_of,
    resolution_of,
    step_of,
    text_of,
    texts_of,
)
from worker_client._curation_values import GenreChange
from worker_client._deadlines import Deadlines
from worker_client._errors import RegistryError, error_of_status
from worker_client._values import (
    ExplainedStep,
    Genre,
    GenrePage,
    Resolution,
    ResolvedTags,
    TagContainer,
    TagSet,
)

BATCH_SIZE_MAX = 1000
"""Names, ids or tag sets in one request; the registry refuses more."""

Answer = TypeVar("Answer")
Stub = type[GenreRegistryStub] | type[GenreCurationStub] | type[GenreOperationsStub]


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """
    One call of the RPC *rpc*: its request, its deadline of a profile, its reply's meaning.

    Where requests are streamed, *request* gives them; where replies are, *meaning* is that
    of each. A deadline of None is none. *stub* is that of the service which has the RPC.
    """

    rpc: str
    request: Message | Iterator[Message]
    deadline_s: Callable[[Deadlines], float | None]
    meaning: Callable[[Any], Answer]
    stub: Stub = GenreRegistryStub

    @property
    def is_curation(self) -> bool:
        """Whether it may change what is known already."""
        return self.stub is not GenreRegistryStub


class Stubs:
    """The stubs on one channel, made while it is open: on a closed one gRPC would crash."""

    def __init__(self, channel: Any) -> None:
        kinds: tuple[Stub, ...] = (GenreRegistryStub, GenreCurationStub, GenreOperationsStub)
        self._made = {kind: kind(channel) for kind in kinds}

    def method(self, call: Call[Any]) -> Callable[..., Any]:
        """Return what makes *call* on the channel, awaitable if the channel is of asyncio."""
        method: Callable[..., Any] = getattr(self._made[call.stub], call.rpc)
        return method


def get_or_create(name: str, request_id: str | None) -> Call[Resolution]:
    request = pb.GetOrCreateRequest(name=text_of(name, "name"), request_id=_id_of(request_id))
    return Call("GetOrCreate", request, write_s, resolution_of)


def batch_get_or_create(
    names: Iterable[str], request_id: str | None
) -> Call[list[Resolution | RegistryError]]:
    request = pb.BatchGetOrCreateRequest(
        names=texts_of(names, "names"), request_id=_id_of(request_id)
    )
    return Call(
        "BatchGetOrCreate",
        request,
        batch_s,
        lambda reply: [
            resolution_of(result.resolved)
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
                values=texts_of(tag_set.values, f"tag_sets[{at}].values"),
                container=container_of(tag_set.container),
            )
            for at, tag_set in enumerate(tag_sets)
        ],
        request_id=_id_of(request_id),
        validate_only=validate_only,
    )
    return Call("ResolveTags", request, batch_s, all_resolved_tags_of)


def get_genre(genre_id: int) -> Call[Genre]:
    return Call("GetGenre", pb.GetGenreRequest(id=genre_id), read_s, found_of)


def batch_get_genres(ids: Iterable[int]) -> Call[list[Genre | RegistryError]]:
    return Call(
        "BatchGetGenres",
        pb.BatchGetGenresRequest(ids=ids),
        batch_s,
        lambda reply: [
            found_of(result.found) if result.HasField("found") else error_of_status(result.error)
            for result in reply.results
        ],
    )


def lookup_genre(name: str) -> Call[Genre]:
    request = pb.LookupGenreRequest(name=text_of(name, "name"))
    return Call("LookupGenre", request, read_s, lambda reply: genre_of(reply.genre))


def list_genres(
    page_size: int, page_token: str, *, parent_id: int, show_deleted: bool
) -> Call[GenrePage]:
    request = pb.ListGenresRequest(
        page_size=page_size,
        page_token=text_of(page_token, "page_token"),
        parent_id=parent_id,
        show_deleted=show_deleted,
    )
    return Call("ListGenres", request, read_s, page_of)


def standing() -> Call[GenrePage]:
    """Return the call that tells the registry's revision and incarnation."""
    return list_genres(1, "", parent_id=0, show_deleted=False)


def search_genres(query: str, limit: int) -> Call[list[Genre]]:
    request = pb.SearchGenresRequest(query=text_of(query, "query"), limit=limit)
    return Call(
        "SearchGenres", request, read_s, lambda reply: [genre_of(each) for each in reply.genres]
    )


def watch_genres(start_revision: int, incarnation: str) -> Call[GenreChange]:
    request = pb.WatchGenresRequest(
        start_revision=start_revision, incarnation=text_of(incarnation, "incarnation")
    )
    return Call("WatchGenres", request, lambda _deadlines: None, change_of_watch)


def explain_spelling(value: str, container: TagContainer) -> Call[list[ExplainedStep]]:
    request = pb.ExplainSpellingRequest(
        value=text_of(value, "value"), container=container_of(container)
    )
    return Call(
        "ExplainSpelling", request, read_s, lambda reply: [step_of(step) for step in reply.steps]
    )


def read_s(deadlines: Deadlines) -> float:
    return deadlines.read_s


def write_s(deadlines: Deadlines) -> float:
    return deadlines.write_s


def batch_s(deadlines: Deadlines) -> float:
    return deadlines.batch_s


def transfer_s(deadlines: Deadlines) -> float:
    return deadlines.transfer_s


def _id_of(request_id: str | None) -> str:
    """Return the id of a logical write; gRPC's retries repeat it, which keeps `created` true."""
    return uuid.uuid4().hex if request_id is None else text_of(request_id, "request_id")
