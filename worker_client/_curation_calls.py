"""The RPCs for curators: what is sent, how long it may take, its meaning."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreCurationStub
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from worker_client._calls import Call, batch_s, read_s, write_s
from worker_client._convert import (
    change_of,
    genre_of,
    merged_of,
    resolution_of,
    review_of,
    settled_of,
    text_of,
    texts_of,
    unmerged_of,
)
from worker_client._curation_values import (
    Change,
    MergedGenres,
    Review,
    ReviewDecision,
    SettledReview,
    Settlement,
    UnmergedGenre,
)
from worker_client._deadlines import Deadlines
from worker_client._values import Genre, Resolution

Answer = TypeVar("Answer")

PAGE_SIZE = 100
"""Of reviews and of changes: who reads them often stops early."""


def update_genre(
    genre_id: int,
    *,
    name: str | None,
    description: str | None,
    parent_ids: Iterable[int] | None,
    external_ids: Mapping[str, str] | None,
    expected_revision: int,
) -> Call[Genre]:
    genre = pb.Genre(id=genre_id)
    mask = FieldMask()
    if name is not None:
        genre.name = text_of(name, "genre.name")
        mask.paths.append("name")
    if description is not None:
        genre.description = text_of(description, "genre.description")
        mask.paths.append("description")
    if parent_ids is not None:
        genre.parent_ids.extend(parent_ids)
        mask.paths.append("parent_ids")
    if external_ids is not None:
        for whose, value in external_ids.items():
            field = "genre.external_ids"
            genre.external_ids[text_of(whose, field)] = text_of(value, field)
        mask.paths.append("external_ids")
    request = pb.UpdateGenreRequest(
        genre=genre, update_mask=mask, expected_revision=expected_revision
    )
    return _curating("UpdateGenre", request, _changed)


def add_alias(genre_id: int, alias: str, *, expected_revision: int) -> Call[Genre]:
    request = pb.AddAliasRequest(
        genre_id=genre_id, alias=text_of(alias, "alias"), expected_revision=expected_revision
    )
    return _curating("AddAlias", request, _changed)


def remove_alias(genre_id: int, alias: str, *, expected_revision: int) -> Call[Genre]:
    request = pb.RemoveAliasRequest(
        genre_id=genre_id, alias=text_of(alias, "alias"), expected_revision=expected_revision
    )
    return _curating("RemoveAlias", request, _changed)


def merge_genres(
    source_ids: Iterable[int], target_id: int, *, expected_revision: int, validate_only: bool
) -> Call[MergedGenres]:
    request = pb.MergeGenresRequest(
        source_ids=source_ids,
        target_id=target_id,
        expected_revision=expected_revision,
        validate_only=validate_only,
    )
    return _curating("MergeGenres", request, merged_of, deadline_s=batch_s)


def unmerge_genre(source_id: int) -> Call[UnmergedGenre]:
    return _curating("UnmergeGenre", pb.UnmergeGenreRequest(source_id=source_id), unmerged_of)


def delete_genre(genre_id: int, *, expected_revision: int) -> Call[Genre]:
    request = pb.DeleteGenreRequest(id=genre_id, expected_revision=expected_revision)
    return _curating("DeleteGenre", request, _changed)


def undelete_genre(genre_id: int, *, expected_revision: int) -> Call[Genre]:
    request = pb.UndeleteGenreRequest(id=genre_id, expected_revision=expected_revision)
    return _curating("UndeleteGenre", request, _changed)


def block_spelling(spelling: str) -> Call[Genre | None]:
    request = pb.BlockSpellingRequest(spelling=text_of(spelling, "spelling"))
    return _curating(
        "BlockSpelling",
        request,
        lambda reply: genre_of(reply.genre) if reply.HasField("genre") else None,
    )


def unblock_spelling(spelling: str) -> Call[None]:
    request = pb.UnblockSpellingRequest(spelling=text_of(spelling, "spelling"))
    return _curating("UnblockSpelling", request, lambda _reply: None)


def distinguish_spelling(spelling: str, genre_id: int) -> Call[Resolution]:
    request = pb.DistinguishSpellingRequest(
        spelling=text_of(spelling, "spelling"), genre_id=genre_id
    )
    return _curating("DistinguishSpelling", request, resolution_of)


def list_reviews(page_token: str, *, show_settled: bool) -> Call[tuple[list[Review], str]]:
    request = pb.ListReviewsRequest(
        page_size=PAGE_SIZE, page_token=page_token, show_settled=show_settled
    )
    return _curating(
        "ListReviews",
        request,
        lambda reply: ([review_of(each) for each in reply.reviews], reply.next_page_token),
        deadline_s=read_s,
    )


def settle_review(text: str, settlement: Settlement) -> Call[SettledReview]:
    request = pb.SettleReviewRequest(text=text_of(text, "text"))
    if settlement.decision is ReviewDecision.KEEP:
        request.keep.SetInParent()
    elif settlement.decision is ReviewDecision.DROP:
        request.drop.SetInParent()
    elif settlement.decision is ReviewDecision.ALIAS:
        request.alias.genre_id = settlement.genre_id
        request.alias.SetInParent()
    elif settlement.decision is ReviewDecision.EXPAND:
        request.expand.names.extend(texts_of(settlement.names, "expand.names"))
        request.expand.SetInParent()
    return _curating("SettleReview", request, settled_of)


def list_history(page_token: str, *, genre_id: int) -> Call[tuple[list[Change], str]]:
    request = pb.ListHistoryRequest(genre_id=genre_id, page_size=PAGE_SIZE, page_token=page_token)
    return _curating(
        "ListHistory",
        request,
        lambda reply: ([change_of(each) for each in reply.changes], reply.next_page_token),
        deadline_s=read_s,
    )


def _curating(
    rpc: str,
    request: Message,
    meaning: Callable[[Any], Answer],
    *,
    deadline_s: Callable[[Deadlines], float] = write_s,
) -> Call[Answer]:
    return Call(rpc, request, deadline_s, meaning, GenreCurationStub)


def _changed(reply: Any) -> Genre:
    """The meaning of the replies that hold just the genre after the change."""
    return genre_of(reply.genre)
