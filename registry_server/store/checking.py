"""Checking a database: is what the registry promises true of the file?"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, and_, func, inspect, not_, select, tuple_

from registry_server.store import genres, linking, schema
from registry_server.store.engines import inspecting_engine
from registry_server.store.failures import (
    DatabaseMissing,
    DatabaseNewer,
    at_the_desk,
    refuse_no_file,
    refuse_wal_alone,
)
from registry_server.store.migrating import (
    check_ours,
    check_whole,
    due,
    key_versions,
    migration_of,
)
from registry_server.store.wal import unread_changes
from registry_server.vocabulary.identity import (
    KEY_VERSION,
    UNICODE_VERSION,
    Spelling,
    pinned_key,
)
from registry_server.vocabulary.refusals import InvalidName


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a check saw: facts, faults, and what looks like a fault and may be none. `judged` is
    False where there was nothing to judge, `has_registry` where there is nothing at all.
    """

    facts: tuple[str, ...]
    faults: tuple[str, ...] = ()
    concerns: tuple[str, ...] = ()
    judged: bool = True
    has_registry: bool = True


def check(path: Path) -> Report:
    """
    Look at the database file *path*, without changing it; a server may be serving it.

    Raises:
        DatabaseUnusable: it can't be read, or is not a registry's.
    """
    with at_the_desk(path), ExitStack() as stack:
        refuse_wal_alone(path.resolve())
        if not path.exists():
            raise DatabaseMissing(path)
        refuse_no_file(path)
        path = path.resolve()
        unread = unread_changes(path)
        concerns = (f"{unread}.",) if unread else ()
        engine = inspecting_engine(path)
        stack.callback(engine.dispose)
        connection = stack.enter_context(engine.begin())
        check_ours(connection, path)
        migration = migration_of(connection)
        if migration is not None and migration > schema.HEAD:
            raise DatabaseNewer(path, f"migration {migration}")
        if damage := tuple(_damage(connection)):
            return Report((), damage, concerns)
        if migration is None:
            empty = ("empty; genre-registry serve sets it up",)
            return Report(empty, (), concerns, judged=False, has_registry=False)
        if migration != schema.HEAD:
            advice = f"genre-registry migrate brings it to {schema.HEAD}; check it then"
            undamaged = f"undamaged, at migration {migration}"
            return Report((undamaged, advice), (), concerns, judged=False)
        check_whole(connection, path)
        if untruths := tuple(_untruths(connection)):
            return Report((), untruths, concerns)
        keys = key_versions(connection, path)
        facts = (f"migration {migration}, {_told(*keys)}", *_facts(connection), *_unknown(path))
        return Report(facts, (), concerns)


def refuse_unservable(path: Path) -> None:
    """
    See that *path* is a database of a registry that this version knows.

    Raises:
        DatabaseUnusable: it is not, or can't be read.
    """
    with at_the_desk(path), ExitStack() as stack:
        if not path.exists():
            raise DatabaseMissing(path)
        refuse_no_file(path)
        engine = inspecting_engine(path.resolve())
        stack.callback(engine.dispose)
        connection = stack.enter_context(engine.begin())
        check_ours(connection, path)
        due(connection, path)


def imported_packs(path: Path) -> dict[str, str]:
    """
    Return the content of each imported pack, by its name; none where there is no database
    yet, or one of a version that had none.

    Raises:
        DatabaseUnusable: it can't be read, or is not a registry's.
    """
    if not path.exists():
        return {}
    with at_the_desk(path), ExitStack() as stack:
        refuse_no_file(path)
        path = path.resolve()
        engine = inspecting_engine(path)
        stack.callback(engine.dispose)
        connection = stack.enter_context(engine.begin())
        check_ours(connection, path)
        if not inspect(connection).has_table(schema.pack.name):
            return {}
        return linking.packs(connection)


def _told(key_version: int, unicode_version: str) -> str:
    """Say which rules the keys were computed by."""
    said = f"keys of version {key_version} on Unicode {unicode_version}"
    if (key_version, unicode_version) == (KEY_VERSION, UNICODE_VERSION):
        return said
    return f"{said}, which genre-registry migrate brings to {KEY_VERSION} on {UNICODE_VERSION}"


def _facts(connection: Connection) -> Iterator[str]:
    state = genres.state(connection)
    yield f"incarnation {state.incarnation}, revision {state.revision}"
    yield f"genres: {_count(connection, schema.genre)}"
    yield f"spellings: {_count(connection, schema.spelling)}"
    yield f"compounds to review: {_count(connection, schema.review)}"


def _unknown(path: Path) -> Iterator[str]:
    """Say what no look at the file can tell."""
    yield "not checked: whether the disk kept what it was told to keep before the last power cut"
    wal = path.with_name(path.name + "-wal")
    with suppress(FileNotFoundError):
        if wal.stat().st_size:
            yield f"not checked: whether {wal.name} lost its end, which leaves no trace"


def _damage(connection: Connection) -> Iterator[str]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield f"the file is damaged: {line}"
    for table, row_id, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"a row of {table} ({row_id}) points to no {parent}"


