"""The service `GenreCuration`: one method an RPC, bytes in, a message out."""

from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.message import Message

from registry_server.curation import MASKED, Curation
from registry_server.transport import encode_curation
from registry_server.transport.calls import caller_of, deadline_s_of
from registry_server.transport.decode import decode
from registry_server.transport.encode_curation import message_of
from registry_server.vocabulary.edits import Decision, Edited
from registry_server.vocabulary.genre import Genre

Context = grpc.aio.ServicerContext[Any, Any]

_SETTLEMENTS = {
    None: Decision.NONE,
    "keep": Decision.KEEP,
    "drop": Decision.DROP,
    "alias": Decision.ALIAS,
    "expand": Decision.EXPAND,
}


class GenreCurationServicer:
    """Decodes, asks the curation, encodes. Refusals pass through to `calls.answering`."""

    def __init__(self, curation: Curation) -> None:
        self._curation = curation

    async def UpdateGenre(self, data: bytes, context: Context) -> Message:
        request = decode(pb.UpdateGenreRequest, data)
        edited = await self._curation.update_genre(
            _wanted(request.genre),
            _mask(request),
            request.expected_revision,
            **_call(context),
        )
        return pb.UpdateGenreResponse(genre=message_of(edited.genre))

    async def AddAlias(self, data: bytes, context: Context) -> Message:
        request = decode(pb.AddAliasRequest, data)
        edited = await self._curation.add_alias(
            request.genre_id, request.alias, request.expected_revision, **_call(context)
        )
        return pb.AddAliasResponse(genre=message_of(edited.genre))

    async def RemoveAlias(self, data: bytes, context: Context) -> Message:
        request = decode(pb.RemoveAliasRequest, data)
        edited = await self._curation.remove_alias(
            request.genre_id, request.alias, request.expected_revision, **_call(context)
        )
        return pb.RemoveAliasResponse(genre=message_of(edited.genre))

    async def MergeGenres(self, data: bytes, context: Context) -> Message:
        request = decode(pb.MergeGenresRequest, data)
        edited = await self._curation.merge_genres(
            request.source_ids,
            request.target_id,
            request.expected_revision,
            validate_only=request.validate_only,
            **_call(context),
        )
        return encode_curation.merged(edited)

    async def UnmergeGenre(self, data: bytes, context: Context) -> Message:
        request = decode(pb.UnmergeGenreRequest, data)
        edited = await self._curation.unmerge_genre(request.source_id, **_call(context))
        return pb.UnmergeGenreResponse(
            genre=message_of(edited.genre), survivor=message_of(edited.survivor)
        )

    async def DeleteGenre(self, data: bytes, context: Context) -> Message:
        request = decode(pb.DeleteGenreRequest, data)
        edited = await self._curation.delete_genre(
            request.id, request.expected_revision, **_call(context)
        )
        return pb.DeleteGenreResponse(genre=message_of(edited.genre))

    async def UndeleteGenre(self, data: bytes, context: Context) -> Message:
        request = decode(pb.UndeleteGenreRequest, data)
        edited = await self._curation.undelete_genre(
            request.id, request.expected_revision, **_call(context)
        )
        return pb.UndeleteGenreResponse(genre=message_of(edited.genre))

    async def BlockSpelling(self, data: bytes, context: Context) -> Message:
        request = decode(pb.BlockSpellingRequest, data)
        edited = await self._curation.block_spelling(request.spelling, **_call(context))
        return pb.BlockSpellingResponse(genre=message_of(edited.genre))

    async def UnblockSpelling(self, data: bytes, context: Context) -> Message:
        request = decode(pb.UnblockSpellingRequest, data)
        await self._curation.unblock_spelling(request.spelling, **_call(context))
        return pb.UnblockSpellingResponse()

    async def DistinguishSpelling(self, data: bytes, context: Context) -> Message:
        request = decode(pb.DistinguishSpellingRequest, data)
        edited = await self._curation.distinguish_spelling(
            request.spelling, request.genre_id, **_call(context)
        )
        return pb.DistinguishSpellingResponse(
            genre=message_of(edited.genre), created=edited.created
        )

    async def ListReviews(self, data: bytes, _context: Context) -> Message:
        request = decode(pb.ListReviewsRequest, data)
        page = await self._curation.reviews(
            request.page_size, request.page_token, show_settled=request.show_settled
        )
        return encode_curation.reviews(page)

    async def SettleReview(self, data: bytes, context: Context) -> Message:
        request = decode(pb.SettleReviewRequest, data)
        edited: Edited = await self._curation.settle_review(
            request.text,
            _SETTLEMENTS[request.WhichOneof("settlement")],
            target_id=request.alias.genre_id,
            names=request.expand.names,
            **_call(context),
        )
        return encode_curation.settled(edited)

    async def ListHistory(self, data: bytes, _context: Context) -> Message:
        request = decode(pb.ListHistoryRequest, data)
        page = await self._curation.history(request.genre_id, request.page_size, request.page_token)
        return encode_curation.history(page)


def _call(context: Context) -> dict[str, Any]:
    return {"deadline_s": deadline_s_of(context), "who": caller_of(context)}


def _wanted(message: pb.Genre) -> Genre:
    """Return the fields of a genre that a curator may want to be otherwise."""
    return Genre(
        *(message.id, message.name, 0, 0, 0, ""),
        parent_ids=tuple(message.parent_ids),
        external_ids=tuple(message.external_ids.items()),
        description=message.description,
    )


def _mask(request: pb.UpdateGenreRequest) -> list[str]:
    """
    Return the fields to replace: those that are set, if no mask says.

    Source: AIP-134, "Update", on an omitted mask.
    """
    if request.HasField("update_mask"):
        return list(request.update_mask.paths)
    return [field for field in MASKED if getattr(request.genre, field)]
