"""The store on one SQLite file: one thread that writes, a few that read."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

from sqlalchemy import Connection, Engine

from registry_server.store import deciding, journal, linking, reviews
from registry_server.store import genres as queries
from registry_server.store.engines import (
    READERS,
    reading_engine,
)
from registry_server.store.failures import (
    translated,
)
from registry_server.store.granting import grant
from registry_server.store.owning import close_writer, open_writer, owned
from registry_server.vocabulary.change import Change
from registry_server.vocabulary.curated import Curated
from registry_server.vocabulary.edits import Edit, Edited, Effects, Imported, Review
from registry_server.vocabulary.genre import (
    Claim,
    Genre,
    GenrePage,
    Grants,
    RegistryState,
    Sighting,
)
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.refusals import RegistryError, StorageFailed

if TYPE_CHECKING:
    from registry_server.vocabulary.backup import Backup
    from registry_server.vocabulary.records import Filling, Record

log = logging.getLogger(__name__)

Asked = TypeVarTuple("Asked")
Found = TypeVar("Found")


class SqliteStore:
    """
    Implements `registry_server.storage.Store`.

    Whole queries go to a thread, one hop each: through aiosqlite, which hops for every
    step of a statement, a look-up took more than four times as long.

    What scans do not need (edits, search, records) is loaded when somebody first asks:
    a start does without its tenth of a second.
    """

    def __init__(
        self,
        path: Path,
        writer: Connection,
        writing: Executor,
        readers: Engine,
        reading: Executor,
        history_kept: int,
        on_commit: Callable[[float, float], None] | None = None,
    ) -> None:
        self.failed = False
        """Whether the file failed once; then nothing is written any more."""
        self.damage = ""
        """What it was found to be, if that was damage."""
        self._path = path
        self._files = _identities_of(path)
        self._displaced = False
        self._writer = writer
        self._writing = writing
        self._readers = readers
        self._reading = reading
        self._history_kept = history_kept
        self._backups = set[Event]()
        self._on_commit = on_commit

    async def all_keys(self, size_max: int) -> dict[str, Genre] | None:
        return await self._read(queries.all_keys, size_max)

    async def find(self, keys: Collection[str]) -> dict[str, Genre]:
        return await self._read(queries.find, keys)

    async def genres(self, ids: Collection[int]) -> dict[int, Genre]:
        return await self._read(queries.genres, ids)

    async def page(
        self, after_id: int, size_max: int, parent_id: int, *, show_deleted: bool
    ) -> GenrePage:
        page = partial(queries.page, show_deleted=show_deleted)
        return await self._read(page, after_id, size_max, parent_id)

    async def reviews(
        self, after: tuple[int, str], size_max: int, *, show_settled: bool
    ) -> list[Review]:
        from registry_server.store.settling import reviews as listed_reviews

        listed = partial(listed_reviews, show_settled=show_settled)
        return await self._read(listed, after, size_max)

    async def changes_after(
        self, revision: int, size_max: int
    ) -> tuple[list[Change], RegistryState]:
        return await self._read(journal.changes_after, revision, size_max, self._history_kept)

    async def history(self, genre_id: int, before: int, size_max: int) -> list[Change]:
        return await self._read(journal.history, genre_id, before, size_max)

    async def curated(self) -> Curated:
        return await self._read(deciding.curated)

    async def search(self, query: str, limit: int) -> list[Genre]:
        from registry_server.store.searching import search

        return await self._read(search, query, limit)

    async def unsearchable(self) -> int:
        from registry_server.store.searching import behind

        return await self._read(behind)

    async def make_searchable(self, changes_max: int) -> None:
        from registry_server.store.searching import catch_up

        await self._write(partial(catch_up, changes_max=changes_max))

    async def state(self) -> RegistryState:
        return await self._read(queries.state)

    async def reviewed(self, keys: Collection[str]) -> set[str]:
        return await self._read(reviews.reviewed, keys)

    async def packs(self) -> dict[str, str]:
        return await self._read(linking.packs)

    async def grant(self, claims: Sequence[Claim], sightings: Sequence[Sighting]) -> Grants:
        def change(connection: Connection) -> Grants:
            reviews.note(connection, sightings)
            return grant(connection, claims)

        return await self._write(change)

    async def edit(
        self, edits: Sequence[Edit], knowledge: Knowledge
    ) -> tuple[list[Edited | RegistryError], Effects]:
        from registry_server.store.edits import make_edits

        return await self._write(
            lambda connection: make_edits(connection, edits, knowledge, self._history_kept)
        )

    async def rehearse(
        self, edits: Callable[[dict[int, int]], Iterator[Edit]], knowledge: Knowledge
    ) -> Imported:
        from registry_server.store.edits import rehearse

        return await self._write(
            lambda connection: rehearse(connection, edits, knowledge, self._history_kept)
        )

    async def fill(self, wanted: "Filling", knowledge: Knowledge) -> Imported:
        from registry_server.store.filling import fill

        return await self._write(
            lambda connection: fill(connection, wanted, knowledge, self._history_kept)
        )

    async def holds(self) -> int:
        from registry_server.store.restoring import holds

        return await self._read(holds)

    async def export(self, size: int) -> AsyncGenerator["list[Record]"]:
        from registry_server.store.exporting import records as exported

        engine = reading_engine(self._path)
        loop = asyncio.get_running_loop()
        with (
            ThreadPoolExecutor(1, thread_name_prefix="exporter") as exporting,
            ExitStack() as stack,
        ):
            stack.callback(engine.dispose)
            connection = await loop.run_in_executor(exporting, engine.connect)
            stack.callback(connection.close)
            given = exported(connection)

            def take() -> "list[Record]":
                with self._noting_failure():
                    return list(islice(given, size))

            while taken := await loop.run_in_executor(exporting, take):
                yield taken

    async def back_up(self, target: Path) -> "Backup":
        from registry_server.store.backing_up import back_up, note_backup

        with self._noting_failure():
            self._see_that_it_is_ours()
        stopped = Event()

        def copy() -> "Backup":
            made = back_up(self._path, target, is_served=True, stopped=stopped)
            note_backup(self._path)
            return made

        self._backups.add(stopped)
        copying = ThreadPoolExecutor(1, thread_name_prefix="backup")
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(copying, copy)
        # If the caller has left, nobody else asks what became of it.
        working.add_done_callback(lambda ended: ended.exception())
        try:
            return await asyncio.shield(working)
        finally:
            stopped.set()
            self._backups.discard(stopped)
            copying.shutdown(wait=False)

    def stop_backups(self) -> None:
        """End the backups under way, which leave nothing."""
        for stopped in self._backups:
            stopped.set()

    async def link(
        self, knowledge: Knowledge, imported: tuple[str, str] | None = None
    ) -> tuple[list[Genre], RegistryState]:
        def change(connection: Connection) -> tuple[list[Genre], RegistryState]:
            if imported is not None:
                linking.keep_pack(connection, *imported)
            return linking.link(connection, knowledge), queries.state(connection)

        return await self._write(change)

    async def _write(self, change: Callable[[Connection], Found]) -> Found:
        """Return what *change* does, in one durable transaction."""

        def write() -> Found:
            with self._noting_failure():
                self._see_that_it_is_ours()
                began_s = perf_counter()
                written = _changes_of(self._writer)
                try:
                    with self._writer.begin():
                        found = change(self._writer)
                        committing_s = perf_counter()
                except BaseException:
                    # A commit that fails leaves SQLite's transaction open.
                    roll_back(self._writer)
                    raise
                if self._on_commit is not None and _changes_of(self._writer) != written:
                    ended_s = perf_counter()
                    self._on_commit(ended_s - began_s, ended_s - committing_s)
                return found

        return await asyncio.get_running_loop().run_in_executor(self._writing, write)

    async def _read(
        self, query: Callable[[Connection, Unpack[Asked]], Found], *asked: *Asked
    ) -> Found:
        """Return what *query* finds, in one snapshot."""

        def read() -> Found:
            with self._noting_failure(), self._readers.begin() as connection:
                return query(connection, *asked)

        return await asyncio.get_running_loop().run_in_executor(self._reading, read)

    @property
    def may_be_closed(self) -> bool:
        """
        Whether what is in the WAL may be moved into the file: also when only their names are
        gone, or others' now, so that no other file is ever read with this WAL. Where there is
        no file any more, the WAL stays as what tells so.
        """
        return not self.failed or (self._displaced and self._path.exists())

    def _see_that_it_is_ours(self) -> None:
        # An unlinked file would go on taking commits that nobody can ever read.
        if not self.failed and _identities_of(self._path) != self._files:
            self._displaced = True
            log.error("the database, or the WAL beside it, was moved or replaced: %s", self._path)
            raise StorageFailed
        if self.failed:
            raise StorageFailed(self.damage)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except StorageFailed as failure:
            self.failed = True
            self.damage = self.damage or failure.damage
            raise


@asynccontextmanager
async def open_store(
    path: Path,
    *,
    history_kept: int,
    on_commit: Callable[[float, float], None] | None = None,
) -> AsyncIterator[tuple[SqliteStore, list[str]]]:
    """
    Open the database file *path*, made and migrated as needed, and own it; give the
    store and what bringing the file up to date changed. Changes can be watched from
    *history_kept* revisions back. *on_commit* hears, in the writer's thread, how many seconds
    each transaction that wrote took, and its COMMIT alone.

    On leaving, readers close first; then the writer moves the WAL into the file.

    Raises:
        DatabaseUnusable: it can't be served; the message says why and what to do.
    """
    loop = asyncio.get_running_loop()
    with (
        owned(path) as real_path,
        ThreadPoolExecutor(1, thread_name_prefix="writer") as writing,
    ):
        writer, migrated = await loop.run_in_executor(writing, open_writer, real_path)
        readers = reading_engine(real_path)
        reading = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        store = SqliteStore(real_path, writer, writing, readers, reading, history_kept, on_commit)
        try:
            yield store, migrated
        finally:
            store.stop_backups()
            reading.shutdown()
            readers.dispose()
            # After a failed write nothing in memory can be trusted, and nothing more is written.
            if store.may_be_closed:
                await loop.run_in_executor(writing, close_writer, writer)


def roll_back(connection: Connection) -> None:
    """End the driver's transaction, if one was left open past SQLAlchemy."""
    driver_connection = connection.connection.driver_connection
    if driver_connection is not None and driver_connection.in_transaction:
        driver_connection.rollback()


def _changes_of(connection: Connection) -> int:
    """Return how many rows were ever changed through the connection."""
    driver_connection = connection.connection.driver_connection
    return driver_connection.total_changes if driver_connection is not None else 0


def _identities_of(path: Path) -> list[tuple[int, int] | None]:
    """Return which files the database and its WAL are."""
    return [_identity_of(each) for each in (path, path.with_name(path.name + "-wal"))]


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
