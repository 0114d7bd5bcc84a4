"""
What can go wrong with a call, as a caller sees it.

    RegistryError
    ├── InvalidRequest          the request is wrong; `field` says where
    │   └── InvalidName         a text that can be no genre's name
    ├── TokenInvalid            no token, or none that the registry knows
    ├── RoleTooLow              the token's role may not do this; `needed` says which may
    ├── CredentialsUnusable     a file of a token or certificate is not what it should be
    ├── GenreNotFound           no such id, name or spelling
    ├── CurationRefused         what curators made of the vocabulary is against it
    │   └── SpellingBlocked     a spelling that names no genre, by a curator's word
    ├── RevisionMismatch        the genre has changed since it was read: read it again
    ├── HistoryTrimmed          too old a revision to watch from: list again
    ├── RegistryUnavailable     not reached in time; trying later may help
    │   └── RegistryOverloaded  reached, and too busy
    ├── DeadlineExceeded        reached, and too slow
    ├── BackupRefused           no backup was made; `reason` says why
    ├── StorageFull             the registry's disk is full; known genres are still answered
    ├── CallCancelled           the call was cancelled, here or by the server
    └── RegistryDefect          a mistake in the registry, or a server that is none

gRPC's own error stays in `__cause__`.
"""

import copy
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
from grpc import StatusCode

if TYPE_CHECKING:  # loaded with the first error: most workers meet none
    from google.rpc import status_pb2


Answer = TypeVar("Answer")

_INDEX = re.compile(r"\[(\d+)\]")


class RegistryError(Exception):
    """
    A call to the registry failed.

    Attributes:
        reason: The stable reason of the contract ("NAME_EMPTY"), for programs; "" if the
            server gave none.
        metadata: What the reason is about, by name.
        field: Where in the request the fault is ("names[3]"); "" if it is not there.
        retry_after_s: When the registry says that it makes sense to try again; None if it
            says nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.field = field
        self.retry_after_s = retry_after_s

    def again(self) -> Self:
        """Return the same error, for another caller to raise."""
        error = copy.copy(self)
        error.__cause__ = self.__cause__
        return error

    @property
    def index(self) -> int | None:
        """Which item of a list `field` names, from 0; None if it names none."""
        found = _INDEX.search(self.field)
        return int(found[1]) if found else None

    def placed(self, index: int) -> Self:
        """Return the same error, of the item *index* of the caller's own list."""
        error = self.again()
        error.field = _INDEX.sub(f"[{index}]", self.field, count=1)
        return error


class InvalidRequest(RegistryError):
    """The request is wrong, and will be the next time too."""


class InvalidName(InvalidRequest):
    """A text that can be no genre's name."""


class TokenInvalid(RegistryError):
    """
    No token or certificate came with the call, or none that the registry knows.

    `reason` is TOKEN_INVALID, or PLAINTEXT_REFUSED where the registry wants TLS from here.
    """


class RoleTooLow(RegistryError):
    """
    The caller's role may not do this, now or later: another token is needed.

    Attributes:
        role: The caller's ("reader", "worker", "curator", "operator"); "" if it was not told.
        needed: The least one that may.
    """

    @property
    def role(self) -> str:
        return self.metadata.get("role", "")

    @property
    def needed(self) -> str:
        return self.metadata.get("needed", "")


class CredentialsUnusable(RegistryError):
    """A file with the token, a certificate or a key can't be used; nothing was sent."""


class GenreNotFound(RegistryError):
    """No genre has this id or name, or the spelling is not where it was said to be."""


class CurationRefused(RegistryError):
    """
    What the registry holds is against the request; `reason` says what.

    SPELLING_TAKEN and EXTERNAL_ID_TAKEN (`metadata["genre_id"]` has it), SPELLING_IS_NAME,
    PARENT_CYCLE, GENRE_MERGED (`metadata["redirected_to_id"]` is the genre to name instead),
    GENRE_DELETED, GENRE_NOT_MERGED, REGISTRY_NOT_EMPTY.
    """


class SpellingBlocked(CurationRefused):
    """A curator said that this spelling names no genre, or deleted the genre it named."""


class RevisionMismatch(RegistryError):
    """The genre has changed since `expected_revision`; nothing was done."""


class HistoryTrimmed(RegistryError):
    """The revision to watch from is older than the history kept, or of another incarnation."""


class RegistryUnavailable(RegistryError):
    """The registry was not reached within the deadline, or is just stopping."""


class RegistryOverloaded(RegistryUnavailable):
    """Too many calls wait at the registry."""


class DeadlineExceeded(RegistryError):
    """The registry was reached, but did not answer within the deadline."""


class StorageFull(RegistryError):
    """The registry's disk is full: known genres are answered, new ones can't be created."""


class BackupRefused(RegistryError):
    """
    No backup was made, and nothing is left under its name; `reason` says why.

    BACKUP_TARGET_TAKEN, BACKUP_TARGET_IS_DATABASE, BACKUP_TARGET_UNWRITABLE, BACKUP_DISK_FULL,
    BACKUP_FAILED, BACKUP_STOPPED.
    """


class CallCancelled(RegistryError):
    """The call was cancelled."""


class RegistryDefect(RegistryError):
    """The registry made a mistake, or what answered is no registry."""


