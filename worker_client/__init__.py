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
    from worker_client._config import RASPBERRY_PI, Deadlines
    from worker_client._errors import (
        CallCancelled,
        DeadlineExceeded,
        GenreNotFound,
        InvalidName,
        InvalidRequest,
        RegistryDefect,
        RegistryError,
        RegistryOverloaded,
        RegistryUnavailable,
        StorageFull,
    )
    from worker_client._values import (
        DroppedPart,
        ExplainedStep,
        Genre,
        GenrePage,
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
    "AsyncGenreRegistryClient",
    "CallCancelled",
    "DeadlineExceeded",
    "Deadlines",
    "DroppedPart",
    "ExplainedStep",
    "Genre",
    "GenreNotFound",
    "GenrePage",
    "GenreRegistryClient",
    "ImportedPack",
    "InvalidName",
    "InvalidRequest",
    "RegistryDefect",
    "RegistryError",
    "RegistryOverloaded",
    "RegistryUnavailable",
    "Resolution",
    "ResolvedGenre",
    "ResolvedTags",
    "ReviewPart",
    "StorageFull",
    "TagContainer",
    "TagSet",
]

_HOMES = ("_values", "_config", "_errors", "_client", "_aio")


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"worker_client.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'worker_client' has no attribute {name!r}")
