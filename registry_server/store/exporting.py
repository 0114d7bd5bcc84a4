"""Exporting: everything that the tables hold, as records, in one snapshot."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, select

from registry_server.store import schema
from registry_server.store.journal import change_of
from registry_server.store.settling import review_of
from registry_server.vocabulary.genre import State
from registry_server.vocabulary.identity import PIN
from registry_server.vocabulary.records import (
    FORMAT,
    BlockRecord,
    DetachedRecord,
    GenreRecord,
    PackRecord,
    Record,
    RegistryRecord,
    SpellingRecord,
)

_spelling, _tombstone = schema.spelling.c, schema.tombstone.c
_SPELLINGS = (
    select(
        _spelling.genre_id,
        _spelling.text,
        _spelling.kind,
        _spelling.lookup_key,
        _spelling.source,
    )
    .where(_spelling.genre_id.is_not(None))
    .order_by(_spelling.genre_id, _spelling.lookup_key)
)
_PARENTS = select(schema.parent.c.child_id, schema.parent.c.parent_id).order_by(
    schema.parent.c.child_id, schema.parent.c.parent_id
)
_EXTERNAL_IDS = select(
    schema.external_id.c.genre_id, schema.external_id.c.whose, schema.external_id.c.value
).order_by(schema.external_id.c.genre_id, schema.external_id.c.whose)


def records(connection: Connection) -> Iterator[Record]:
    """
    Give everything that the registry holds, itself first.

    Rows come as they are asked for: what is in memory does not grow with the registry,
    but for what curators took away.
    """
    row = connection.execute(select(schema.registry)).one()
    yield RegistryRecord(
        *(FORMAT, row.incarnation, row.revision, row.genre_id_last, row.linked_by),
        time.time_ns() // 1000,
    )
    for row in connection.execute(select(schema.pack).order_by(schema.pack.c.name)):
        yield PackRecord(row.name, row.content, row.import_time_us)
    yield from _genres(connection)
    blocks = select(_spelling.text, _spelling.lookup_key).where(_spelling.kind == schema.BLOCKED)
    for row in connection.execute(blocks.order_by(_spelling.lookup_key)):
        yield BlockRecord(row.text, row.lookup_key.startswith(PIN))
    detached = select(_tombstone.value).where(_tombstone.kind == schema.DETACHED)
    for key in connection.execute(detached.order_by(_tombstone.value)).scalars():
        yield DetachedRecord(key)
    for row in _streamed(connection, select(schema.review).order_by(schema.review.c.lookup_key)):
        yield review_of(row, None)
    for row in _streamed(connection, select(schema.change).order_by(schema.change.c.revision)):
        yield change_of(row, {})


def _genres(connection: Connection) -> Iterator[GenreRecord]:
    spellings = _Beside(connection, _SPELLINGS)
    parents = _Beside(connection, _PARENTS)
    external_ids = _Beside(connection, _EXTERNAL_IDS)
    removed: dict[tuple[str, int], list[str]] = defaultdict(list)
    taken_away = select(_tombstone.kind, _tombstone.genre_id, _tombstone.value)
    for kind, genre_id, value in connection.execute(taken_away.order_by(_tombstone.value)):
        removed[kind, genre_id].append(value)
    for row in _streamed(connection, select(schema.genre).order_by(schema.genre.c.id)):
        yield GenreRecord(
            id=row.id,
            name=row.name,
            state=State(row.state),
            merged_into_id=row.merged_into_id or 0,
            description=row.description,
            spellings=tuple(
                SpellingRecord(text, kind == schema.NAME, key.startswith(PIN), source)
                for _, text, kind, key, source in spellings.of(row.id)
            ),
            parent_ids=tuple(parent_id for _, parent_id in parents.of(row.id)),
            external_ids=tuple((whose, value) for _, whose, value in external_ids.of(row.id)),
            removed_parent_ids=tuple(sorted(map(int, removed[schema.PARENT, row.id]))),
            removed_external_ids=tuple(removed[schema.EXTERNAL_ID, row.id]),
            create_time_us=row.create_time_us,
            update_time_us=row.update_time_us,
            revision=row.revision,
            request_id=row.request_id,
        )


class _Beside:
    """Rows that belong to genres, walked beside them: both ascend by the genre's id."""

    def __init__(self, connection: Connection, query: Select[Any]) -> None:
        self._groups = groupby(_streamed(connection, query), key=lambda row: row[0])
        self._next = self._following()

    def of(self, genre_id: int) -> Sequence[Any]:
        """Return the rows of a genre; asked for ascending."""
        if self._next is None or self._next[0] != genre_id:
            return ()
        rows = self._next[1]
        self._next = self._following()
        return rows

    def _following(self) -> tuple[int, list[Any]] | None:
        found = next(self._groups, None)
        return None if found is None else (found[0], list(found[1]))


def _streamed(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    return iter(connection.execution_options(yield_per=500).execute(query))
