"""
From the registry's values to the contract's messages.

A known genre's replies are encoded once and kept beside it. Messages concatenate on
the wire: a batch's reply is the replies to its names, one after the other.
Source: https://protobuf.dev/programming-guides/encoding/, "Last One Wins".
"""

from collections.abc import Sequence

from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from registry_server.hot_cache import Known
from registry_server.outcomes import (
    ExplainedStep,
    Listing,
    PackImport,
    Resolution,
    ResolvedPart,
    ResolvedTags,
)
from registry_server.transport.status import status_of
from registry_server.vocabulary.genre import Genre, State
from registry_server.vocabulary.refusals import GenreNotFound, RegistryError

STATES: dict[State, pb.GenreState.ValueType] = {
    State.ACTIVE: pb.GENRE_STATE_ACTIVE,
    State.DELETED: pb.GENRE_STATE_DELETED,
}


def genre_message(genre: Genre) -> pb.Genre:
    created = timestamp(genre.create_time_us)
    is_as_created = genre.update_time_us == genre.create_time_us
    message = pb.Genre(
        id=genre.id,
        name=genre.name,
        state=STATES[genre.state],
        create_time=created,
        update_time=created if is_as_created else timestamp(genre.update_time_us),
        revision=genre.revision,
    )
    # Most new names have none of these, and asking costs less than setting.
    if genre.aliases:
        message.aliases.extend(genre.aliases)
    if genre.parent_ids:
        message.parent_ids.extend(genre.parent_ids)
    if genre.external_ids:
        message.external_ids.update(genre.external_ids)
    if genre.description:
        message.description = genre.description
    return message


def single(known: Known) -> bytes:
    """Return the encoded answer to `GetOrCreate` for a genre that the call did not create."""
    if known.single is None:
        known.single = _get_or_create(known.genre, created=False).SerializeToString()
    return known.single


def resolution(resolved: Resolution) -> bytes:
    """Return the encoded answer to `GetOrCreate`."""
    if resolved.created:
        return _get_or_create(resolved.known.genre, created=True).SerializeToString()
    return single(resolved.known)


def batch(outcomes: list[Resolution | RegistryError]) -> bytes:
    """Return the encoded answer to `BatchGetOrCreate`."""
    return b"".join([_batched(at, outcome) for at, outcome in enumerate(outcomes)])


def _batched(at: int, outcome: Resolution | RegistryError) -> bytes:
    if isinstance(outcome, RegistryError):
        error = status_of(outcome, field=f"names[{at}]")
        return _one_result(pb.BatchGetOrCreateResponse.Result(error=error))
    known = outcome.known
    if outcome.created:
        reply = _get_or_create(known.genre, created=True)
        return _one_result(pb.BatchGetOrCreateResponse.Result(resolved=reply))
    if known.batched is None:
        reply = _get_or_create(known.genre, created=False)
        known.batched = _one_result(pb.BatchGetOrCreateResponse.Result(resolved=reply))
    return known.batched


def _one_result(result: pb.BatchGetOrCreateResponse.Result) -> bytes:
    return pb.BatchGetOrCreateResponse(results=[result]).SerializeToString()


def resolved_tags(results: list[ResolvedTags]) -> bytes:
    """Return the encoded answer to `ResolveTags`."""
    return b"".join([_resolved(result) for result in results])


def _resolved(result: ResolvedTags) -> bytes:
    genres = tuple([known.genre for known in result.knowns])
    if result.encoded is None or genres != result.encoded_for:
        message = pb.ResolveTagsResponse.Result(
            genres=[_resolved_genre(part) for part in result.parts],
            dropped=[
                pb.ResolveTagsResponse.DroppedPart(text=dropped.text, reason=dropped.reason)
                for dropped in result.dropped
            ],
            review=[
                pb.ResolveTagsResponse.ReviewPart(
                    text=undecided.spelling.text, rule=undecided.rule.value
                )
                for undecided in result.review
            ],
        )
        result.encoded = pb.ResolveTagsResponse(results=[message]).SerializeToString()
        result.encoded_for = genres
    return result.encoded


def _resolved_genre(part: ResolvedPart) -> pb.ResolveTagsResponse.ResolvedGenre:
    return pb.ResolveTagsResponse.ResolvedGenre(
        genre=_genre_or_would_be(part.resolution.known.genre),
        created=part.resolution.created,
        spelling=part.spelling.text,
        rule=part.rule.value,
        key=part.key,
        pack=part.meaning.origin.pack if part.meaning else "",
    )


def _genre_or_would_be(genre: Genre) -> pb.Genre:
    if genre.id:
        return genre_message(genre)
    return pb.Genre(name=genre.name, external_ids=dict(genre.external_ids))


def explained(steps: list[ExplainedStep]) -> pb.ExplainSpellingResponse:
    return pb.ExplainSpellingResponse(steps=[_explained_step(step) for step in steps])


def _explained_step(step: ExplainedStep) -> pb.ExplainSpellingResponse.Step:
    if step.split is not None:
        return pb.ExplainSpellingResponse.Step(
            rule=step.split.rule.value,
            text=step.split.text,
            parts=step.split.parts,
            note=step.split.note,
            packs=step.split.packs,
        )
    assert step.part is not None
    genre = step.part.resolution.known.genre
    is_blocked = not genre.is_active
    return pb.ExplainSpellingResponse.Step(
        rule="IDENTITY",
        text=step.part.spelling.text,
        parts=[] if is_blocked else [genre.name],
        note=step.note,
        key=step.key,
        packs=[step.part.meaning.origin.pack] if step.part.meaning else [],
        genre=None if is_blocked and not genre.id else _genre_or_would_be(genre),
    )


def pack_import(imported: PackImport) -> pb.ImportPackResponse:
    return pb.ImportPackResponse(
        version=imported.version,
        genres=imported.genres,
        skipped=imported.skipped,
        changed=imported.changed,
        revision=imported.revision,
    )


def found_genre(asked_id: int, genre: Genre) -> pb.GetGenreResponse:
    redirected_from_id = asked_id if asked_id != genre.id else 0
    return pb.GetGenreResponse(genre=genre_message(genre), redirected_from_id=redirected_from_id)


def found_genres(
    ids: Sequence[int], outcomes: list[Genre | GenreNotFound]
) -> pb.BatchGetGenresResponse:
    return pb.BatchGetGenresResponse(
        results=[
            pb.BatchGetGenresResponse.Result(error=status_of(outcome))
            if isinstance(outcome, GenreNotFound)
            else pb.BatchGetGenresResponse.Result(found=found_genre(asked_id, outcome))
            for asked_id, outcome in zip(ids, outcomes, strict=True)
        ]
    )


def listing(page: Listing) -> pb.ListGenresResponse:
    return pb.ListGenresResponse(
        genres=[genre_message(genre) for genre in page.genres],
        next_page_token=page.next_page_token,
        revision=page.revision,
        incarnation=page.incarnation,
    )


def _get_or_create(genre: Genre, *, created: bool) -> pb.GetOrCreateResponse:
    return pb.GetOrCreateResponse(genre=genre_message(genre), created=created)


def timestamp(time_us: int) -> Timestamp:
    """Return a moment, given in microseconds since 1970."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)
