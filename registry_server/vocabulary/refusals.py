"""
The error family: everything the registry answers instead of a genre.

    RegistryError
    ├── InvalidRequest          the caller's to mend; names the field
    │   ├── InvalidName
    │   │   ├── NameEmpty, NameTooLong, NameHasControlCharacter
    │   │   └── NameWithoutKey, TextNotUtf8
    │   ├── BatchTooLarge, RequestIdTooLong
    │   ├── PageSizeNegative, PageTokenInvalid
    │   ├── PackUnknown, PackInvalid
    │   └── MessageMalformed, MessageTooLarge
    ├── NotAuthenticated        who calls is not known
    │   └── TokenInvalid, PlaintextRefused
    ├── RoleTooLow              who calls is known, and may not
    ├── GenreNotFound
    ├── TryLater                says when
    │   └── Overloaded, ShuttingDown, StorageFailed
    ├── DeadlinePassed
    └── StorageFull

`reason` is part of the contract and never changes; the message is for people.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from registry_server.vocabulary.callers import Caller, Role

NAME_LENGTH_MAX = 200
"""Most characters (code points) in a name, after trimming."""
BATCH_SIZE_MAX = 1000
"""Most names, ids or tag sets in one request."""
REQUEST_ID_LENGTH_MAX = 64
"""Most characters in a request id."""
RESTART_S = 1.0
"""How soon a stopped server may be back; callers are told not to knock before."""
SHOWN_LENGTH_MAX = 60
"""Most characters of a caller's text that a message repeats."""


def shown(text: str) -> str:
    """Return *text* as a message may show it: quoted, escaped, cut."""
    cut = text if len(text) <= SHOWN_LENGTH_MAX else text[: SHOWN_LENGTH_MAX - 1] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut) + '"'


class RegistryError(Exception):
    """Something the registry answers instead of a genre."""

    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


class InvalidRequest(RegistryError):
    """The request itself is wrong; *field* says where."""

    def __init__(self, message: str, *, field: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.field = field


class InvalidName(InvalidRequest):
    """A text that can be no genre's name."""

    def __init__(self, message: str, *, field: str = "name", **metadata: str) -> None:
        super().__init__(message, field=field, **metadata)


class NameEmpty(InvalidName):
    reason = "NAME_EMPTY"

    def __init__(self) -> None:
        super().__init__("The name is empty.")


class NameTooLong(InvalidName):
    reason = "NAME_TOO_LONG"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"The name has {length} characters; {NAME_LENGTH_MAX} are allowed.",
            length=str(length),
            length_max=str(NAME_LENGTH_MAX),
        )


class NameHasControlCharacter(InvalidName):
    reason = "NAME_HAS_CONTROL_CHARACTER"

    def __init__(self, text: str, position: int) -> None:
        code_point = f"U+{ord(text[position]):04X}"
        super().__init__(
            f"The name {shown(text)} has the control character {code_point} inside.",
            code_point=code_point,
        )


class TextNotUtf8(InvalidName):
    reason = "TEXT_NOT_UTF8"

    def __init__(self, field: str = "name") -> None:
        super().__init__("The text is not valid UTF-8.", field=field)


class NameWithoutKey(InvalidName):
    reason = "NAME_WITHOUT_KEY"

    def __init__(self, text: str) -> None:
        super().__init__(f"The name {shown(text)} holds nothing but separators.")


class BatchTooLarge(InvalidRequest):
    reason = "BATCH_TOO_LARGE"

    def __init__(self, size: int, *, field: str, size_max: int = BATCH_SIZE_MAX) -> None:
        super().__init__(
            f"The request has {size} {field}; {size_max} are allowed. Send several requests.",
            field=field,
            size=str(size),
            size_max=str(size_max),
        )


class RequestIdTooLong(InvalidRequest):
    reason = "REQUEST_ID_TOO_LONG"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"The request id has {length} characters; {REQUEST_ID_LENGTH_MAX} are allowed.",
            field="request_id",
        )


class PageSizeNegative(InvalidRequest):
    reason = "PAGE_SIZE_NEGATIVE"

    def __init__(self, field: str = "page_size") -> None:
        super().__init__(f"The {field.replace('_', ' ')} is negative.", field=field)


class PageTokenInvalid(InvalidRequest):
    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__(
            "The page token is not one that this registry gave for this listing; list from the "
            "first page.",
            field="page_token",
        )


