"""Bringing a database to this version: schema and keys, each step with its record or not at all."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, inspect, select, update

from registry_server.store import schema
from registry_server.store.failures import DatabaseDamaged, DatabaseForeign, DatabaseNewer
from registry_server.vocabulary.identity import (
    KEY_VERSION,
    PIN,
    UNICODE_VERSION,
    Spelling,
    pinned_key,
)
from registry_server.vocabulary.refusals import InvalidName

_MIGRATIONS = Path(__file__).parent / "migrations"


def check_ours(connection: Connection, path: Path) -> None:
    """
    See that the file is a registry's, or empty.

    Raises:
        DatabaseForeign: it is another application's.
    """
    application_id = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    if application_id != schema.APPLICATION_ID and tables > 0:
        raise DatabaseForeign(path)


def check_whole(connection: Connection, path: Path) -> None:
    """
    See that every table is there.

    Raises:
        DatabaseDamaged: one is missing.
    """
    if missing := set(schema.metadata.tables) - set(inspect(connection).get_table_names()):
        raise DatabaseDamaged(path, ValueError(f"it lacks the table {', '.join(sorted(missing))}"))


def migration_of(connection: Connection) -> str | None:
    """Return the newest migration that the database has seen; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def due(connection: Connection, path: Path) -> str:
    """
    Return what is due of a database that holds something: the migration it is to be brought
    to, or "keys" if only the keys are to be computed anew; "" if nothing is.

    Raises:
        DatabaseNewer: a later version wrote it.
    """
    applied = migration_of(connection)
    if applied is None:
        return ""
    if applied > schema.HEAD:
        raise DatabaseNewer(path, f"migration {applied}")
    if applied != schema.HEAD:
        return schema.HEAD
    check_whole(connection, path)
    is_current = _rank(*key_versions(connection, path)) == _rank(KEY_VERSION, UNICODE_VERSION)
    return "" if is_current else f"keys-{KEY_VERSION}-{UNICODE_VERSION}"


def migrate(connection: Connection, path: Path) -> list[str]:
    """
    Apply the migrations that are due and compute the keys anew if their rules changed,
    all in one transaction.

    Args:
        connection: The writing connection, outside a transaction.

    Returns:
        What was done, a line each; nothing when nothing was due.

    Raises:
        DatabaseNewer: a later version wrote it.
        DatabaseForeign: another application wrote it.
    """
    with connection.begin():
        check_ours(connection, path)
        applied = migration_of(connection)
        done = [] if applied == schema.HEAD else _upgrade(connection, path, applied)
        check_whole(connection, path)
        return done + _rekey(connection, path)


def _upgrade(connection: Connection, path: Path, applied: str | None) -> list[str]:
    # Loaded only when due: a plain start does without its 11 MiB.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    done: list[str] = []

    def note(*, step: Any, **_: object) -> None:
        done.append(f"migration {step.up_revision_id}: {step.up_revision.doc}")

    config = Config(attributes={"connection": connection, "on_version_apply": note})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseNewer(path, f"migration {applied}") from error
    return done


def key_versions(connection: Connection, path: Path) -> tuple[int, str]:
    """
    Return the versions of the rules, and of Unicode, that the stored keys were computed by.

    Raises:
        DatabaseDamaged: the registry's own row is missing.
        DatabaseNewer: they are newer than ours.
    """
    row = connection.execute(
        select(schema.registry.c.key_version, schema.registry.c.unicode_version)
    ).one_or_none()
    if row is None:
        raise DatabaseDamaged(path, ValueError("it lacks the row that says which registry it is"))
    if _rank(*row) > _rank(KEY_VERSION, UNICODE_VERSION):
        raise DatabaseNewer(path, f"keys of version {row[0]} on Unicode {row[1]}")
    return row[0], row[1]


def _rekey(connection: Connection, path: Path) -> list[str]:
    """
    Compute the keys anew if a newer version of the rules, or of Unicode, asks for it.

    Two genres whose keys have become one stay apart: the younger is pinned, and reported.
    """
    stored, ours = key_versions(connection, path), (KEY_VERSION, UNICODE_VERSION)
    if _rank(*stored) == _rank(*ours):
        return []
    done = [f"keys: from version {stored[0]} on Unicode {stored[1]} to {ours[0]} on {ours[1]}"]
    table = schema.spelling
    # What is pinned stays so; names before aliases: an alias gives way.
    is_pinned = table.c.lookup_key.startswith(PIN)
    rows = connection.execute(
        select(table).order_by(is_pinned.desc(), table.c.kind.desc(), table.c.genre_id)
    ).all()
    holders: dict[str, Row[Any]] = {}
    outdated = []
    keyed = []
    for row in rows:
        try:
            spelling = Spelling.of(row.text)
        except InvalidName as refusal:
            done.append(f"keys: {row.text!r} was left as it was: {refusal}")
            holders[row.lookup_key] = row
            continue
        pinned = row.lookup_key.startswith(PIN)
        key = pinned_key(spelling.strict) if pinned else spelling.fold
        if key in holders and holders[key].genre_id == row.genre_id:
            outdated.append(row.lookup_key)
            continue
        if key in holders:
            done.append(
                f"keys: {row.text!r} now reads as {holders[key].text!r}, another genre, "
                "and was kept apart from it"
            )
            key = pinned_key(spelling.strict)
            if key in holders:  # two of one strict key, which no rule of today tells apart
                key = pinned_key(f"{spelling.strict}{PIN}{row.genre_id}")
        holders[key] = row
        if (key, spelling.strict) != (row.lookup_key, row.strict_key):
            outdated.append(row.lookup_key)
            keyed.append({**row._mapping, "lookup_key": key, "strict_key": spelling.strict})
    # All out, then all in: a key may be given up by one and taken by the next.
    for old in outdated:
        connection.execute(delete(table).where(table.c.lookup_key == old))
    if keyed:
        connection.execute(insert(table), keyed)
    _rekey_decisions(connection)
    connection.execute(
        update(schema.registry).values(key_version=KEY_VERSION, unicode_version=UNICODE_VERSION)
    )
    return done


def _rekey_decisions(connection: Connection) -> None:
    """
    Compute anew the keys of reviews, and of spellings that packs have no say on; of those that
    have become one, the first counts.
    """
    reviews = select(schema.review).order_by(schema.review.c.first_seen_us)
    rows = connection.execute(reviews).mappings().all()
    connection.execute(delete(schema.review))
    by_key = {_key_of(row["text"], row["lookup_key"]): row for row in reversed(rows)}
    if by_key:
        rekeyed = [{**row, "lookup_key": key} for key, row in by_key.items()]
        connection.execute(insert(schema.review), rekeyed)
    detached = schema.tombstone.c.kind == schema.DETACHED
    keys = connection.execute(select(schema.tombstone.c.value).where(detached)).scalars().all()
    connection.execute(delete(schema.tombstone).where(detached))
    # A key is a text that has itself as its key.
    if folded := {_key_of(key.removeprefix(PIN), key) for key in keys}:
        buried = [{"kind": schema.DETACHED, "genre_id": 0, "value": key} for key in folded]
        connection.execute(insert(schema.tombstone), buried)


def _key_of(text: str, old_key: str) -> str:
    """Return the key that *text* has now; one that was pinned stays so."""
    spelling = Spelling.of(text)
    return pinned_key(spelling.strict) if old_key.startswith(PIN) else spelling.fold


def _rank(key_version: int, unicode_version: str) -> tuple[int, ...]:
    return (key_version, *map(int, unicode_version.split(".")))
