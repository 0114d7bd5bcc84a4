"""Tombstones: what a curator took away, and no pack brings back."""

from sqlalchemy import BigInteger, Connection, cast, delete, select

from registry_server.store import schema
from registry_server.store.genres import SURVIVOR
from registry_server.store.journal import insert_all

_KIND = schema.tombstone.c.kind
_PARENT_ID = cast(schema.tombstone.c.value, BigInteger)


def bury(connection: Connection, kind: str, genre_id: int, value: str) -> None:
    """Have no pack bring *value* back to a genre."""
    unbury(connection, kind, genre_id, value)
    insert_all(connection, schema.tombstone, [(kind, genre_id, value)])


def unbury(connection: Connection, kind: str, genre_id: int, value: str) -> None:
    """Let *value* be a genre's again."""
    table = schema.tombstone.c
    connection.execute(
        delete(schema.tombstone).where(
            table.kind == kind, table.genre_id == genre_id, table.value == value
        )
    )


def removed_parents(connection: Connection) -> set[tuple[int, int]]:
    """Return (child, parent) of every parent that was taken away, merges followed."""
    rows = connection.execute(
        select(schema.tombstone.c.genre_id, SURVIVOR)
        .join_from(schema.tombstone, schema.genre, schema.genre.c.id == _PARENT_ID)
        .where(_KIND == schema.PARENT)
    )
    return {(row[0], row[1]) for row in rows}


def removed_external_ids(connection: Connection) -> set[tuple[int, str]]:
    """Return (genre, whose) of every id elsewhere that was taken away."""
    rows = connection.execute(
        select(schema.tombstone.c.genre_id, schema.tombstone.c.value).where(
            _KIND == schema.EXTERNAL_ID
        )
    )
    return {(row[0], row[1]) for row in rows}
