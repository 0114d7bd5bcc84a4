"""One client of one server, which writes down what it asked and what it was told."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreCurationStub, GenreRegistryStub
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from history import Asked, Kept, Watched

from registry_server.vocabulary.identity import Spelling

CALL_S = 10.0
PAGE = 1000


def key_of(name: str) -> str:
    return Spelling.of(name).fold


def error_of(failure: grpc.RpcError) -> str:
    """Return the status code's name, and the reason if there is one."""
    status = rpc_status.from_call(failure)
    for detail in status.details if status is not None else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return f"{failure.code().name} {info.reason}"
    return str(failure.code().name)


class Caller:
    """
    A client that never tries again.

    Attributes:
        asked: Every name it asked for.
        errors: Why calls failed, in order.
    """

    def __init__(self, target: str, call: int = 0) -> None:
        self.asked: list[Asked] = []
        self.errors: list[str] = []
        self._call = call
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(target, options=options)
        self.registry: Any = GenreRegistryStub(self._channel)
        self.curation: Any = GenreCurationStub(self._channel)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def tell(self, method: Any, request: Any, timeout_s: float = CALL_S) -> Any:
        """Return the answer; None if the call failed."""
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as failure:
            self.errors.append(error_of(failure))
            return None

    def create(self, name: str, timeout_s: float = CALL_S) -> Any:
        began_s = time.monotonic()
        answer = self.tell(self.registry.GetOrCreate, pb.GetOrCreateRequest(name=name), timeout_s)
        self._note("GetOrCreate", [name], began_s, [answer])
        return answer

    def create_all(self, names: Sequence[str]) -> Any:
        began_s = time.monotonic()
        request = pb.BatchGetOrCreateRequest(names=names)
        answer = self.tell(self.registry.BatchGetOrCreate, request)
        resolved = [None] * len(names) if answer is None else [r.resolved for r in answer.results]
        self._note("BatchGetOrCreate", names, began_s, resolved)
        return answer

    def look_up(self, name: str) -> Any:
        began_s = time.monotonic()
        answer = self.tell(self.registry.LookupGenre, pb.LookupGenreRequest(name=name))
        self._note("LookupGenre", [name], began_s, [answer])
        return answer

    def kept(self) -> list[Kept]:
        """Return all that the registry holds, by its listing."""
        kept: list[Kept] = []
        request = pb.ListGenresRequest(page_size=PAGE, show_deleted=True)
        while True:
            page = self.registry.ListGenres(request, timeout=CALL_S)
            kept += [Kept(each.id, key_of(each.name), each.revision) for each in page.genres]
            if not page.next_page_token:
                return kept
            request.page_token = page.next_page_token

    def watched(self, start_revision: int = 0) -> list[Watched]:
        """Return each change since *start_revision*, as a watcher is shown it."""
        changes: list[Watched] = []
        request = pb.WatchGenresRequest(start_revision=start_revision)
        watching = self.registry.WatchGenres(request, timeout=CALL_S)
        for told in watching:
            if told.type == pb.CHANGE_TYPE_UNSPECIFIED:
                break
            kind = pb.ChangeType.Name(told.type)
            changes.append(Watched(told.revision, kind, told.genre.id, told.genre.name))
        watching.cancel()
        return changes

    def _note(self, rpc: str, names: Sequence[str], began_s: float, told: Sequence[Any]) -> None:
        ended_s = time.monotonic()
        self._call += 1
        for name, one in zip(names, told, strict=True):
            asked = Asked(rpc, self._call, name, key_of(name), "", began_s, ended_s)
            if one is None:
                asked = replace(asked, error=self.errors[-1])
            elif one.genre.id:
                created = rpc != "LookupGenre" and one.created
                revision = one.genre.revision
                asked = replace(asked, genre_id=one.genre.id, created=created, revision=revision)
            else:
                asked = replace(asked, error="one of a batch")
            self.asked.append(asked)
