"""
What is asked of the tables, and how they change; each function within the caller's
transaction.

The hot statements are compiled once to the driver's own SQL and fed tuples, which
halves the cost of a batch.
"""

import json
import time
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, func, insert, select, update

from registry_server.store import schema
from registry_server.vocabulary.genre import Claim, Genre, GenrePage, Granted, RegistryState

CREATED = "created"
"""The kind of change that makes a genre."""

_GENRE = (
    schema.genre.c.id,
    schema.genre.c.name,
    schema.genre.c.revision,
    schema.genre.c.create_time_us,
    schema.genre.c.update_time_us,
    schema.genre.c.request_id,
)
# One JSON array instead of a thousand parameters: one statement, whatever the number.
_ASKED = func.json_each(bindparam("asked")).table_valued("value")
_BY_KEY = (
    select(schema.spelling.c.lookup_key, *_GENRE)
    .join_from(schema.spelling, schema.genre)
    .where(schema.spelling.c.lookup_key.in_(select(_ASKED.c.value)))
)
_ALL_KEYS = (
    select(schema.spelling.c.lookup_key, *_GENRE)
    .join_from(schema.spelling, schema.genre)
    .limit(bindparam("size"))
)
_BY_ID = select(*_GENRE).where(schema.genre.c.id.in_(select(_ASKED.c.value)))
_AFTER = (
    select(*_GENRE)
    .where(schema.genre.c.id > bindparam("after_id"))
    .order_by(schema.genre.c.id)
    .limit(bindparam("size"))
)
_STATE = select(schema.registry.c.revision, schema.registry.c.incarnation)
# Locked before anything is read: nobody else can create between our read and our
# insert. On SQLite, BEGIN IMMEDIATE has seen to that.
_LOCKED = select(schema.registry.c.revision, schema.registry.c.genre_id_last).with_for_update()
_MOVE_ON = update(schema.registry).values(
    revision=bindparam("to_revision"), genre_id_last=bindparam("to_genre_id")
)


@cache
def _driver_sql(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))


def _insert_all(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    """Insert *rows*, each a tuple in the order of the table's columns."""
    connection.exec_driver_sql(_driver_sql(table, connection.dialect), rows)


def all_keys(connection: Connection, size_max: int) -> dict[str, Genre] | None:
    """Return every key and the genre it reaches; None if there are more than *size_max*."""
    rows = connection.execute(_ALL_KEYS, {"size": size_max + 1}).all()
    return {row[0]: Genre(*row[1:]) for row in rows} if len(rows) <= size_max else None


def find(connection: Connection, keys: Collection[str]) -> dict[str, Genre]:
    """Return the genres that *keys* reach, by key."""
    rows = connection.execute(_BY_KEY, {"asked": json.dumps(list(keys))}).all()
    return {row[0]: Genre(*row[1:]) for row in rows}


def genres(connection: Connection, ids: Collection[int]) -> dict[int, Genre]:
    """Return the genres that have *ids*, by id."""
    rows = connection.execute(_BY_ID, {"asked": json.dumps(list(ids))}).all()
    return {row[0]: Genre(*row) for row in rows}


def state(connection: Connection) -> RegistryState:
    """Return where the registry stands."""
    return RegistryState(*connection.execute(_STATE).one())


def page(connection: Connection, after_id: int, size_max: int) -> GenrePage:
    """Return the first *size_max* genres with an id above *after_id*."""
    rows = connection.execute(_AFTER, {"after_id": after_id, "size": size_max + 1}).all()
    return GenrePage(
        tuple(Genre(*row) for row in rows[:size_max]),
        more=len(rows) > size_max,
        state=state(connection),
    )


def grant(connection: Connection, claims: Sequence[Claim]) -> list[Granted]:
    """
    Create what *claims* name and nothing reaches; answer each in order.

    The first claim of a key makes the genre, named as the claim spells it. Every
    genre made is a change with a revision of its own.
    """
    revision, genre_id = connection.execute(_LOCKED).one()
    reached = find(connection, {claim.spelling.fold for claim in claims})
    now_us = time.time_ns() // 1000
    made: list[tuple[Claim, Genre]] = []
    granted = []
    for claim in claims:
        genre = reached.get(claim.spelling.fold)
        is_new = genre is None
        if genre is None:
            at = len(made) + 1
            genre = Genre(
                id=genre_id + at,
                name=claim.spelling.text,
                revision=revision + at,
                create_time_us=now_us,
                update_time_us=now_us,
                request_id=claim.request_id,
            )
            made.append((claim, genre))
            reached[claim.spelling.fold] = genre
        granted.append(Granted(genre, made=is_new))
    if made:
        _write(connection, made)
    return granted


def _write(connection: Connection, made: list[tuple[Claim, Genre]]) -> None:
    _insert_all(
        connection,
        schema.genre,
        [
            (g.id, g.name, g.revision, g.create_time_us, g.update_time_us, g.request_id)
            for _, g in made
        ],
    )
    _insert_all(
        connection,
        schema.spelling,
        [(c.spelling.fold, c.spelling.strict, c.spelling.text, g.id) for c, g in made],
    )
    _insert_all(
        connection, schema.change, [(g.revision, CREATED, g.id, g.create_time_us) for _, g in made]
    )
    newest = made[-1][1]
    connection.execute(_MOVE_ON, {"to_revision": newest.revision, "to_genre_id": newest.id})
