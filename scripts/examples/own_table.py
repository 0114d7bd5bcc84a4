"""
An application that keeps its own table of genres true.

    python own_table.py 127.0.0.1:50051 app.db

It is brought up to date at the start, stored ids with BatchGetGenres, and from then on by
WatchGenres. Its key is the registry's id; a merged genre leaves a row that leads to the
survivor, so that tracks keep their references.
"""

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

from worker_client import (
    ChangeType,
    Genre,
    GenreChange,
    GenreRegistryClient,
    GenreState,
    HistoryTrimmed,
    RegistryError,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS genres (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, survivor_id INTEGER, deleted INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS seen (revision INTEGER NOT NULL, incarnation TEXT NOT NULL);
"""


class GenreTable:
    """The application's table, in its own database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(SCHEMA)

    def ids(self) -> list[int]:
        return [row[0] for row in self._connection.execute("SELECT id FROM genres ORDER BY id")]

    def put(self, asked_id: int, genre: Genre) -> None:
        """Have the row *asked_id* say what the registry says of it."""
        survivor_id = genre.id if genre.id != asked_id else None
        self._connection.execute(
            "INSERT OR REPLACE INTO genres VALUES (?, ?, ?, ?)",
            (asked_id, genre.name, survivor_id, genre.state is GenreState.DELETED),
        )

    def stands_at(self) -> tuple[int, str] | None:
        """Return the revision up to which the table is true; None if that is not known."""
        row = self._connection.execute("SELECT revision, incarnation FROM seen").fetchone()
        return None if row is None else (row[0], row[1])

    def stand_at(self, revision: int, incarnation: str) -> None:
        """Note how far the table is, in the transaction that brought it there."""
        self._connection.execute("DELETE FROM seen")
        self._connection.execute("INSERT INTO seen VALUES (?, ?)", (revision, incarnation))
        self._connection.commit()


def bring_up_to_date(registry: GenreRegistryClient, table: GenreTable) -> tuple[int, str]:
    """Ask for every id that is stored, and list the rest; return from where to watch."""
    page = registry.list_page(page_size=1)
    refresh(registry, table, table.ids())
    for genre in registry.list_genres(show_deleted=True):
        table.put(genre.id, genre)
    table.stand_at(page.revision, page.incarnation)
    return page.revision, page.incarnation


def refresh(registry: GenreRegistryClient, table: GenreTable, ids: Sequence[int]) -> None:
    """Have the rows *ids* say what the registry says of them now."""
    for start in range(0, len(ids), 1000):
        some = ids[start : start + 1000]
        for asked_id, genre in zip(some, registry.batch_get_genres(some), strict=True):
            if isinstance(genre, RegistryError):
                raise genre  # no id of this registry: the table was filled from another
            table.put(asked_id, genre)


def keep_true(registry: GenreRegistryClient, table: GenreTable) -> Iterator[GenreChange]:
    """Follow the registry for ever; give each change once it is in the table."""
    revision, incarnation = table.stands_at() or bring_up_to_date(registry, table)
    while True:
        try:
            for change in registry.watch_genres(revision, incarnation):
                if change.type is not ChangeType.HEARTBEAT:
                    _follow(registry, table, change)
                table.stand_at(change.revision, change.incarnation)
                yield change
        except HistoryTrimmed:  # away for too long, or the registry was restored
            revision, incarnation = bring_up_to_date(registry, table)


def _follow(registry: GenreRegistryClient, table: GenreTable, change: GenreChange) -> None:
    if change.type in (ChangeType.MERGED, ChangeType.UNMERGED):
        # Whatever had been merged into the source before is led elsewhere too.
        refresh(registry, table, table.ids())
    elif change.genre is not None:
        table.put(change.genre.id, change.genre)


if __name__ == "__main__":
    with (
        closing(sqlite3.connect(sys.argv[2])) as connection,
        GenreRegistryClient(sys.argv[1]) as registry,
    ):
        for change in keep_true(registry, GenreTable(connection)):
            print(change.revision, change.type.name, flush=True)