ERROR_FOR: dict[StatusCode, type[RegistryError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequest,
    StatusCode.UNAUTHENTICATED: TokenInvalid,
    StatusCode.PERMISSION_DENIED: RoleTooLow,
    StatusCode.NOT_FOUND: GenreNotFound,
    StatusCode.FAILED_PRECONDITION: CurationRefused,
    StatusCode.ABORTED: RevisionMismatch,
    StatusCode.OUT_OF_RANGE: HistoryTrimmed,
    StatusCode.UNAVAILABLE: RegistryUnavailable,
    StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    StatusCode.RESOURCE_EXHAUSTED: InvalidRequest,  # gRPC's own: a message too large
    StatusCode.CANCELLED: CallCancelled,
    StatusCode.ALREADY_EXISTS: BackupRefused,
    StatusCode.DATA_LOSS: BackupRefused,
    StatusCode.INTERNAL: RegistryDefect,
}
"""The mirror of the server's table; every other code is a `RegistryDefect`."""

_REASONS: dict[str, type[RegistryError]] = {
    "NAME_EMPTY": InvalidName,
    "NAME_TOO_LONG": InvalidName,
    "NAME_HAS_CONTROL_CHARACTER": InvalidName,
    "NAME_WITHOUT_KEY": InvalidName,
    "TEXT_NOT_UTF8": InvalidName,
    "SPELLING_BLOCKED": SpellingBlocked,
    "OVERLOADED": RegistryOverloaded,
    "STORAGE_FULL": StorageFull,
    "BACKUP_TARGET_IS_DATABASE": BackupRefused,
    "BACKUP_TARGET_UNWRITABLE": BackupRefused,
    "BACKUP_DISK_FULL": BackupRefused,
    "BACKUP_STOPPED": BackupRefused,
}
"""Reasons that say more than their status code."""

_CODES = {code.value[0]: code for code in StatusCode}


def error_of_status(status: "status_pb2.Status") -> RegistryError:
    """Return the error that a `google.rpc.Status` stands for."""
    from google.rpc import error_details_pb2

    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        has_retry |= detail.Unpack(retry)
        detail.Unpack(info) or detail.Unpack(bad_request)
    code = _CODES.get(status.code, StatusCode.UNKNOWN)
    kind = _REASONS.get(info.reason) or ERROR_FOR.get(code, RegistryDefect)
    fields = [violation.field for violation in bad_request.field_violations]
    return kind(
        status.message,
        reason=info.reason,
        metadata=info.metadata,
        field=fields[0] if fields else "",
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None,
    )


def raised(answer: Answer | RegistryError) -> Answer:
    """Return *answer*, or raise it if it is an error."""
    if isinstance(answer, RegistryError):
        raise answer
    return answer


def alone(answer: Answer | RegistryError) -> Answer | RegistryError:
    """Return *answer*, with the field of a single name if it is an error of one of several."""
    if isinstance(answer, RegistryError) and answer.field.startswith("names["):
        answer.field = "name"
    return answer


def absence(target: str, why: str = "") -> RegistryUnavailable:
    """Return what says that the registry at *target* was not there in time, and *why*."""
    why = why or "Is genre-registry serve running there?"
    return RegistryUnavailable(
        f"The registry at {target} could not be reached within the deadline. {why}"
    )


def cut_off(target: str) -> RegistryUnavailable:
    """Return what says that the registry at *target* cancelled a call, which nobody here did."""
    return RegistryUnavailable(
        f"The registry at {target} cancelled the call, as a server does that ends meanwhile."
    )


def is_absence(error: RegistryError, failure: grpc.RpcError) -> bool:
    """Whether *error* says that the deadline of *failure* passed without a connection."""
    return isinstance(error, RegistryUnavailable) and (
        failure.code() is StatusCode.DEADLINE_EXCEEDED
    )


def not_landed(target: str, *, is_connected: bool) -> RegistryError:
    """Return what says that a request, which another caller had sent, took too long."""
    if not is_connected:
        return absence(target)
    return DeadlineExceeded(
        f"The registry at {target} did not answer another caller of this process, who asked "
        "the same, within the deadline."
    )


def is_unavailable(error: RegistryError) -> bool:
    """Whether gRPC said UNAVAILABLE, or nearly so: nothing was wrong with the call."""
    cause = error.__cause__
    if not isinstance(cause, grpc.RpcError) or not isinstance(error, RegistryUnavailable):
        return False
    return cause.code() in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


def error_of_call(
    failure: grpc.RpcError, *, target: str, is_connected: Callable[[], bool]
) -> RegistryError:
    """
    Return the error that a failed call stands for.

    Args:
        is_connected: Asks whether the channel to *target* is up: a deadline that passes
            without a connection is no fault of the server's speed.
    """
    from google.rpc import status_pb2
    from grpc_status import rpc_status

    code: StatusCode = failure.code()
    details: str = failure.details() or ""
    if code is StatusCode.DEADLINE_EXCEEDED and not is_connected():
        return absence(target)
    try:
        status = rpc_status.from_call(failure)
    except ValueError:  # something between us and the registry changed the one, not the other
        status = None
    if status is None:
        status = status_pb2.Status(code=code.value[0], message=details)
    error = error_of_status(status)
    if isinstance(error, (RegistryUnavailable, DeadlineExceeded, RegistryDefect)):
        error.args = (f"The registry at {target}: {code.name}: {status.message}",)
    return error
