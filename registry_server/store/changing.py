"""
Changing the tables: what was changed is gathered in values first and written in the end,
within the caller's transaction.

The statements are compiled once to the driver's own SQL and fed tuples, which halves the
cost of a batch.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, insert, select, update

from registry_server.store import schema
from registry_server.store.genres import genres as read_genres
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling

CREATED = "created"
"""The kind of change that makes a genre."""
LINKED = "linked"
"""The kind of change by which a genre gains what the packs know: an id, an alias, a parent."""

# Locked before anything is read: nobody else can create between our read and our
# insert. On SQLite, BEGIN IMMEDIATE has seen to that.
_LOCKED = select(schema.registry.c.revision, schema.registry.c.genre_id_last).with_for_update()
_MOVE_ON = update(schema.registry).values(
    revision=bindparam("to_revision"), genre_id_last=bindparam("to_genre_id")
)
_RENEW = (
    update(schema.genre)
    .where(schema.genre.c.id == bindparam("changed_id"))
    .values(revision=bindparam("to_revision"), update_time_us=bindparam("to_time_us"))
)
_PARENTS = select(schema.parent.c.parent_id).where(schema.parent.c.child_id == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Alias:
    """Another spelling of a genre, and the pack that brought it."""

    spelling: Spelling
    source: str


@dataclass(slots=True)
class Changes:
    """
    The changes of one transaction, each with a revision of its own, in order.

    Begins by locking the registry's row; `write` ends it.
    """

    connection: Connection
    now_us: int = field(default_factory=lambda: time.time_ns() // 1000)
    made: dict[int, Genre] = field(default_factory=dict)
    """Genres created, as they are by now."""
    changed: dict[int, Genre] = field(default_factory=dict)
    """Genres that were there before, as they are by now."""
    _revision: int = field(init=False)
    _genre_id: int = field(init=False)
    _spellings: list[tuple[Any, ...]] = field(default_factory=list)
    _parents: list[tuple[int, int]] = field(default_factory=list)
    _external_ids: list[tuple[int, str, str]] = field(default_factory=list)
    _log: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._revision, self._genre_id = self.connection.execute(_LOCKED).one()

    def create(
        self,
        name: Spelling,
        request_id: str,
        *,
        aliases: Collection[Alias] = (),
        external_ids: Iterable[tuple[str, str]] = (),
        parent_ids: Iterable[int] = (),
    ) -> Genre:
        """Create a genre named *name*, with what a pack knows of it."""
        self._genre_id += 1
        genre_id = self._genre_id
        rows = sorted(aliases, key=lambda row: row.spelling.fold) if aliases else ()
        genre = Genre(
            genre_id,
            name.text,
            self._next(CREATED, genre_id),
            self.now_us,
            self.now_us,
            request_id,
            aliases=tuple([row.spelling.text for row in rows]),
            parent_ids=tuple(sorted(set(parent_ids))),
            external_ids=tuple(sorted(external_ids)),
        )
        self.made[genre_id] = genre
        self._spellings.append((name.fold, name.strict, name.text, genre_id, schema.NAME, ""))
        for row in rows:
            self._add_alias(genre_id, row)
        self._parents += [(genre_id, parent_id) for parent_id in genre.parent_ids]
        self._external_ids += [(genre_id, *pair) for pair in genre.external_ids]
        return genre

    def link(
        self,
        genre: Genre,
        *,
        aliases: Iterable[Alias] = (),
        external_ids: Iterable[tuple[str, str]] = (),
        parent_ids: Iterable[int] = (),
    ) -> Genre:
        """Add to *genre* what it has not yet, as one change; parents must close no cycle."""
        rows = list(aliases)
        ids = tuple(external_ids)
        parents = tuple(parent_ids)
        genre = replace(
            genre,
            revision=self._next(LINKED, genre.id),
            update_time_us=self.now_us,
            aliases=(*genre.aliases, *(row.spelling.text for row in rows)),
            parent_ids=tuple(sorted({*genre.parent_ids, *parents})),
            external_ids=tuple(sorted({*genre.external_ids, *ids})),
        )
        (self.made if genre.id in self.made else self.changed)[genre.id] = genre
        for row in rows:
            self._add_alias(genre.id, row)
        self._parents += [(genre.id, parent_id) for parent_id in parents]
        self._external_ids += [(genre.id, *pair) for pair in ids]
        return genre

    def latest(self, genre: Genre) -> Genre:
        """Return *genre* as it is by now."""
        return self.made.get(genre.id) or self.changed.get(genre.id) or genre

    def is_ancestor(self, genre_id: int, of_id: int) -> bool:
        """Whether *genre_id* is *of_id* or among what it is a kind of."""
        seen: set[int] = set()
        ahead = [of_id]
        while ahead:
            current = ahead.pop()
            if current == genre_id:
                return True
            if current not in seen:
                seen.add(current)
                ahead += self.connection.execute(_PARENTS, {"of": current}).scalars()
                ahead += [parent for child, parent in self._parents if child == current]
        return False

    def write(self) -> None:
        """Write everything down; nothing if nothing changed."""
        if not self._log:
            return
        # Genres first: the other rows point to them.
        insert_all(
            self.connection,
            schema.genre,
            [
                (g.id, g.name, g.revision, g.create_time_us, g.update_time_us, g.request_id)
                for g in self.made.values()
            ],
        )
        for genre in self.changed.values():
            self.connection.execute(
                _RENEW,
                {
                    "changed_id": genre.id,
                    "to_revision": genre.revision,
                    "to_time_us": genre.update_time_us,
                },
            )
        insert_all(self.connection, schema.spelling, self._spellings)
        insert_all(self.connection, schema.parent, self._parents)
        insert_all(self.connection, schema.external_id, self._external_ids)
        insert_all(self.connection, schema.change, self._log)
        self.connection.execute(
            _MOVE_ON, {"to_revision": self._revision, "to_genre_id": self._genre_id}
        )
        # Aliases come in the order of their keys: as the next reader finds them.
        self.changed = read_genres(self.connection, self.changed) if self.changed else {}

    def _add_alias(self, genre_id: int, row: Alias) -> None:
        spelling = row.spelling
        self._spellings.append(
            (spelling.fold, spelling.strict, spelling.text, genre_id, schema.ALIAS, row.source)
        )

    def _next(self, kind: str, genre_id: int) -> int:
        self._revision += 1
        self._log.append((self._revision, kind, genre_id, self.now_us))
        return self._revision


@cache
def _driver_sql(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))


def insert_all(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    """Insert *rows*, each a tuple in the order of the table's columns."""
    if rows:
        connection.exec_driver_sql(_driver_sql(table, connection.dialect), rows)