class PackUnknown(InvalidRequest):
    reason = "PACK_UNKNOWN"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"There is no pack {shown(name)} to import; there is {', '.join(known)}.", field="pack"
        )


class PackInvalid(InvalidRequest):
    reason = "PACK_INVALID"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="documents")


class MessageMalformed(InvalidRequest):
    reason = "MESSAGE_MALFORMED"


class MessageTooLarge(InvalidRequest):
    reason = "MESSAGE_TOO_LARGE"

    def __init__(self, size_bytes: int, size_bytes_max: int, *, field: str) -> None:
        super().__init__(
            f"The request has {size_bytes} bytes; {size_bytes_max} are allowed. Send it in parts.",
            field=field,
            size_bytes_max=str(size_bytes_max),
        )


class NotAuthenticated(RegistryError):
    """It is not known who calls; nothing of the call was read."""


class TokenInvalid(NotAuthenticated):
    reason = "TOKEN_INVALID"

    @classmethod
    def missing(cls) -> "TokenInvalid":
        return cls(
            "A token is needed, as metadata: authorization: Bearer TOKEN. Whoever runs the "
            "registry makes one with: genre-registry token new."
        )

    @classmethod
    def unknown(cls) -> "TokenInvalid":
        return cls("The token is none of this registry's, or no longer; ask for a new one.")

    @classmethod
    def certificate_unlisted(cls, names: Sequence[str]) -> "TokenInvalid":
        listed = " or ".join(map(shown, names)) or "no name"
        return cls(
            f"The certificate for {listed} is not on the registry's list, or no longer, and no "
            "token came with the call. Whoever runs the registry puts it there with: "
            "genre-registry token new --certificate."
        )

    @classmethod
    def certificate_distrusted(cls, why: str) -> "TokenInvalid":
        return cls(f"The certificate holds no longer: {why}. Connect with a newer one.")


class PlaintextRefused(NotAuthenticated):
    reason = "PLAINTEXT_REFUSED"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"Calls without TLS are not taken from {address}: it is in none of the registry's "
            "plaintext networks (plaintext_networks).",
            address=address,
        )


class RoleTooLow(RegistryError):
    reason = "ROLE_TOO_LOW"

    def __init__(self, caller: Caller, needed: Role) -> None:
        super().__init__(
            f"{caller.name} is {caller.role.with_article}; this call needs {needed.with_article}.",
            role=str(caller.role),
            needed=str(needed),
        )


class GenreNotFound(RegistryError):
    reason = "GENRE_NOT_FOUND"

    @classmethod
    def with_id(cls, genre_id: int) -> "GenreNotFound":
        return cls(f"No genre has the id {genre_id}.", id=str(genre_id))

    @classmethod
    def named(cls, name: str) -> "GenreNotFound":
        return cls(f"No genre is named {shown(name)}.", name=name)


class TryLater(RegistryError):
    """Nothing was wrong with the call; come back after *retry_after_s* seconds."""

    def __init__(self, message: str, *, retry_after_s: float, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class Overloaded(TryLater):
    reason = "OVERLOADED"

    def __init__(
        self,
        retry_after_s: float,
        message: str = "Too many calls are waiting; try again shortly.",
        **metadata: str,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **metadata)

    @classmethod
    def of_caller(cls, message: str, *, retry_after_s: float, limit: str) -> "Overloaded":
        """Return what says that one caller alone asks too much; *limit* is the setting."""
        return cls(retry_after_s, message, limit=limit)


class ShuttingDown(TryLater):
    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__(
            "The registry is shutting down; nothing was written for this call.",
            retry_after_s=RESTART_S,
        )


class DeadlinePassed(RegistryError):
    reason = "DEADLINE_PASSED"

    def __init__(self) -> None:
        super().__init__("The deadline passed before its turn; nothing was written for this call.")


class StorageFull(RegistryError):
    reason = "STORAGE_FULL"

    def __init__(self) -> None:
        super().__init__(
            "The disk is full: what is known is still answered, nothing new is written."
        )


class StorageFailed(TryLater):
    """*damage* is what the file was found to be, if it is damaged and no fresh start mends it."""

    reason = "STORAGE_FAILED"

    def __init__(self, damage: str = "") -> None:
        super().__init__(
            f"The registry's database is damaged ({damage}); it stops until a backup is restored."
            if damage
            else "The registry's storage failed; it stops, to be started afresh.",
            retry_after_s=RESTART_S,
        )
        self.damage = damage
        self.says_all = bool(damage)
        """Whether a log does without where it arose."""
