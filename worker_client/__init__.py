"""
The genre registry's client.

    with GenreRegistryClient("127.0.0.1:50051") as registry:
        genre = registry.get_or_create("Trip-Hop").genre

Everything public is named here. gRPC is loaded with the first name that needs it, so
that processes which only read tags do without its 21 MiB.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_client._aio import AsyncGenreRegistryClient
    from worker_client._client import GenreRegistryClient
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
        Settlement,
        UnmergedGenre,
    )
    from worker_client._deadlines import RASPBERRY_PI, WORKSTATION, Deadlines, overall_deadline
    from worker_client._errors import (
        BackupRefused,
        CallCancelled,
        CredentialsUnusable,
        CurationRefused,
        DeadlineExceeded,
        GenreNotFound,
        HistoryTrimmed,
        InvalidName,
        InvalidRequest,
        RegistryDefect,
        RegistryError,
        RegistryOverloaded,
        RegistryUnavailable,
        RevisionMismatch,
        RoleTooLow,
        SpellingBlocked,
        StorageFull,
        TokenInvalid,
    )
    from worker_client._tls import Tls
    from worker_client._transfer_values import (
        Backup,
        ImportedId,
        ImportProblem,
        ImportProgress,
    )
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
        TagSet,
    )

__all__ = [
    "RASPBERRY_PI",
    "WORKSTATION",
    "AsyncGenreRegistryClient",
    "Backup",
    "BackupRefused",
    "CallCancelled",
    "Change",
    "ChangeType",
    "CredentialsUnusable",
    "CurationRefused",
    "DeadlineExceeded",
    "Deadlines",
    "Difference",
    "DroppedPart",
    "ExplainedStep",
    "Genre",
    "GenreChange",
    "GenreNotFound",
    "GenrePage",
    "GenreRegistryClient",
    "GenreState",
    "HistoryTrimmed",
    "IdClash",
    "ImportProblem",
    "ImportProgress",
    "ImportedId",
    "ImportedPack",
    "InvalidName",
    "InvalidRequest",
    "MergedGenres",
    "RegistryDefect",
    "RegistryError",
    "RegistryOverloaded",
    "RegistryUnavailable",
    "Resolution",
    "ResolvedGenre",
    "ResolvedTags",
    "Review",
    "ReviewDecision",
    "ReviewPart",
    "RevisionMismatch",
    "RoleTooLow",
    "SettledReview",
    "Settlement",
    "SpellingBlocked",
    "StorageFull",
    "TagContainer",
    "TagSet",
    "Tls",
    "TokenInvalid",
    "UnmergedGenre",
    "overall_deadline",
]

_HOMES = (
    *("_values", "_curation_values", "_transfer_values", "_deadlines", "_tls"),
    *("_errors", "_client", "_aio"),
)


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"worker_client.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'worker_client' has no attribute {name!r}")
