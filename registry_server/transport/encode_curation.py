"""As `encode`, of what curators and watchers are answered."""

from genre_registry.v1 import genre_registry_pb2 as pb

from registry_server.change_feed import Heartbeat
from registry_server.outcomes import History, Reviews
from registry_server.transport.encode import genre_message, timestamp
from registry_server.vocabulary.change import Change, ChangeKind
from registry_server.vocabulary.edits import Decision, Edited, Review
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import PIN

CHANGE_TYPES: dict[ChangeKind, pb.ChangeType.ValueType] = {
    kind: pb.ChangeType.Value(f"CHANGE_TYPE_{kind.name}") for kind in ChangeKind
}
DECISIONS: dict[Decision, pb.Review.Decision.ValueType] = {
    Decision.NONE: pb.Review.DECISION_UNSPECIFIED,
    Decision.KEEP: pb.Review.DECISION_KEEP,
    Decision.DROP: pb.Review.DECISION_DROP,
    Decision.ALIAS: pb.Review.DECISION_ALIAS,
    Decision.EXPAND: pb.Review.DECISION_EXPAND,
}


def message_of(genre: Genre | None) -> pb.Genre | None:
    """Return the message of a genre that may not be there."""
    return genre_message(genre) if genre is not None else None


def merged(edited: Edited) -> pb.MergeGenresResponse:
    return pb.MergeGenresResponse(
        genre=message_of(edited.genre),
        redirected_ids=edited.redirected_ids,
        reparented=map(genre_message, edited.reparented),
        clashes=[
            pb.MergeGenresResponse.Clash(
                whose=clash.whose,
                kept=clash.kept,
                hidden=clash.hidden,
                source_id=clash.source_id,
            )
            for clash in edited.clashes
        ],
    )


def settled(edited: Edited) -> pb.SettleReviewResponse:
    assert edited.review is not None
    return pb.SettleReviewResponse(
        review=review_message(edited.review), genres=map(genre_message, edited.genres)
    )


def reviews(page: Reviews) -> pb.ListReviewsResponse:
    return pb.ListReviewsResponse(
        reviews=map(review_message, page.reviews), next_page_token=page.next_page_token
    )


def review_message(review: Review) -> pb.Review:
    return pb.Review(
        text=review.text,
        rule=review.rule,
        raw_value=review.raw_value,
        first_seen_time=timestamp(review.first_seen_us),
        times_seen=review.times_seen,
        genre=message_of(review.genre),
        decision=DECISIONS[review.decision],
        names=review.names,
        is_pinned=review.key.startswith(PIN),
    )


def history(page: History) -> pb.ListHistoryResponse:
    return pb.ListHistoryResponse(
        changes=map(change_message, page.changes), next_page_token=page.next_page_token
    )


def change_message(change: Change) -> pb.Change:
    return pb.Change(
        revision=change.revision,
        type=CHANGE_TYPES[change.kind],
        time=timestamp(change.time_us),
        who=change.who,
        genre_id=change.genre_id,
        source_id=change.source_id,
        spelling=change.spelling,
        differences=[
            pb.Change.Difference(field=each.field, removed=each.removed, added=each.added)
            for each in change.differences
        ],
    )


def heartbeat(item: Heartbeat) -> bytes:
    message = pb.WatchGenresResponse(revision=item.revision, incarnation=item.incarnation)
    return message.SerializeToString()


def watched(change: Change, incarnation: str) -> bytes:
    return pb.WatchGenresResponse(
        revision=change.revision,
        type=CHANGE_TYPES[change.kind],
        genre=message_of(change.genre),
        source_id=change.source_id,
        spelling=change.spelling,
        incarnation=incarnation,
    ).SerializeToString()
