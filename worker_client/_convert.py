"""Between the contract's messages and plain values, alike for both clients."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from worker_client._curation_values import (
    Change,
    ChangeType,
    Difference,
    GenreChange,
    IdClash,
    MergedGenres,
    Review,
    ReviewDecision,
    SettledReview,
    UnmergedGenre,
)
from worker_client._errors import InvalidName
from worker_client._transfer_values import ImportedId, ImportProblem, ImportProgress
from worker_client._values import (
    DroppedPart,
    ExplainedStep,
    Genre,
    GenrePage,
    GenreState,
    ImportedPack,
    Resolution,
    ResolvedGenre,
    ResolvedTags,
    ReviewPart,
    TagContainer,
)


def text_of(text: str, field: str) -> str:
    """Return *text*, if the wire can carry it; else refuse it, as *field* of the request."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidName(
            f"{text!r} holds half of a character and can't be sent.",
            reason="TEXT_NOT_UTF8",
            field=field,
        ) from None
    return text


def texts_of(texts: Iterable[str], field: str) -> list[str]:
    """Return what `text_of` does for each of *texts*."""
    return [text_of(text, f"{field}[{at}]") for at, text in enumerate(texts)]


def container_of(container: TagContainer) -> pb.TagContainer.ValueType:
    return pb.TagContainer.Value(f"TAG_CONTAINER_{container.name}")


def genre_of(message: pb.Genre, *, redirected_from_id: int = 0) -> Genre:
    return Genre(
        id=message.id,
        name=message.name,
        create_time=_moment_of(message.create_time),
        update_time=_moment_of(message.update_time),
        revision=message.revision,
        aliases=tuple(message.aliases),
        parent_ids=tuple(message.parent_ids),
        external_ids=dict(message.external_ids),
        state=_STATES.get(message.state, GenreState.ACTIVE),
        description=message.description,
        redirected_from_id=redirected_from_id,
    )


def _moment_of(timestamp: Timestamp) -> datetime:
    # ToDatetime takes ten times as long, and half of what a genre takes.
    at = datetime.fromtimestamp(timestamp.seconds, UTC)
    return at.replace(microsecond=timestamp.nanos // 1000)


_STATES: dict[int, GenreState] = {state.value: state for state in GenreState}
_CHANGE_TYPES: dict[int, ChangeType] = {kind.value: kind for kind in ChangeType}
_DECISIONS: dict[int, ReviewDecision] = {each.value: each for each in ReviewDecision}


def found_of(message: pb.GetGenreResponse) -> Genre:
    return genre_of(message.genre, redirected_from_id=message.redirected_from_id)


def resolution_of(
    message: pb.GetOrCreateResponse | pb.DistinguishSpellingResponse,
) -> Resolution:
    return Resolution(genre_of(message.genre), message.created)


def all_resolved_tags_of(reply: pb.ResolveTagsResponse) -> list[ResolvedTags]:
    """Return what each tag set came to; a genre that several name is one value."""
    genres: dict[tuple[int, int], Genre] = {}

    def once(message: pb.Genre) -> Genre:
        if not message.id:  # would be created: there may be others
            return genre_of(message)
        key = message.id, message.revision
        genre = genres.get(key)
        if genre is None:
            genre = genres[key] = genre_of(message)
        return genre

    return [_resolved_tags_of(result, once) for result in reply.results]


def _resolved_tags_of(
    message: pb.ResolveTagsResponse.Result, genre: Callable[[pb.Genre], Genre]
) -> ResolvedTags:
    return ResolvedTags(
        genres=tuple(
            [
                ResolvedGenre(
                    genre(each.genre), each.created, each.spelling, each.rule, each.key, each.pack
                )
                for each in message.genres
            ]
        ),
        dropped=tuple(DroppedPart(each.text, each.reason) for each in message.dropped),
        review=tuple(ReviewPart(each.text, each.rule) for each in message.review),
    )


def step_of(message: pb.ExplainSpellingResponse.Step) -> ExplainedStep:
    return ExplainedStep(
        rule=message.rule,
        text=message.text,
        parts=tuple(message.parts),
        note=message.note,
        key=message.key,
        packs=tuple(message.packs),
        genre=genre_of(message.genre) if message.HasField("genre") else None,
    )


def imported_pack_of(message: pb.ImportPackResponse) -> ImportedPack:
    return ImportedPack(
        version=message.version,
        genres=message.genres,
        skipped=tuple(message.skipped),
        changed=message.changed,
        revision=message.revision,
    )


def page_of(message: pb.ListGenresResponse) -> GenrePage:
    return GenrePage(
        genres=tuple(genre_of(genre) for genre in message.genres),
        next_page_token=message.next_page_token,
        revision=message.revision,
        incarnation=message.incarnation,
    )


def change_of_watch(message: pb.WatchGenresResponse) -> GenreChange:
    return GenreChange(
        revision=message.revision,
        type=_CHANGE_TYPES.get(message.type, ChangeType.OTHER),
        genre=genre_of(message.genre) if message.HasField("genre") else None,
        source_id=message.source_id,
        spelling=message.spelling,
        incarnation=message.incarnation,
    )


def change_of(message: pb.Change) -> Change:
    return Change(
        revision=message.revision,
        type=_CHANGE_TYPES.get(message.type, ChangeType.OTHER),
        time=message.time.ToDatetime(UTC),
        who=message.who,
        genre_id=message.genre_id,
        source_id=message.source_id,
        spelling=message.spelling,
        differences=tuple(
            Difference(each.field, tuple(each.removed), tuple(each.added))
            for each in message.differences
        ),
    )


def merged_of(message: pb.MergeGenresResponse) -> MergedGenres:
    return MergedGenres(
        genre=genre_of(message.genre),
        redirected_ids=tuple(message.redirected_ids),
        reparented=tuple(map(genre_of, message.reparented)),
        clashes=tuple(
            IdClash(each.whose, each.kept, each.hidden, each.source_id) for each in message.clashes
        ),
    )


def unmerged_of(message: pb.UnmergeGenreResponse) -> UnmergedGenre:
    return UnmergedGenre(genre_of(message.genre), genre_of(message.survivor))


def review_of(message: pb.Review) -> Review:
    return Review(
        text=message.text,
        rule=message.rule,
        raw_value=message.raw_value,
        first_seen_time=message.first_seen_time.ToDatetime(UTC),
        times_seen=message.times_seen,
        genre=genre_of(message.genre) if message.HasField("genre") else None,
        decision=_DECISIONS.get(message.decision, ReviewDecision.UNDECIDED),
        names=tuple(message.names),
    )


def settled_of(message: pb.SettleReviewResponse) -> SettledReview:
    return SettledReview(review_of(message.review), tuple(map(genre_of, message.genres)))


def progress_of(message: pb.ImportResponse) -> ImportProgress:
    return ImportProgress(
        done=message.done,
        total=message.total,
        created=message.created,
        changed=message.changed,
        mappings=tuple(
            ImportedId(each.old_id, each.new_id, each.name) for each in message.mappings
        ),
        problems=tuple(
            ImportProblem(each.record, each.text, each.reason, each.message)
            for each in message.problems
        ),
        revision=message.revision,
    )
