"""One table: which status answers which refusal, with what details."""

import secrets

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from registry_server.vocabulary import backup, curation_refusals, refusals
from registry_server.vocabulary.refusals import InvalidRequest, RegistryError, TryLater

DOMAIN = "genre-registry"
"""The `ErrorInfo.domain` of every refusal."""

STATUS_FOR: dict[type[RegistryError], StatusCode] = {
    refusals.NameEmpty: StatusCode.INVALID_ARGUMENT,
    refusals.NameTooLong: StatusCode.INVALID_ARGUMENT,
    refusals.NameHasControlCharacter: StatusCode.INVALID_ARGUMENT,
    refusals.TextNotUtf8: StatusCode.INVALID_ARGUMENT,
    refusals.NameWithoutKey: StatusCode.INVALID_ARGUMENT,
    refusals.BatchTooLarge: StatusCode.INVALID_ARGUMENT,
    refusals.RequestIdTooLong: StatusCode.INVALID_ARGUMENT,
    refusals.PageSizeNegative: StatusCode.INVALID_ARGUMENT,
    refusals.PageTokenInvalid: StatusCode.INVALID_ARGUMENT,
    refusals.PackUnknown: StatusCode.INVALID_ARGUMENT,
    refusals.PackInvalid: StatusCode.INVALID_ARGUMENT,
    refusals.MessageMalformed: StatusCode.INVALID_ARGUMENT,
    refusals.TokenInvalid: StatusCode.UNAUTHENTICATED,
    refusals.PlaintextRefused: StatusCode.UNAUTHENTICATED,
    refusals.RoleTooLow: StatusCode.PERMISSION_DENIED,
    refusals.MessageTooLarge: StatusCode.INVALID_ARGUMENT,
    refusals.GenreNotFound: StatusCode.NOT_FOUND,
    curation_refusals.UpdateMaskInvalid: StatusCode.INVALID_ARGUMENT,
    curation_refusals.DescriptionTooLong: StatusCode.INVALID_ARGUMENT,
    curation_refusals.ExternalIdInvalid: StatusCode.INVALID_ARGUMENT,
    curation_refusals.NothingToMerge: StatusCode.INVALID_ARGUMENT,
    curation_refusals.SettlementMissing: StatusCode.INVALID_ARGUMENT,
    curation_refusals.RevisionNegative: StatusCode.INVALID_ARGUMENT,
    curation_refusals.RecordInvalid: StatusCode.INVALID_ARGUMENT,
    curation_refusals.SpellingNotFound: StatusCode.NOT_FOUND,
    curation_refusals.SpellingBlocked: StatusCode.FAILED_PRECONDITION,
    curation_refusals.SpellingTaken: StatusCode.FAILED_PRECONDITION,
    curation_refusals.SpellingIsName: StatusCode.FAILED_PRECONDITION,
    curation_refusals.ExternalIdTaken: StatusCode.FAILED_PRECONDITION,
    curation_refusals.ParentCycle: StatusCode.FAILED_PRECONDITION,
    curation_refusals.GenreMerged: StatusCode.FAILED_PRECONDITION,
    curation_refusals.GenreDeleted: StatusCode.FAILED_PRECONDITION,
    curation_refusals.GenreNotMerged: StatusCode.FAILED_PRECONDITION,
    curation_refusals.RegistryNotEmpty: StatusCode.FAILED_PRECONDITION,
    curation_refusals.RevisionMismatch: StatusCode.ABORTED,
    curation_refusals.HistoryTrimmed: StatusCode.OUT_OF_RANGE,
    curation_refusals.WatcherTooSlow: StatusCode.UNAVAILABLE,
    backup.BackupTargetInvalid: StatusCode.INVALID_ARGUMENT,
    backup.BackupTargetTaken: StatusCode.ALREADY_EXISTS,
    backup.BackupTargetIsDatabase: StatusCode.FAILED_PRECONDITION,
    backup.BackupTargetUnwritable: StatusCode.FAILED_PRECONDITION,
    backup.BackupDiskFull: StatusCode.RESOURCE_EXHAUSTED,
    backup.BackupFailed: StatusCode.DATA_LOSS,
    backup.BackupStopped: StatusCode.CANCELLED,
    refusals.Overloaded: StatusCode.UNAVAILABLE,
    refusals.ShuttingDown: StatusCode.UNAVAILABLE,
    refusals.DeadlinePassed: StatusCode.DEADLINE_EXCEEDED,
    refusals.StorageFull: StatusCode.RESOURCE_EXHAUSTED,
    refusals.StorageFailed: StatusCode.UNAVAILABLE,
}


def status_of(refusal: RegistryError, *, field: str | None = None) -> status_pb2.Status:
    """
    Return *refusal* as a `google.rpc.Status`.

    Args:
        field: Where the fault is, if not where the refusal says ("names[3]").
    """
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=refusal.reason, domain=DOMAIN, metadata=dict(refusal.metadata)
        )
    ]
    if isinstance(refusal, InvalidRequest):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=refusal.field if field is None else field,
            description=refusal.message,
            reason=refusal.reason,
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(refusal, TryLater):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(_milliseconds(refusal))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _status(STATUS_FOR[type(refusal)], refusal.message, details)


def pushback_of(refusal: RegistryError) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata that tells gRPC's own retries when to come back."""
    if isinstance(refusal, TryLater):
        return (("grpc-retry-pushback-ms", str(_milliseconds(refusal))),)
    return ()


def status_of_defect() -> tuple[str, status_pb2.Status]:
    """Return an id for the log, and the bland status that carries it."""
    defect_id = secrets.token_hex(6)
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"defect_id": defect_id}
    )
    message = f"The registry made a mistake; its log says more under {defect_id}."
    return defect_id, _status(StatusCode.INTERNAL, message, [info])


def _status(code: StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _milliseconds(refusal: TryLater) -> int:
    return round(refusal.retry_after_s * 1000)
