"""Records of an export or an import, to the contract's messages and back."""

from collections.abc import Callable

from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from registry_server.transport.encode import STATES, genre_message, timestamp
from registry_server.transport.encode_curation import (
    CHANGE_TYPES,
    DECISIONS,
    change_message,
    review_message,
)
from registry_server.vocabulary.change import Change, ChangeKind, Difference
from registry_server.vocabulary.curation_refusals import RecordInvalid
from registry_server.vocabulary.edits import Decision, Review
from registry_server.vocabulary.genre import Genre, State
from registry_server.vocabulary.identity import Spelling, pinned_key
from registry_server.vocabulary.records import (
    BlockRecord,
    DetachedRecord,
    GenreRecord,
    PackRecord,
    Record,
    RegistryRecord,
    SpellingRecord,
)
from registry_server.vocabulary.refusals import InvalidName

_STATE_OF = {value: state for state, value in STATES.items()}
_KIND_OF = {value: kind for kind, value in CHANGE_TYPES.items()}
_DECISION_OF = {value: decision for decision, value in DECISIONS.items()}


def message_of_record(record: Record) -> pb.Record:
    match record:
        case GenreRecord():
            return pb.Record(genre=_genre_message(record))
        case Change():
            message = change_message(record)
            if record.genre is not None:
                message.genre.CopyFrom(genre_message(record.genre))
            return pb.Record(change=message)
        case Review():
            return pb.Record(review=review_message(record))
        case BlockRecord():
            block = pb.Record.Block(spelling=record.spelling, is_pinned=record.is_pinned)
            return pb.Record(block=block)
        case DetachedRecord():
            return pb.Record(detached=pb.Record.Detached(key=record.key))
        case PackRecord():
            pack = pb.Record.Pack(
                name=record.name, content=record.content, import_time=timestamp(record.time_us)
            )
            return pb.Record(pack=pack)
        case RegistryRecord():
            registry = pb.Record.Registry(
                format=record.format,
                incarnation=record.incarnation,
                revision=record.revision,
                last_genre_id=record.genre_id_last,
                export_time=timestamp(record.time_us),
                linked_by=record.linked_by,
            )
            return pb.Record(registry=registry)


def _genre_message(record: GenreRecord) -> pb.Record.Genre:
    return pb.Record.Genre(
        id=record.id,
        name=record.name,
        state=STATES[record.state],
        merged_into_id=record.merged_into_id,
        description=record.description,
        spellings=[pb.Record.Spelling(**each._asdict()) for each in record.spellings],
        parent_ids=record.parent_ids,
        external_ids=dict(record.external_ids),
        removed_parent_ids=record.removed_parent_ids,
        removed_external_ids=record.removed_external_ids,
        create_time=timestamp(record.create_time_us),
        update_time=timestamp(record.update_time_us),
        revision=record.revision,
        request_id=record.request_id,
    )


def record_of(message: pb.Record, at: int) -> Record:
    """
    Return the record that *message* is, the *at*-th of its import.

    Raises:
        RecordInvalid: it is none.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise RecordInvalid(at, "it is of no kind that is known here.")
    try:
        return _READ[kind](message)
    except InvalidName as refusal:
        raise RecordInvalid(at, refusal.message) from None
    except KeyError as unknown:
        raise RecordInvalid(at, f"{unknown} stands for nothing that is known here.") from None


def _registry(message: pb.Record) -> Record:
    registry = message.registry
    return RegistryRecord(
        registry.format,
        registry.incarnation,
        registry.revision,
        registry.last_genre_id,
        registry.linked_by,
        _time_us(registry.export_time),
    )


def _pack(message: pb.Record) -> Record:
    pack = message.pack
    return PackRecord(pack.name, pack.content, _time_us(pack.import_time))


def _genre(message: pb.Record) -> Record:
    genre = message.genre
    return GenreRecord(
        id=genre.id,
        name=genre.name,
        state=_state(genre.state),
        merged_into_id=genre.merged_into_id,
        description=genre.description,
        spellings=tuple(
            SpellingRecord(each.text, each.is_name, each.is_pinned, each.source)
            for each in genre.spellings
        ),
        parent_ids=tuple(genre.parent_ids),
        parents=tuple(genre.parents),
        external_ids=tuple(sorted(genre.external_ids.items())),
        removed_parent_ids=tuple(genre.removed_parent_ids),
        removed_external_ids=tuple(genre.removed_external_ids),
        create_time_us=_time_us(genre.create_time),
        update_time_us=_time_us(genre.update_time),
        revision=genre.revision,
        request_id=genre.request_id,
    )


def _review(message: pb.Record) -> Record:
    review = message.review
    spelling = Spelling.of(review.text)
    return Review(
        pinned_key(spelling.strict) if review.is_pinned else spelling.fold,
        review.text,
        review.rule,
        review.raw_value,
        _time_us(review.first_seen_time),
        review.times_seen,
        _decision(review.decision),
        tuple(review.names),
    )


def _change(message: pb.Record) -> Record:
    change = message.change
    return Change(
        change.revision,
        _kind(change.type),
        change.genre_id,
        change.source_id,
        change.spelling,
        _time_us(change.time),
        change.who,
        tuple(
            Difference(each.field, tuple(each.removed), tuple(each.added))
            for each in change.differences
        ),
        _snapshot(change.genre) if change.HasField("genre") else None,
    )


def _snapshot(message: pb.Genre) -> Genre:
    return Genre(
        message.id,
        message.name,
        message.revision,
        _time_us(message.create_time),
        _time_us(message.update_time),
        "",
        aliases=tuple(message.aliases),
        parent_ids=tuple(message.parent_ids),
        external_ids=tuple(sorted(message.external_ids.items())),
        state=_state(message.state),
        description=message.description,
    )


def _state(value: pb.GenreState.ValueType) -> State:
    return _STATE_OF[value] if value else State.ACTIVE


def _decision(value: pb.Review.Decision.ValueType) -> Decision:
    return _DECISION_OF[value]


def _kind(value: pb.ChangeType.ValueType) -> ChangeKind:
    return _KIND_OF[value]


def _time_us(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1000


_READ: dict[str, Callable[[pb.Record], Record]] = {
    "registry": _registry,
    "pack": _pack,
    "genre": _genre,
    "block": lambda message: BlockRecord(message.block.spelling, message.block.is_pinned),
    "detached": lambda message: DetachedRecord(message.detached.key),
    "review": _review,
    "change": _change,
}
