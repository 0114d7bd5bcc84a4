"""
What every edit needs: genres as they were, the journal, and who holds a spelling.

An edit changes rows first and then has each genre that it concerned noted: what became of
it is what the tables say of it before and after.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.store.changing import is_ancestor, parents_of, renew
from registry_server.store.genres import SURVIVOR
from registry_server.store.genres import genres as read_genres
from registry_server.store.journal import Journal
from registry_server.vocabulary.change import ChangeKind, differences
from registry_server.vocabulary.curation_refusals import (
    GenreDeleted,
    GenreMerged,
    RevisionMismatch,
    SpellingBlocked,
    SpellingTaken,
)
from registry_server.vocabulary.genre import Genre, State
from registry_server.vocabulary.identity import PIN, Spelling, pinned_key
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.refusals import GenreNotFound

_HOLDERS = (
    select(
        schema.spelling.c.lookup_key,
        schema.spelling.c.strict_key,
        schema.spelling.c.text,
        schema.spelling.c.kind,
        schema.spelling.c.genre_id,
        SURVIVOR.label("survivor_id"),
    )
    .join_from(schema.spelling, schema.genre, isouter=True)
    .where(schema.spelling.c.lookup_key.in_((bindparam("pinned"), bindparam("fold"))))
)
_CHILDREN = (
    select(schema.parent.c.child_id)
    .join_from(schema.parent, schema.genre, schema.genre.c.id == schema.parent.c.child_id)
    .where(schema.parent.c.parent_id.in_(ASKED), schema.genre.c.survivor_id.is_(None))
    .distinct()
)

_RAW_PARENTS = (
    select(schema.parent.c.parent_id, SURVIVOR)
    .join_from(schema.parent, schema.genre, schema.genre.c.id == schema.parent.c.parent_id)
    .where(schema.parent.c.child_id == bindparam("of"))
)


@dataclass(frozen=True, slots=True)
class Holder:
    """
    The row that a spelling reaches: a genre's, with who brought it and who has it now, or a
    block's, with None for both.
    """

    lookup_key: str
    strict_key: str
    text: str
    kind: str
    brought_by: int | None
    genre_id: int | None

    @property
    def is_name(self) -> bool:
        return self.kind == schema.NAME


@dataclass(slots=True)
class Editing:
    """One edit under way, in a transaction of the caller's."""

    connection: Connection
    who: str
    knowledge: Knowledge
    history_kept: int
    touched: set[str] = field(default_factory=set)
    """Keys that may reach something else than before, or of which something was decided."""
    changed: dict[int, Genre] = field(default_factory=dict)
    """Genres that changed, as they are by now."""
    gone: set[int] = field(default_factory=set)
    """Ids that answer with another genre than before."""
    _journal: Journal | None = None
    _as_noted: dict[int, Genre] = field(default_factory=dict)

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self.connection)
        return self._journal

    def genre(self, genre_id: int, expected_revision: int = 0) -> Genre:
        """
        Return a genre that is about to be changed.

        Raises:
            GenreNotFound: none has the id.
            GenreMerged: it is another's by now.
            RevisionMismatch: it has changed since its caller read it.
        """
        [genre] = self.remember([genre_id])
        if genre.id != genre_id:
            raise GenreMerged(genre_id, genre.id)
        if expected_revision not in (0, genre.revision):
            raise RevisionMismatch(genre_id, expected_revision, genre.revision)
        return genre

    def active(self, genre_id: int, expected_revision: int = 0) -> Genre:
        """
        As `genre`, of one that is in use.

        Raises:
            GenreDeleted: it was deleted.
        """
        genre = self.genre(genre_id, expected_revision)
        if not genre.is_active:
            raise GenreDeleted(genre_id)
        return genre

    def remember(self, ids: Collection[int]) -> list[Genre]:
        """
        Return the genres that answer to *ids*, in order, as they were noted last.

        Raises:
            GenreNotFound: one of the ids is none's.
        """
        found = read_genres(self.connection, ids)
        for genre_id in ids:
            if genre_id not in found:
                raise GenreNotFound.with_id(genre_id)
        for genre in found.values():
            self._as_noted.setdefault(genre.id, genre)
        return [found[genre_id] for genre_id in ids]

    def note(
        self,
        kind: ChangeKind,
        genre_id: int,
        *,
        source_id: int = 0,
        spelling: str = "",
        always: bool = False,
    ) -> Genre:
        """Note what became of a genre that was remembered; *always*, even if it looks the same."""
        [genre] = self.note_all(
            kind, [genre_id], source_id=source_id, spelling=spelling, always=always
        )
        return genre

    def note_all(
        self,
        kind: ChangeKind,
        ids: Iterable[int],
        *,
        source_id: int = 0,
        spelling: str = "",
        always: bool = False,
    ) -> list[Genre]:
        """As `note`, for several; return them as they are now."""
        ids = list(ids)
        by_now = read_genres(self.connection, ids) if ids else {}
        noted, renewed = [], []
        for genre_id in ids:
            before, after = self._as_noted.get(genre_id), by_now[genre_id]
            became = differences(before, after)
            if not became and not always:
                noted.append(after)
                continue
            revision = self.journal.note(
                kind,
                genre_id,
                self.who,
                source_id=source_id or None,
                spelling=spelling,
                differences=became,
            )
            if before is not None:
                self.journal.supersede(before)
            after = replace(after, revision=revision, update_time_us=self.journal.now_us)
            renewed.append(after)
            self._as_noted[genre_id] = self.changed[genre_id] = after
            noted.append(after)
        renew(self.connection, renewed)
        return noted

    def leave(self, genre: Genre) -> None:
        """Note that a genre's id is about to answer with another genre."""
        self.journal.supersede(self._as_noted.pop(genre.id))
        self.changed.pop(genre.id, None)
        self.gone.add(genre.id)

    def write(self) -> None:
        """Write the journal of the edit."""
        if self._journal is not None:
            self._journal.write(self.history_kept)

    def children(self, ids: Collection[int]) -> list[int]:
        """Return which genres have one of *ids* as a parent, merges not followed."""
        return list(self.connection.execute(_CHILDREN, asked(ids)).scalars())

    def raw_parents(self, genre_id: int) -> list[tuple[int, int]]:
        """Return a genre's parents as they were set, each with who answers to it now."""
        rows = self.connection.execute(_RAW_PARENTS, {"of": genre_id})
        return [(parent_id, survivor_id) for parent_id, survivor_id in rows]

    def remove_parent(self, child_id: int, parent_id: int) -> None:
        """Take a parent, as it was set, from a genre."""
        table = schema.parent.c
        self.connection.execute(
            delete(schema.parent).where(table.child_id == child_id, table.parent_id == parent_id)
        )

    def is_ancestor(self, genre_id: int, of_id: int) -> bool:
        """Whether *genre_id* is *of_id* or among what it is a kind of, merges followed."""
        return is_ancestor(genre_id, of_id, partial(parents_of, self.connection))

    def holder(self, spelling: Spelling) -> Holder | None:
        """Return what holds the spelling's key: its own if it is pinned, else its fold key."""
        found = self.holders(spelling)
        return found.get(pinned_key(spelling.strict)) or found.get(fold_of(spelling))

    def holders(self, spelling: Spelling) -> dict[str, Holder]:
        """Return what holds the spelling's pinned and its fold key."""
        keys = {"pinned": pinned_key(spelling.strict), "fold": fold_of(spelling)}
        return {row[0]: Holder(*row) for row in self.connection.execute(_HOLDERS, keys)}

    def name_row(self, genre: Genre) -> Holder | None:
        """Return the row that holds a genre's own name, if it still is that genre's."""
        rows = self.holders(Spelling.of(genre.name)).values()
        own = [row for row in rows if row.brought_by == genre.id]
        return min(own, key=lambda row: (not row.is_name, row.text != genre.name), default=None)

    def refuse_held(self, spelling: Spelling, holder: Holder) -> None:
        """
        Say that *spelling* is held.

        Raises:
            SpellingBlocked: by a block, or by a genre that was deleted.
            SpellingTaken: by a genre in use.
        """
        if holder.genre_id is None:
            raise SpellingBlocked(spelling.text)
        genre = read_genres(self.connection, [holder.genre_id])[holder.genre_id]
        if genre.state is State.DELETED:
            raise SpellingBlocked(spelling.text, genre.id)
        raise SpellingTaken(spelling.text, genre.id, genre.name)

    def add_row(self, key: str, spelling: Spelling, genre_id: int | None, kind: str) -> None:
        """Have a curator's spelling hold *key*."""
        self.touched.add(key)
        self.connection.execute(
            insert(schema.spelling).values(
                lookup_key=key,
                strict_key=spelling.strict,
                text=spelling.text,
                genre_id=genre_id,
                kind=kind,
                source=schema.CURATOR if genre_id else "",
            )
        )

    def change_row(self, key: str, **values: object) -> None:
        """Change the row that holds *key*."""
        self.touched.add(key)
        self.connection.execute(
            update(schema.spelling).where(schema.spelling.c.lookup_key == key).values(**values)
        )

    def remove_row(self, key: str) -> None:
        """Free *key*."""
        self.touched.add(key)
        self.connection.execute(delete(schema.spelling).where(schema.spelling.c.lookup_key == key))

    def change_genre(self, genre_id: int, **values: object) -> None:
        """Change columns of a genre's own row."""
        self.connection.execute(
            update(schema.genre).where(schema.genre.c.id == genre_id).values(**values)
        )


def fold_of(spelling: Spelling) -> str:
    """Return the fold key of a spelling, also of one that is pinned."""
    return Spelling.of(spelling.text).fold if spelling.fold.startswith(PIN) else spelling.fold
