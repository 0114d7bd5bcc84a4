"""The RPCs for operators: what is sent, how long it may take, its meaning."""

from collections.abc import Iterable, Iterator
from typing import Any

from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreOperationsStub

from worker_client._calls import Call, batch_s, transfer_s
from worker_client._convert import imported_pack_of, progress_of, text_of
from worker_client._records import dict_of, record_of
from worker_client._transfer_values import Backup, ImportProgress
from worker_client._values import ImportedPack

REQUEST_BYTES_MAX = 1 << 20
"""Of one message of an import, unless one record alone is larger; the server takes 4 MiB."""


def import_pack(pack: str, documents: Iterable[bytes]) -> Call[ImportedPack]:
    request = pb.ImportPackRequest(pack=text_of(pack, "pack"), documents=documents)
    return Call("ImportPack", request, batch_s, imported_pack_of, GenreOperationsStub)


def backup(target: str) -> Call[Backup]:
    return Call(
        "Backup",
        pb.BackupRequest(target=text_of(target, "target")),
        transfer_s,
        lambda reply: Backup(reply.path, reply.revision, reply.incarnation, reply.size_bytes),
        GenreOperationsStub,
    )


def export() -> Call[list[dict[str, Any]]]:
    return Call(
        "Export",
        pb.ExportRequest(),
        transfer_s,
        lambda reply: [dict_of(record) for record in reply.records],
        GenreOperationsStub,
    )


def import_records(requests: Iterator[pb.ImportRequest]) -> Call[ImportProgress]:
    return Call("Import", requests, transfer_s, progress_of, GenreOperationsStub)


def import_requests(
    records: Iterable[dict[str, Any]], *, validate_only: bool, keep_ids: bool
) -> Iterator[pb.ImportRequest]:
    """
    Give *records* in messages of at most `REQUEST_BYTES_MAX`, and at least one message.

    Raises:
        InvalidRequest: a record is wrong; `field` names it and its field, from 0.
    """
    request = pb.ImportRequest(validate_only=validate_only, keep_ids=keep_ids)
    bytes_held = 0
    for at, each in enumerate(records):
        record = record_of(each, field=f"records[{at}]")
        size = record.ByteSize() + _FRAME_BYTES
        if request.records and bytes_held + size > REQUEST_BYTES_MAX:
            yield request
            request, bytes_held = pb.ImportRequest(), 0
        request.records.append(record)
        bytes_held += size
    yield request


_FRAME_BYTES = 8
"""What a record costs in its message beside its own bytes, at most."""