def _untruths(connection: Connection) -> Iterator[str]:
    """Give each promise that the tables break."""
    genre, spelling, change, registry = (
        schema.genre.c,
        schema.spelling.c,
        schema.change.c,
        schema.registry.c,
    )
    stored = connection.execute(select(registry.revision, registry.genre_id_last)).one_or_none()
    if stored is None:
        yield "the registry's own row is missing: its revision and incarnation are lost"
        return
    newest = connection.execute(
        select(func.count(), func.coalesce(func.max(change.revision), 0)).select_from(schema.change)
    ).one()
    if tuple(newest) != (stored.revision, stored.revision):
        yield (
            f"the registry is at revision {stored.revision}, "
            f"its journal holds {newest[0]} changes up to {newest[1]}"
        )
    id_newest = connection.execute(select(func.coalesce(func.max(genre.id), 0))).scalar_one()
    if id_newest > stored.genre_id_last:
        yield f"genre {id_newest} has an id that was not given out yet"
    names = select(spelling.genre_id, spelling.text).where(spelling.kind == schema.NAME)
    nameless = select(genre.id, genre.name).where(
        tuple_(genre.id, genre.name).not_in(names), genre.survivor_id.is_(None)
    )
    for genre_id, name in connection.execute(nameless):
        yield f"genre {genre_id} is not reached by its name {name!r}"
    yield from _wrong_merges(connection)
    yield from _wrong_spellings(connection)
    yield from _cycles(connection)
    shared = (
        select(schema.external_id.c.whose, schema.external_id.c.value)
        .group_by(schema.external_id.c.whose, schema.external_id.c.value)
        .having(func.count() > 1)
    )
    for whose, value in connection.execute(shared):
        yield f"the {whose} id {value} is given to several genres"
    unlogged = select(genre.id).where(
        genre.survivor_id.is_(None),
        not_(
            select(change.revision)
            .where(and_(change.genre_id == genre.id, change.revision == genre.revision))
            .exists()
        ),
    )
    for (genre_id,) in connection.execute(unlogged):
        yield f"genre {genre_id} has a revision that the journal does not know"
    stored_keys = select(spelling.lookup_key, spelling.strict_key, spelling.text)
    for key, strict, text in connection.execute(stored_keys):
        try:
            own = Spelling.of(text)
        except InvalidName as refusal:
            yield f"the spelling {text!r} can be no name: {refusal}"
            continue
        if key != own.fold and not key.startswith(pinned_key(own.strict)):
            yield f"the spelling {text!r} is kept under the key {key!r}, which is not its own"
        elif strict != own.strict:
            yield f"the spelling {text!r} has the strict key {strict!r}, which is not its own"


def _wrong_merges(connection: Connection) -> Iterator[str]:
    """Give each merged genre that does not lead to the survivor at the end of its chain."""
    genre = schema.genre.c
    into = {
        row.id: (row.merged_into_id, row.survivor_id)
        for row in connection.execute(
            select(genre.id, genre.merged_into_id, genre.survivor_id).where(
                genre.merged_into_id.is_not(None) | genre.survivor_id.is_not(None)
            )
        )
    }
    for genre_id, (_, survivor_id) in into.items():
        end, steps = genre_id, 0
        while end in into and steps <= len(into):
            end, steps = into[end][0], steps + 1
        if end != survivor_id:
            yield f"genre {genre_id} was merged into {end}, but answers with {survivor_id}"


def _wrong_spellings(connection: Connection) -> Iterator[str]:
    genre, spelling = schema.genre.c, schema.spelling.c
    mislabelled = select(spelling.text, spelling.genre_id).where(
        (spelling.genre_id.is_(None)) != (spelling.kind == schema.BLOCKED)
    )
    for text, genre_id in connection.execute(mislabelled):
        yield f"the spelling {text!r} is blocked and reaches genre {genre_id}, or is neither"
    named = (
        select(spelling.text, genre.id)
        .join_from(schema.spelling, schema.genre)
        .where(
            spelling.kind == schema.NAME,
            (genre.survivor_id.is_not(None)) | (genre.name != spelling.text),
        )
    )
    for text, genre_id in connection.execute(named):
        yield f"the spelling {text!r} is kept as the name of genre {genre_id}, which it is not"


def _cycles(connection: Connection) -> Iterator[str]:
    """Give a genre of each cycle among parents. Source: Kahn's algorithm."""
    child, parent = schema.genre.alias("child"), schema.genre.alias("ancestor")
    edges = connection.execute(
        select(schema.parent.c.child_id, func.coalesce(parent.c.survivor_id, parent.c.id))
        .join_from(schema.parent, child, child.c.id == schema.parent.c.child_id)
        .join(parent, parent.c.id == schema.parent.c.parent_id)
        .where(child.c.survivor_id.is_(None))
    ).all()
    parents: dict[int, set[int]] = defaultdict(set)
    for child_id, parent_id in edges:
        if child_id != parent_id:
            parents[child_id].add(parent_id)
    while free := [each for each in parents if not parents[each] & parents.keys()]:
        for each in free:
            del parents[each]
    if parents:
        yield f"genre {min(parents)} is a kind of itself, by way of its parents"


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
