"""What operators call, for asyncio programs."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from worker_client import _operation_calls
from worker_client._aio_connection import AsyncConnection
from worker_client._transfer_values import Backup, ImportProgress
from worker_client._values import ImportedPack


class AsyncOperations(AsyncConnection):
    """Newer packs, and everything that a registry holds, out and in."""

    async def import_pack(
        self, pack: str, documents: Iterable[bytes], *, deadline_s: float | None = None
    ) -> ImportedPack:
        """As `GenreRegistryClient.import_pack`."""
        return await self._call(_operation_calls.import_pack(pack, documents), deadline_s)

    async def backup(self, target: str, *, deadline_s: float | None = None) -> Backup:
        """As `GenreRegistryClient.backup`."""
        return await self._call(_operation_calls.backup(target), deadline_s)

    async def export_records(
        self, *, deadline_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """As `GenreRegistryClient.export_records`."""
        async with aclosing(self._stream(_operation_calls.export(), deadline_s)) as answers:
            async for records in answers:
                for record in records:
                    yield record

    def import_records(
        self,
        records: Iterable[dict[str, Any]],
        *,
        validate_only: bool = False,
        keep_ids: bool = False,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[ImportProgress, None]:
        """As `GenreRegistryClient.import_records`; *records* are taken in the event loop."""
        requests = _operation_calls.import_requests(
            records, validate_only=validate_only, keep_ids=keep_ids
        )
        return self._stream(_operation_calls.import_records(requests), deadline_s)
