"""The service `GenreRegistry`: one method an RPC, bytes in, bytes out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.message import DecodeError, Message

from registry_server.change_feed import ChangeFeed, Heartbeat
from registry_server.hot_cache import Recent
from registry_server.registry import Registry
from registry_server.tag_resolver import HOT_TAG_SETS_MAX, TagResolver, TagSet
from registry_server.transport import encode
from registry_server.transport.calls import caller_of, deadline_s_of
from registry_server.transport.decode import decode, envelope_of, strings_of
from registry_server.vocabulary.identity import has_surrogates
from registry_server.vocabulary.refusals import TextNotUtf8

Context = grpc.aio.ServicerContext[Any, Any]

SERVICES = pb.DESCRIPTOR.services_by_name
"""The services of the contract, by name."""

_ID3 = frozenset({pb.TAG_CONTAINER_ID3V1, pb.TAG_CONTAINER_ID3V23, pb.TAG_CONTAINER_ID3V24})
"""The containers in which numbers stand for names."""
SEEN_BYTES_MAX = 400
"""Most bytes of a tag set that is remembered as it came."""
_Envelope = envelope_of(pb.ResolveTagsRequest, "tag_sets")


class GenreRegistryServicer:
    """Decodes, asks the registry, encodes. Refusals pass through to `calls.answering`."""

    def __init__(self, registry: Registry, resolver: TagResolver, feed: ChangeFeed) -> None:
        self._registry = registry
        self._resolver = resolver
        self._feed = feed
        self._seen = Recent[bytes, TagSet](HOT_TAG_SETS_MAX)

    async def GetOrCreate(self, data: bytes, context: Context) -> bytes:
        request = decode(pb.GetOrCreateRequest, data)
        known = self._registry.hit(request.name, request.request_id)
        if known is not None:
            return encode.single(known)
        resolution = await self._registry.get_or_create(
            request.name,
            request.request_id,
            deadline_s=deadline_s_of(context),
            who=caller_of(context),
        )
        return encode.resolution(resolution)

    async def BatchGetOrCreate(self, data: bytes, context: Context) -> bytes:
        names, request_id = _names_and_request_id(data)
        outcomes = await self._registry.get_or_create_all(
            names, request_id, deadline_s=deadline_s_of(context), who=caller_of(context)
        )
        return encode.batch(outcomes)

    async def ResolveTags(self, data: bytes, context: Context) -> bytes:
        request, tag_sets = self._tag_sets(data)
        results = await self._resolver.resolve(
            tag_sets,
            request.request_id,
            deadline_s=deadline_s_of(context),
            validate_only=request.validate_only,
            who=caller_of(context),
        )
        return encode.resolved_tags(results)

    def _tag_sets(self, data: bytes) -> tuple[Any, list[TagSet]]:
        """Return a request and its tag sets; one that was read before is not read again."""
        try:
            request = _Envelope.FromString(data)
            return request, [self._seen.get(raw) or self._tag_set(raw) for raw in request.tag_sets]
        except DecodeError:
            # Once more as a whole, to say where.
            decode(pb.ResolveTagsRequest, data)
            raise

    def _tag_set(self, raw: bytes) -> TagSet:
        message = pb.TagSet.FromString(raw)
        tag_set = TagSet(tuple(message.values), message.container in _ID3)
        if len(raw) <= SEEN_BYTES_MAX:
            self._seen.put(raw, tag_set)
        return tag_set

    async def ExplainSpelling(self, data: bytes, context: Context) -> Message:
        request = decode(pb.ExplainSpellingRequest, data)
        tag_set = TagSet((request.value,), request.container in _ID3)
        return encode.explained(
            await self._resolver.explain(tag_set, deadline_s=deadline_s_of(context))
        )

    async def GetGenre(self, data: bytes, _context: Context) -> Message:
        request = decode(pb.GetGenreRequest, data)
        genre = await self._registry.genre(request.id)
        return encode.found_genre(request.id, genre)

    async def BatchGetGenres(self, data: bytes, _context: Context) -> Message:
        request = decode(pb.BatchGetGenresRequest, data)
        return encode.found_genres(request.ids, await self._registry.genres(list(request.ids)))

    async def LookupGenre(self, data: bytes, context: Context) -> Message:
        request = decode(pb.LookupGenreRequest, data)
        genre = await self._registry.lookup(request.name, deadline_s=deadline_s_of(context))
        return pb.LookupGenreResponse(genre=encode.genre_message(genre))

    async def ListGenres(self, data: bytes, _context: Context) -> Message:
        request = decode(pb.ListGenresRequest, data)
        page = await self._registry.listing(
            request.page_size,
            request.page_token,
            parent_id=request.parent_id,
            show_deleted=request.show_deleted,
        )
        return encode.listing(page)

    async def SearchGenres(self, data: bytes, context: Context) -> Message:
        request = decode(pb.SearchGenresRequest, data)
        found = await self._registry.search(
            request.query, request.limit, deadline_s=deadline_s_of(context)
        )
        return pb.SearchGenresResponse(genres=map(encode.genre_message, found))

    async def WatchGenres(self, data: bytes, _context: Context) -> AsyncGenerator[bytes]:
        request = decode(pb.WatchGenresRequest, data)
        from registry_server.transport.encode_curation import heartbeat, watched

        watch = self._feed.watch(request.start_revision, request.incarnation, watched)
        async with aclosing(watch) as items:
            async for item in items:
                yield heartbeat(item) if isinstance(item, Heartbeat) else item


def _names_and_request_id(data: bytes) -> tuple[list[str], str]:
    """Return what a batch asks; a name that is not UTF-8 is that name's own affair."""
    try:
        request = decode(pb.BatchGetOrCreateRequest, data)
    except TextNotUtf8:
        names = strings_of(pb.BatchGetOrCreateRequest, data, "names")
        request_id = "".join(strings_of(pb.BatchGetOrCreateRequest, data, "request_id")[-1:])
        if has_surrogates(request_id):
            raise
        return names, request_id
    return list(request.names), request.request_id
