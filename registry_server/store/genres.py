"""
What is asked of genres; each function within the caller's transaction.

Spellings, parents and ids elsewhere stay with the genre that brought them: what is read
here follows merges to the survivor.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.vocabulary.genre import Genre, GenrePage, RegistryState, State

_home = schema.genre.alias("home")
_SURVIVOR = func.coalesce(_home.c.survivor_id, _home.c.id)
SURVIVOR = func.coalesce(schema.genre.c.survivor_id, schema.genre.c.id)
"""The id of the genre that a row of `genre` answers with."""
_GENRE = (
    schema.genre.c.id,
    schema.genre.c.name,
    schema.genre.c.revision,
    schema.genre.c.create_time_us,
    schema.genre.c.update_time_us,
    schema.genre.c.request_id,
    schema.genre.c.state,
    schema.genre.c.description,
)
_REACHED = select(schema.spelling.c.lookup_key, schema.spelling.c.text, *_GENRE).select_from(
    schema.spelling.outerjoin(_home, _home.c.id == schema.spelling.c.genre_id).outerjoin(
        schema.genre, schema.genre.c.id == _SURVIVOR
    )
)
_BY_KEY = _REACHED.where(schema.spelling.c.lookup_key.in_(ASKED))
_ALL_KEYS = _REACHED.limit(bindparam("size"))
_BY_ID = (
    select(_home.c.id.label("asked_id"), *_GENRE)
    .join_from(_home, schema.genre, schema.genre.c.id == _SURVIVOR)
    .where(_home.c.id.in_(ASKED))
)
_AFTER = (
    select(*_GENRE)
    .where(schema.genre.c.id > bindparam("after_id"), schema.genre.c.survivor_id.is_(None))
    .order_by(schema.genre.c.id)
    .limit(bindparam("size"))
)
_IN_USE = schema.genre.c.state == State.ACTIVE.value
_parent_genre = schema.genre.alias("parent_genre")
_IS_CHILD = (schema.genre.c.id != bindparam("parent_id")) & schema.genre.c.id.in_(
    select(schema.parent.c.child_id)
    .join_from(schema.parent, _parent_genre, _parent_genre.c.id == schema.parent.c.parent_id)
    .where(
        # Not by coalesce, which no index serves.
        (_parent_genre.c.survivor_id == bindparam("parent_id"))
        | (_parent_genre.c.id == bindparam("parent_id"))
    )
)
_STATE = select(schema.registry.c.revision, schema.registry.c.incarnation)
_MERGED = select(schema.genre.c.id, schema.genre.c.survivor_id).where(
    schema.genre.c.survivor_id.is_not(None)
)
_MERGED_INTO = _MERGED.where(schema.genre.c.survivor_id.in_(ASKED))
# What else belongs to genres; none has any in most libraries' long tails.
_ALIASES = (
    select(schema.spelling.c.genre_id, schema.spelling.c.lookup_key, schema.spelling.c.text)
    .where(schema.spelling.c.kind == schema.ALIAS)
    .order_by(schema.spelling.c.lookup_key)
)
_PARENTS = select(schema.parent.c.child_id, SURVIVOR).join_from(
    schema.parent, schema.genre, schema.genre.c.id == schema.parent.c.parent_id
)
_EXTERNAL_IDS = select(
    schema.external_id.c.genre_id, schema.external_id.c.whose, schema.external_id.c.value
).order_by(schema.external_id.c.genre_id)
_ALIASES_OF = _ALIASES.where(schema.spelling.c.genre_id.in_(ASKED))
_PARENTS_OF = _PARENTS.where(schema.parent.c.child_id.in_(ASKED))
_EXTERNAL_IDS_OF = _EXTERNAL_IDS.where(schema.external_id.c.genre_id.in_(ASKED))


def all_keys(connection: Connection, size_max: int) -> dict[str, Genre] | None:
    """Return every key and what it reaches; None if there are more than *size_max*."""
    rows = connection.execute(_ALL_KEYS, {"size": size_max + 1}).all()
    return None if len(rows) > size_max else _reached(connection, rows, whole=True)


def find(connection: Connection, keys: Collection[str]) -> dict[str, Genre]:
    """Return what *keys* reach, by key: a genre, or, of a block, `Genre.blocked`."""
    return _reached(connection, connection.execute(_BY_KEY, asked(keys)).all())


def genres(connection: Connection, ids: Collection[int]) -> dict[int, Genre]:
    """Return the genres that answer to *ids*, by the id asked for."""
    rows = connection.execute(_BY_ID, asked(ids)).all()
    found = _whole(connection, [row[1:] for row in rows])
    return {row[0]: found[row[1]] for row in rows}


def state(connection: Connection) -> RegistryState:
    """Return where the registry stands."""
    return RegistryState(*connection.execute(_STATE).one())


def page(
    connection: Connection, after_id: int, size_max: int, parent_id: int, *, show_deleted: bool
) -> GenrePage:
    """
    Return the first *size_max* genres with an id above *after_id*; only children of
    *parent_id* unless it is 0.
    """
    query = _AFTER if show_deleted else _AFTER.where(_IN_USE)
    if parent_id:
        query = query.where(_IS_CHILD)
    asked_for = {"after_id": after_id, "size": size_max + 1, "parent_id": parent_id}
    rows = connection.execute(query, asked_for).all()
    listed = rows[:size_max]
    return GenrePage(
        tuple(_whole(connection, listed).values()),
        more=len(rows) > size_max,
        state=state(connection),
    )


def merged_into(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Return the ids that answer with one of *ids* after a merge, and with which."""
    return {row[0]: row[1] for row in connection.execute(_MERGED_INTO, asked(ids))}


