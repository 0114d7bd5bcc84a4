"""
The journal: every change with a revision of its own, in the order of the commits.

A genre as of an earlier change is kept as a snapshot from the moment it changes again:
what is never touched after its creation, as most genres are, costs nothing.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Select, Table, bindparam, insert, select, update

from registry_server.store import schema
from registry_server.store.genres import genres as read_genres
from registry_server.store.genres import state
from registry_server.vocabulary.change import Change, ChangeKind, Difference
from registry_server.vocabulary.curation_refusals import HistoryTrimmed
from registry_server.vocabulary.genre import Genre, RegistryState, State

# Locked before anything is read: nobody else can create between our read and our
# insert. On SQLite, BEGIN IMMEDIATE has seen to that.
_LOCKED = select(schema.registry.c.revision, schema.registry.c.genre_id_last).with_for_update()
_MOVE_ON = update(schema.registry).values(
    revision=bindparam("to_revision"), genre_id_last=bindparam("to_genre_id")
)
_KEEP = (
    update(schema.change)
    .where(schema.change.c.revision == bindparam("of_revision"))
    .values(snapshot=bindparam("as_json"))
)
_TRIM = (
    update(schema.change)
    .where(schema.change.c.revision <= bindparam("up_to"), schema.change.c.snapshot.is_not(None))
    .values(snapshot=None)
)
_NOTE_TRIMMED = (
    update(schema.registry)
    .where(schema.registry.c.trimmed_revision < bindparam("up_to"))
    .values(trimmed_revision=bindparam("up_to"))
)
_TRIMMED = select(schema.registry.c.trimmed_revision)
_CHANGE = (
    schema.change.c.revision,
    schema.change.c.kind,
    schema.change.c.genre_id,
    schema.change.c.source_id,
    schema.change.c.spelling,
    schema.change.c.time_us,
    schema.change.c.who,
    schema.change.c.differences,
    schema.change.c.snapshot,
)
_AFTER = (
    select(*_CHANGE)
    .where(schema.change.c.revision > bindparam("after"))
    .order_by(schema.change.c.revision)
    .limit(bindparam("size"))
)
_BEFORE = (
    select(*_CHANGE)
    .where(schema.change.c.revision < bindparam("before"))
    .order_by(schema.change.c.revision.desc())
    .limit(bindparam("size"))
)
_BEFORE_OF_GENRE: Select[Any] = _BEFORE.where(
    (schema.change.c.genre_id == bindparam("genre_id"))
    | (schema.change.c.source_id == bindparam("genre_id"))
)


@dataclass(slots=True)
class Journal:
    """
    The changes of one transaction, noted in order and written in the end.

    Begins by locking the registry's row; `write` ends it.
    """

    connection: Connection
    now_us: int = field(default_factory=lambda: time.time_ns() // 1000)
    revision: int = field(init=False)
    genre_id: int = field(init=False)
    """The last id that was given to a genre."""
    _created: list[tuple[Any, ...]] = field(default_factory=list)
    _told: list[tuple[Any, ...]] = field(default_factory=list)
    _superseded: list[Genre] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.revision, self.genre_id = self.connection.execute(_LOCKED).one()

    def created(self, genre_id: int, who: str) -> int:
        """Note that a genre was created, which says it all, and return the revision."""
        self.revision += 1
        row = (self.revision, ChangeKind.CREATED.value, genre_id, self.now_us, who)
        self._created.append(row)
        return self.revision

    def note(
        self,
        kind: ChangeKind,
        genre_id: int | None,
        who: str,
        *,
        source_id: int | None = None,
        spelling: str = "",
        differences: Sequence[Difference] = (),
    ) -> int:
        """Note a change and return its revision."""
        self.revision += 1
        told = differences_json(differences) if differences else ""
        self._told.append(
            (
                *(self.revision, kind.value, genre_id, self.now_us, who),
                *(source_id, spelling, told),
            )
        )
        return self.revision

    def supersede(self, genre: Genre) -> None:
        """Keep *genre*, which is about to change, as of its last change."""
        self._superseded.append(genre)

    @property
    def is_empty(self) -> bool:
        return not self._created and not self._told

    def write(self, history_kept: int | None = None) -> None:
        """
        Write everything down; nothing if nothing changed.

        Args:
            history_kept: For how many changes back snapshots stay; None leaves them all.
        """
        if self.is_empty:
            return
        insert_all(self.connection, schema.change, self._created)
        insert_all(self.connection, schema.change, self._told)
        if self._superseded:
            self.connection.execute(
                _KEEP,
                [
                    {"of_revision": genre.revision, "as_json": snapshot_of(genre)}
                    for genre in self._superseded
                ],
            )
        if self._superseded and history_kept is not None and self.revision > history_kept:
            up_to = {"up_to": self.revision - history_kept}
            self.connection.execute(_TRIM, up_to)
            self.connection.execute(_NOTE_TRIMMED, up_to)
        moved = {"to_revision": self.revision, "to_genre_id": self.genre_id}
        self.connection.execute(_MOVE_ON, moved)


def changes_after(
    connection: Connection, revision: int, size_max: int, history_kept: int
) -> tuple[list[Change], RegistryState]:
    """
    Return the first *size_max* changes after *revision*, each with its genre as of then, and
    where the registry stands.

    Raises:
        HistoryTrimmed: that many changes back are not kept.
    """
    stands = state(connection)
    trimmed: int = connection.execute(_TRIMMED).scalar_one()
    if revision < (kept_from := max(stands.revision - history_kept, trimmed)):
        raise HistoryTrimmed.before(revision, kept_from)
    rows = connection.execute(_AFTER, {"after": revision, "size": size_max}).all()
    as_they_are = {row.genre_id for row in rows if row.genre_id and row.snapshot is None}
    genres = read_genres(connection, as_they_are) if as_they_are else {}
    return [change_of(row, genres) for row in rows], stands


def history(connection: Connection, genre_id: int, before: int, size_max: int) -> list[Change]:
    """Return the last *size_max* changes before a revision; of one genre unless it is 0."""
    query = _BEFORE_OF_GENRE if genre_id else _BEFORE
    asked_for = {"before": before, "size": size_max, "genre_id": genre_id}
    return [change_of(row, {}) for row in connection.execute(query, asked_for)]


def change_of(row: Any, genres: dict[int, Genre]) -> Change:
    """Return the change of a row; *genres* are those whose state it tells no more, by id."""
    as_of_then = genre_of(row.snapshot) if row.snapshot else genres.get(row.genre_id)
    return Change(
        row.revision,
        ChangeKind(row.kind),
        row.genre_id or 0,
        row.source_id or 0,
        row.spelling,
        row.time_us,
        row.who,
        _differences(row.differences),
        as_of_then,
    )


_TOLD = [each.name for each in fields(Genre) if each.name != "request_id"]


def snapshot_of(genre: Genre) -> str:
    """Return *genre* as JSON; who created it is not told of what it was."""
    told = {name: getattr(genre, name) for name in _TOLD}
    return json.dumps({**told, "state": genre.state.value}, ensure_ascii=False)


def genre_of(snapshot: str) -> Genre:
    """Return the genre that `snapshot_of` wrote."""
    read = json.loads(snapshot)
    return Genre(
        **{
            **read,
            "request_id": "",
            "state": State(read["state"]),
            "aliases": tuple(read["aliases"]),
            "parent_ids": tuple(read["parent_ids"]),
            "external_ids": tuple((whose, value) for whose, value in read["external_ids"]),
        }
    )


def differences_json(differences: Iterable[Difference]) -> str:
    """Return what became of a genre's fields as JSON."""
    return json.dumps(
        [(each.field, each.removed, each.added) for each in differences], ensure_ascii=False
    )


def _differences(told: str) -> tuple[Difference, ...]:
    if not told:
        return ()
    return tuple(
        Difference(field_name, tuple(removed), tuple(added))
        for field_name, removed, added in json.loads(told)
    )


@cache
def _driver_sql(table: Table, columns: int, dialect: Dialect) -> str:
    names = [column.name for column in table.columns][:columns]
    return str(insert(table).compile(dialect=dialect, column_keys=names))


def insert_all(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """
    Insert *rows*, tuples of one length in the order of the table's columns; what they do not
    hold is what it is by default.

    The statement is compiled once to the driver's own SQL and fed tuples, which halves the
    cost of a batch.
    """
    if rows:
        statement = _driver_sql(table, len(rows[0]), connection.dialect)
        connection.exec_driver_sql(statement, list(rows))
