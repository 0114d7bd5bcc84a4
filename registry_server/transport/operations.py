"""The service `GenreOperations`: one method an RPC, bytes in, messages out."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import IO, Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.message import Message

from registry_server.registry import Registry
from registry_server.transfer import Transfer
from registry_server.transport import encode
from registry_server.transport.calls import caller_of, deadline_s_of
from registry_server.transport.decode import decode
from registry_server.transport.records import message_of_record, record_of
from registry_server.vocabulary.edits import Imported
from registry_server.vocabulary.records import Record

Context = grpc.aio.ServicerContext[Any, Any]

SPOOLED_BYTES_MAX = 8 << 20
"""Most bytes of an import that are held in memory; what is more goes to a temporary file."""
_LENGTH_BYTES = 4


class GenreOperationsServicer:
    """Decodes, asks, encodes. Refusals pass through to `calls`."""

    def __init__(self, registry: Registry, transfer: Transfer) -> None:
        self._registry = registry
        self._transfer = transfer

    async def ImportPack(self, data: bytes, context: Context) -> Message:
        request = decode(pb.ImportPackRequest, data)
        imported = await self._registry.import_pack(
            request.pack, list(request.documents), deadline_s=deadline_s_of(context)
        )
        return encode.pack_import(imported)

    async def Backup(self, data: bytes, _context: Context) -> Message:
        made = await self._transfer.back_up(decode(pb.BackupRequest, data).target)
        return pb.BackupResponse(
            path=made.path,
            revision=made.revision,
            incarnation=made.incarnation,
            size_bytes=made.size_bytes,
        )

    async def Export(self, data: bytes, _context: Context) -> AsyncGenerator[Message]:
        decode(pb.ExportRequest, data)
        async with aclosing(self._transfer.export()) as parts:
            async for records in parts:
                yield pb.ExportResponse(records=map(message_of_record, records))

    async def Import(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncGenerator[Message]:
        spool = _Spool()
        options = pb.ImportRequest()
        async for data in requests:
            request = decode(pb.ImportRequest, data)
            if not spool.records:
                options.validate_only = request.validate_only
                options.keep_ids = request.keep_ids
            spool.put(request)
            await asyncio.sleep(0)
        taking = self._transfer.take_in(
            spool.read,
            spool.records,
            keep_ids=options.keep_ids,
            validate_only=options.validate_only,
            deadline_s=deadline_s_of(context),
            who=caller_of(context),
        )
        async with aclosing(taking) as parts:
            async for imported in parts:
                yield _import_response(imported)


class _Spool:
    """The records of an import as they came, to be read more than once."""

    def __init__(self) -> None:
        self.records = 0
        # Not closed with the call: whoever writes may still read it when the caller is gone.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED_BYTES_MAX)  # noqa: SIM115

    def put(self, request: pb.ImportRequest) -> None:
        """
        Keep what a request holds.

        Raises:
            RecordInvalid: a record is none; nothing was taken in yet.
        """
        for at, message in enumerate(request.records, self.records + 1):
            record_of(message, at)
        self.records += len(request.records)
        data = request.SerializeToString()
        self._file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    def read(self) -> Iterator[Record]:
        """Give every record, from the first."""
        position, at = 0, 0
        while True:
            # Another reader may have moved on meanwhile.
            self._file.seek(position)
            length = int.from_bytes(self._file.read(_LENGTH_BYTES), "big")
            if not length:
                return
            request = pb.ImportRequest.FromString(self._file.read(length))
            position += _LENGTH_BYTES + length
            for message in request.records:
                at += 1
                yield record_of(message, at)


def _import_response(imported: Imported) -> pb.ImportResponse:
    return pb.ImportResponse(
        done=imported.done,
        total=imported.total,
        created=len(imported.created),
        changed=len(imported.changed),
        mappings=[pb.ImportResponse.Mapping(**each._asdict()) for each in imported.mappings],
        problems=[
            pb.ImportResponse.Problem(
                record=each.record, text=each.text, reason=each.reason, message=each.message
            )
            for each in imported.problems
        ],
        revision=imported.revision,
    )
