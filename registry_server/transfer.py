"""
Transfer: a whole registry going out, and records from elsewhere coming in.

Records that come in are read as often as they are needed; nothing here holds them all.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from registry_server.catalogue import Catalogue
from registry_server.storage import Store
from registry_server.vocabulary.backup import Backup, BackupTargetInvalid
from registry_server.vocabulary.edits import Imported
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.records import (
    RECORDS_A_TURN,
    Filling,
    ImportGenres,
    Record,
    RegistryRecord,
    Source,
    import_edits,
)

TOLD_AT_ONCE = 5000
"""Most mappings and problems in one part of what an import came to."""


class Transfer:
    """
    Exports the registry, and imports into it; *who* is the caller's name, for the journal.

    Args:
        knowledge_with: Gives what is known with imported packs, by name and content.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        knowledge_with: Callable[[Mapping[str, str]], Knowledge],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._knowledge_with = knowledge_with
        self._backing_up = asyncio.Lock()

    async def export(self) -> AsyncGenerator[Sequence[Record]]:
        """Give everything that the registry holds, as of one moment, some records at a time."""
        with self._catalogue.watching_storage():
            async with aclosing(self._store.export(RECORDS_A_TURN)) as parts:
                async for records in parts:
                    yield records

    async def back_up(self, target: str) -> Backup:
        """
        Copy the registry to *target*, a path on this machine: one backup at a time.

        Raises:
            BackupTargetInvalid: it is no absolute path.
            BackupTargetTaken, BackupTargetIsDatabase, BackupTargetUnwritable, BackupDiskFull,
            BackupFailed, BackupStopped: there is no backup.
        """
        if not target.startswith("/") or "\0" in target:
            raise BackupTargetInvalid(target)
        async with self._backing_up:
            with self._catalogue.watching_storage():
                return await self._store.back_up(Path(target))

    async def take_in(
        self,
        source: Source,
        total: int,
        *,
        keep_ids: bool,
        validate_only: bool,
        deadline_s: float,
        who: str,
    ) -> AsyncGenerator[Imported]:
        """
        Take in *total* records; tell what became of them, part by part.

        An export makes an empty registry the one that it is of. Otherwise genres are taken
        in by name or, with *keep_ids*, with the ids of their records.

        Raises:
            RegistryNotEmpty: ids can be kept only in an empty one.
            RecordInvalid: a record can't be; nothing was taken in.
        """
        is_export = isinstance(next(iter(source()), None), RegistryRecord)
        if keep_ids or (is_export and not await self._store.holds()):
            filling = Filling(source, keep_ids and not is_export, validate_only, who)
            imported = await self._catalogue.fill(
                filling, self._knowledge_with, deadline_s=deadline_s
            )
            for part in _in_parts(imported, total):
                yield part
        elif validate_only:
            edits = partial(import_edits, source, who=who)
            rehearsed = await self._catalogue.rehearse(edits, deadline_s=deadline_s)
            for part in _in_parts(rehearsed, total):
                yield part
        else:
            async with aclosing(self._by_name(source, total, deadline_s, who)) as parts:
                async for part in parts:
                    yield part
        state = await self._store.state()
        yield Imported(done=total, total=total, revision=state.revision)

    async def _by_name(
        self, source: Source, total: int, deadline_s: float, who: str
    ) -> AsyncGenerator[Imported]:
        mapping: dict[int, int] = {}
        told: set[int] = set()
        done = 0
        for edit in import_edits(source, mapping, who):
            imported = (await self._catalogue.edit(edit, deadline_s=deadline_s)).imported
            assert imported is not None
            mapping.update({each.old_id: each.new_id for each in imported.mappings})
            if isinstance(edit, ImportGenres):
                done += imported.done
            imported.done, imported.total = done, total
            yield imported.without(told)


def _in_parts(imported: Imported, total: int) -> Iterator[Imported]:
    yield Imported(done=total, total=total, created=imported.created, changed=imported.changed)
    for at in range(0, max(len(imported.mappings), len(imported.problems)), TOLD_AT_ONCE):
        told = slice(at, at + TOLD_AT_ONCE)
        yield Imported(
            done=total,
            total=total,
            mappings=imported.mappings[told],
            problems=imported.problems[told],
        )
