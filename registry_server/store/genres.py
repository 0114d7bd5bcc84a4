"""What is asked of the tables; each function within the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.vocabulary.genre import Genre, GenrePage, RegistryState

_GENRE = (
    schema.genre.c.id,
    schema.genre.c.name,
    schema.genre.c.revision,
    schema.genre.c.create_time_us,
    schema.genre.c.update_time_us,
    schema.genre.c.request_id,
)
_BY_KEY = (
    select(schema.spelling.c.lookup_key, *_GENRE)
    .join_from(schema.spelling, schema.genre)
    .where(schema.spelling.c.lookup_key.in_(ASKED))
)
_ALL_KEYS = (
    select(schema.spelling.c.lookup_key, *_GENRE)
    .join_from(schema.spelling, schema.genre)
    .limit(bindparam("size"))
)
_BY_ID = select(*_GENRE).where(schema.genre.c.id.in_(ASKED))
_AFTER = (
    select(*_GENRE)
    .where(schema.genre.c.id > bindparam("after_id"))
    .order_by(schema.genre.c.id)
    .limit(bindparam("size"))
)
_STATE = select(schema.registry.c.revision, schema.registry.c.incarnation)
# What else belongs to genres; none has any in most libraries' long tails.
_ALIASES = (
    select(schema.spelling.c.genre_id, schema.spelling.c.text)
    .where(schema.spelling.c.kind == schema.ALIAS)
    .order_by(schema.spelling.c.lookup_key)
)
_PARENTS = select(schema.parent.c.child_id, schema.parent.c.parent_id).order_by(
    schema.parent.c.parent_id
)
_EXTERNAL_IDS = select(
    schema.external_id.c.genre_id, schema.external_id.c.whose, schema.external_id.c.value
).order_by(schema.external_id.c.whose)
_ALIASES_OF = _ALIASES.where(schema.spelling.c.genre_id.in_(ASKED))
_PARENTS_OF = _PARENTS.where(schema.parent.c.child_id.in_(ASKED))
_EXTERNAL_IDS_OF = _EXTERNAL_IDS.where(schema.external_id.c.genre_id.in_(ASKED))


def all_keys(connection: Connection, size_max: int) -> dict[str, Genre] | None:
    """Return every key and the genre it reaches; None if there are more than *size_max*."""
    rows = connection.execute(_ALL_KEYS, {"size": size_max + 1}).all()
    if len(rows) > size_max:
        return None
    found = _whole(connection, (row[1:] for row in rows), ids=None)
    return {row[0]: found[row[1]] for row in rows}


def find(connection: Connection, keys: Collection[str]) -> dict[str, Genre]:
    """Return the genres that *keys* reach, by key."""
    rows = connection.execute(_BY_KEY, asked(keys)).all()
    found = _whole(connection, (row[1:] for row in rows), ids={row[1] for row in rows})
    return {row[0]: found[row[1]] for row in rows}


def genres(connection: Connection, ids: Collection[int]) -> dict[int, Genre]:
    """Return the genres that have *ids*, by id."""
    rows = connection.execute(_BY_ID, asked(ids)).all()
    return _whole(connection, rows, ids={row[0] for row in rows})


def state(connection: Connection) -> RegistryState:
    """Return where the registry stands."""
    return RegistryState(*connection.execute(_STATE).one())


def page(connection: Connection, after_id: int, size_max: int) -> GenrePage:
    """Return the first *size_max* genres with an id above *after_id*."""
    rows = connection.execute(_AFTER, {"after_id": after_id, "size": size_max + 1}).all()
    listed = rows[:size_max]
    return GenrePage(
        tuple(_whole(connection, listed, ids={row[0] for row in listed}).values()),
        more=len(rows) > size_max,
        state=state(connection),
    )


def _whole(
    connection: Connection, rows: Iterable[Sequence[Any]], *, ids: Collection[int] | None
) -> dict[int, Genre]:
    """Return the genres of *rows* with all that belongs to them; *ids* are theirs, None for all."""
    aliases = _grouped(connection, _ALIASES, _ALIASES_OF, ids)
    parents = _grouped(connection, _PARENTS, _PARENTS_OF, ids)
    external_ids = _grouped(connection, _EXTERNAL_IDS, _EXTERNAL_IDS_OF, ids)
    found = {row[0]: Genre(*row) for row in rows}
    for genre_id in {*aliases, *parents, *external_ids}:
        found[genre_id] = replace(
            found[genre_id],
            aliases=tuple(alias for (alias,) in aliases.get(genre_id, ())),
            parent_ids=tuple(parent_id for (parent_id,) in parents.get(genre_id, ())),
            external_ids=tuple((whose, value) for whose, value in external_ids.get(genre_id, ())),
        )
    return found


def _grouped(
    connection: Connection, every: Select[Any], of_asked: Select[Any], ids: Collection[int] | None
) -> dict[int, list[Any]]:
    """Return the rows of a select by the genre's id, which is the first of their columns."""
    if ids is not None and not ids:
        return {}
    rows = connection.execute(every) if ids is None else connection.execute(of_asked, asked(ids))
    grouped: dict[int, list[Any]] = defaultdict(list)
    for genre_id, *values in rows.all():
        grouped[genre_id].append(values)
    return grouped
