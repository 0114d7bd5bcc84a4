"""
Creating genres and linking them: what is new is gathered in values first and written in
the end, within the caller's transaction.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from registry_server.store import schema
from registry_server.store.genres import SURVIVOR
from registry_server.store.genres import genres as read_genres
from registry_server.store.journal import Journal, insert_all
from registry_server.vocabulary.change import PACKS, ChangeKind, differences
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling

_RENEW = (
    update(schema.genre)
    .where(schema.genre.c.id == bindparam("changed_id"))
    .values(revision=bindparam("to_revision"), update_time_us=bindparam("to_time_us"))
)
_PARENTS = (
    select(SURVIVOR)
    .join_from(schema.parent, schema.genre, schema.genre.c.id == schema.parent.c.parent_id)
    .where(schema.parent.c.child_id == bindparam("of"), bindparam("of") != SURVIVOR)
)


def parents_of(connection: Connection, genre_id: int) -> list[int]:
    """Return what a genre is a kind of, as the tables have it by now."""
    return list(connection.execute(_PARENTS, {"of": genre_id}).scalars())


def is_ancestor(genre_id: int, of_id: int, parents: Callable[[int], Iterable[int]]) -> bool:
    """Whether *genre_id* is *of_id*, or among what it is a kind of by *parents*."""
    seen: set[int] = set()
    ahead = [of_id]
    while ahead:
        current = ahead.pop()
        if current == genre_id:
            return True
        if current not in seen:
            seen.add(current)
            ahead += parents(current)
    return False


@dataclass(frozen=True, slots=True)
class Alias:
    """Another spelling of a genre, and the pack that brought it."""

    spelling: Spelling
    source: str


@dataclass(slots=True)
class Changes:
    """The genres that one transaction creates or links, in order; `write` ends it."""

    connection: Connection
    made: dict[int, Genre] = field(default_factory=dict)
    """Genres created, as they are by now."""
    changed: dict[int, Genre] = field(default_factory=dict)
    """Genres that were there before, as they are by now."""
    journal: Journal = field(init=False)
    _spellings: list[tuple[Any, ...]] = field(default_factory=list)
    _parents: list[tuple[int, int]] = field(default_factory=list)
    _external_ids: list[tuple[int, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journal = Journal(self.connection)

    def create(
        self,
        name: Spelling,
        request_id: str,
        who: str,
        *,
        genre_id: int = 0,
        aliases: Collection[Alias] = (),
        external_ids: Iterable[tuple[str, str]] = (),
        parent_ids: Iterable[int] = (),
    ) -> Genre:
        """
        Create a genre named *name*, with what a pack knows of it; its id is the next one, or
        *genre_id*, which none ever had.
        """
        genre_id = genre_id or self.journal.genre_id + 1
        self.journal.genre_id = max(self.journal.genre_id, genre_id)
        rows = sorted(aliases, key=lambda row: row.spelling.fold) if aliases else ()
        genre = Genre(
            genre_id,
            name.text,
            self.journal.created(genre_id, who),
            self.journal.now_us,
            self.journal.now_us,
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
        """Give *genre*, as it is by now, what the packs know of it; one change."""
        rows, ids, parents = tuple(aliases), tuple(external_ids), tuple(parent_ids)
        linked = replace(
            genre,
            update_time_us=self.journal.now_us,
            aliases=(*genre.aliases, *(row.spelling.text for row in rows)),
            parent_ids=tuple(sorted({*genre.parent_ids, *parents})),
            external_ids=tuple(sorted({*genre.external_ids, *ids})),
        )
        revision = self.journal.note(
            ChangeKind.LINKED, genre.id, PACKS, differences=differences(genre, linked)
        )
        linked = replace(linked, revision=revision)
        self.journal.supersede(genre)
        (self.made if genre.id in self.made else self.changed)[genre.id] = linked
        for row in rows:
            self._add_alias(genre.id, row)
        self._parents += [(genre.id, parent_id) for parent_id in parents]
        self._external_ids += [(genre.id, *pair) for pair in ids]
        return linked

    def latest(self, genre: Genre) -> Genre:
        """Return *genre* as it is by now."""
        return self.made.get(genre.id) or self.changed.get(genre.id) or genre

    def is_ancestor(self, genre_id: int, of_id: int) -> bool:
        """Whether *genre_id* is *of_id* or among what it is a kind of."""
        return is_ancestor(genre_id, of_id, self._parents_of)

    def _parents_of(self, genre_id: int) -> list[int]:
        gained = [parent for child, parent in self._parents if child == genre_id]
        return parents_of(self.connection, genre_id) + gained

    def write(self) -> None:
        """Write everything down; nothing if nothing changed."""
        if self.journal.is_empty:
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
        renew(self.connection, self.changed.values())
        insert_all(self.connection, schema.spelling, self._spellings)
        insert_all(self.connection, schema.parent, self._parents)
        insert_all(self.connection, schema.external_id, self._external_ids)
        self.journal.write()
        # Aliases come in the order of their keys: as the next reader finds them.
        self.changed = read_genres(self.connection, self.changed) if self.changed else {}

    def _add_alias(self, genre_id: int, row: Alias) -> None:
        spelling = row.spelling
        self._spellings.append(
            (spelling.fold, spelling.strict, spelling.text, genre_id, schema.ALIAS, row.source)
        )


def renew(connection: Connection, genres: Iterable[Genre]) -> None:
    """Write down the revision and the time of each genre's last change."""
    rows = [
        {
            "changed_id": genre.id,
            "to_revision": genre.revision,
            "to_time_us": genre.update_time_us,
        }
        for genre in genres
    ]
    if rows:
        connection.execute(_RENEW, rows)