def _reached(
    connection: Connection, rows: Sequence[Sequence[Any]], *, whole: bool = False
) -> dict[str, Genre]:
    found = _whole(connection, [row[2:] for row in rows if row[2] is not None], of_all=whole)
    return {row[0]: Genre.blocked(row[1]) if row[2] is None else found[row[2]] for row in rows}


def _whole(
    connection: Connection, rows: Iterable[Sequence[Any]], *, of_all: bool = False
) -> dict[int, Genre]:
    """Return the genres of *rows* with all that belongs to them; *of_all* if they are all."""
    found = {row[0]: _genre(row) for row in rows}
    if not found:
        return {}
    if of_all:
        merged = {row[0]: row[1] for row in connection.execute(_MERGED)}
    else:
        merged = merged_into(connection, found)
    ids = None if of_all else found.keys()
    brought_by = None if of_all else {*found, *merged}
    aliases = _grouped(connection, _ALIASES, _ALIASES_OF, brought_by, merged)
    parents = _grouped(connection, _PARENTS, _PARENTS_OF, ids, {})
    external_ids = _grouped(connection, _EXTERNAL_IDS, _EXTERNAL_IDS_OF, brought_by, merged)
    for genre_id in {*aliases, *parents, *external_ids}:
        if genre_id not in found:  # of a merged genre, whose own parents rest
            continue
        found[genre_id] = replace(
            found[genre_id],
            aliases=tuple([text for _, _, text in sorted(aliases.get(genre_id, ()), key=_by_key)]),
            parent_ids=tuple(sorted({row[1] for row in parents.get(genre_id, ())} - {genre_id})),
            external_ids=united(genre_id, external_ids.get(genre_id, ())),
        )
    return found


def _genre(row: Sequence[Any]) -> Genre:
    genre = Genre(row[0], row[1], row[2], row[3], row[4], row[5])
    if row[6] == State.ACTIVE.value and not row[7]:
        return genre
    return replace(genre, state=State(row[6]), description=row[7])


def _by_key(alias: Sequence[Any]) -> str:
    key: str = alias[1]
    return key


def united(genre_id: int, rows: Iterable[tuple[int, str, str]]) -> tuple[tuple[str, str], ...]:
    """
    Return a genre's ids elsewhere, of (who brought it, whose, value): of several of one
    place its own counts, else that of the oldest that was merged into it.
    """
    shown: dict[str, str] = {}
    for _, whose, value in sorted(rows, key=lambda row: (row[0] != genre_id, row[0])):
        shown.setdefault(whose, value)
    return tuple(sorted(shown.items()))


def _grouped(
    connection: Connection,
    every: Select[Any],
    of_asked: Select[Any],
    ids: Collection[int] | None,
    merged: Mapping[int, int],
) -> dict[int, list[Any]]:
    """Return the rows of a select by the survivor of their first column, a genre's id."""
    rows = connection.execute(every) if ids is None else connection.execute(of_asked, asked(ids))
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows.all():
        grouped[merged.get(row[0], row[0])].append(tuple(row))
    return grouped
