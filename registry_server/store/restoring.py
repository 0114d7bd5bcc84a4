"""
Filling an empty registry: with the records of an export, whatever they hold, or with genres
that keep the ids that they had elsewhere. All in one transaction of the caller's.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from registry_server.store import schema
from registry_server.store.changing import renew
from registry_server.store.genres import find
from registry_server.store.genres import genres as read_genres
from registry_server.store.granting import grant
from registry_server.store.journal import Journal, differences_json, insert_all, snapshot_of
from registry_server.store.reviews import note, reviewed
from registry_server.store.settling import credit_curator
from registry_server.vocabulary.change import Change, ChangeKind
from registry_server.vocabulary.curation_refusals import RecordInvalid
from registry_server.vocabulary.edits import Imported, Mapped, Problem, Review
from registry_server.vocabulary.genre import Claim, Sighting, State
from registry_server.vocabulary.identity import Spelling, pinned_key
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.records import (
    FORMAT,
    BlockRecord,
    DetachedRecord,
    GenreRecord,
    Numbered,
    PackRecord,
    Record,
    RegistryRecord,
)
from registry_server.vocabulary.refusals import InvalidName
from registry_server.vocabulary.splitting import split
from registry_server.vocabulary.tags import Rule

COMPOUND = "COMPOUND"
"""What is said of a name that may be several genres."""
ID_MAX = 2**53
"""The highest id that may be kept: what comes after it must fit as well."""


def holds(connection: Connection) -> int:
    """Return how many genres the registry holds; 1 at least if it was ever written to."""
    in_use = select(func.count()).where(schema.genre.c.survivor_id.is_(None))
    genres: int = connection.execute(in_use).scalar_one()
    revision: int = connection.execute(select(schema.registry.c.revision)).scalar_one()
    return genres or min(revision, 1)


def restore(connection: Connection, records: Iterable[Numbered]) -> Imported:
    """
    Write down the records of an export as they are; the incarnation is a new one.

    Raises:
        RecordInvalid: one can't be of an export.
    """
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    # Packs may have been imported, which makes no revision; the export brings its own.
    for table in (schema.pack, schema.tombstone):
        connection.execute(delete(table))
    imported = Imported()
    registry: RegistryRecord | None = None
    for at, record in records:
        imported.done += 1
        if isinstance(record, RegistryRecord):
            if record.format != FORMAT:
                raise RecordInvalid(at, f"its format is {record.format}, and {FORMAT} is known.")
            registry = record
            continue
        try:
            for table, row in _rows_of(record):
                insert_all(connection, table, [row])
        except InvalidName as refusal:
            raise RecordInvalid(at, refusal.message) from None
        except IntegrityError as error:
            message = "it says again what another record has said, or leaves out what it must say."
            raise RecordInvalid(at, message) from error
        if isinstance(record, GenreRecord):
            imported.created.append(record.id)
            imported.mappings.append(Mapped(record.id, record.id, record.name))
    if registry is None:
        raise RecordInvalid(1, "an export begins with the registry's own record.")
    _refuse_gaps(connection, registry)
    _flatten(connection)
    dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    for table, _, other, _ in dangling[:1]:
        raise RecordInvalid(1, f"a {table} of the export points to a {other} that is not in it.")
    connection.execute(
        update(schema.registry).values(
            incarnation=secrets.token_hex(8),
            revision=registry.revision,
            genre_id_last=registry.genre_id_last,
            linked_by=registry.linked_by,
        )
    )
    return imported


def _refuse_gaps(connection: Connection, registry: RegistryRecord) -> None:
    """See that the export is whole: an import that was cut short would go unnoticed."""
    changes = connection.execute(select(func.count()).select_from(schema.change)).scalar_one()
    id_last = connection.execute(select(func.coalesce(func.max(schema.genre.c.id), 0))).scalar_one()
    if changes != registry.revision or id_last > registry.genre_id_last:
        raise RecordInvalid(
            1,
            f"it tells of {registry.revision} changes and ids up to {registry.genre_id_last}, and "
            f"there are {changes} and ids up to {id_last}: the export is not whole.",
        )


def _flatten(connection: Connection) -> None:
    """Work out which genre every merged one answers with."""
    table = schema.genre.c
    into = {
        row[0]: row[1]
        for row in connection.execute(
            select(table.id, table.merged_into_id).where(table.merged_into_id.is_not(None))
        )
    }
    for genre_id in into:
        survivor_id, steps = into[genre_id], 0
        while survivor_id in into:
            survivor_id, steps = into[survivor_id], steps + 1
            if steps > len(into):
                raise RecordInvalid(1, f"genre {genre_id} is merged into itself.")
        connection.execute(
            update(schema.genre).where(table.id == genre_id).values(survivor_id=survivor_id)
        )


def _rows_of(record: Record) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    match record:
        case GenreRecord():
            yield from _rows_of_genre(record)
        case BlockRecord():
            spelling = Spelling.of(record.spelling)
            key = _key(spelling, is_pinned=record.is_pinned)
            row = (key, spelling.strict, spelling.text, None, schema.BLOCKED, "")
            yield schema.spelling, row
        case DetachedRecord():
            yield schema.tombstone, (schema.DETACHED, 0, record.key)
        case PackRecord():
            yield schema.pack, (record.name, record.content, record.time_us)
        case Review():
            yield schema.review, row_of_review(record)
        case Change():
            yield (
                schema.change,
                (
                    *(record.revision, record.kind.value, record.genre_id or None),
                    *(record.time_us, record.who, record.source_id or None, record.spelling),
                    differences_json(record.differences) if record.differences else "",
                    snapshot_of(record.genre) if record.genre else None,
                ),
            )


def row_of_review(review: Review) -> tuple[Any, ...]:
    """Return the row of a review."""
    return (
        *(review.key, review.text, review.rule, review.raw_value),
        *(review.first_seen_us, review.times_seen, review.decision.value),
        json.dumps(review.names, ensure_ascii=False),
    )


def _rows_of_genre(record: GenreRecord) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    yield (
        schema.genre,
        (
            *(record.id, record.name, record.revision),
            *(record.create_time_us, record.update_time_us, record.request_id),
            *(record.state.value, record.description),
            *(record.merged_into_id or None, None),
        ),
    )
    for each in record.spellings:
        spelling = Spelling.of(each.text)
        kind = schema.NAME if each.is_name else schema.ALIAS
        key = _key(spelling, is_pinned=each.is_pinned)
        yield (
            schema.spelling,
            (key, spelling.strict, spelling.text, record.id, kind, each.source),
        )
    for parent_id in record.parent_ids:
        yield schema.parent, (record.id, parent_id)
    for whose, value in record.external_ids:
        yield schema.external_id, (record.id, whose, value)
    for parent_id in record.removed_parent_ids:
        yield schema.tombstone, (schema.PARENT, record.id, str(parent_id))
    for whose in record.removed_external_ids:
        yield schema.tombstone, (schema.EXTERNAL_ID, record.id, whose)


def _key(spelling: Spelling, *, is_pinned: bool) -> str:
    return pinned_key(spelling.strict) if is_pinned else spelling.fold


def keep_ids(
    connection: Connection, records: Sequence[Numbered], knowledge: Knowledge, who: str
) -> Imported:
    """
    Create genres with the ids of their records: of those that share a key, the one with the
    lowest id; the others answer with it.
    """
    imported = Imported(done=len(records))
    claims: list[Claim] = []
    # An id that is left out is not given to another genre: something may still hold it.
    ids = [each.id for _, each in _genres(records) if 0 < each.id <= ID_MAX]
    if ids:
        connection.execute(update(schema.registry).values(genre_id_last=max(ids)))
    for at, record in sorted(_genres(records), key=lambda numbered: numbered[1].id):
        if record.merged_into_id or record.state is not State.ACTIVE:
            message = "ids can be kept of genres in use; an export begins with its own record."
            raise RecordInvalid(at, message)
        if not 0 < record.id <= ID_MAX:
            message = f"{record.id} can be no genre's id; it was left out."
            imported.problems.append(Problem(at, record.name, "ID_INVALID", message))
            continue
        if claims and claims[-1].genre_id == record.id:
            message = f"The id {record.id} is another record's too; this one was left out."
            imported.problems.append(Problem(at, record.name, "ID_TAKEN", message))
            continue
        try:
            name = Spelling.of(record.name)
        except InvalidName as refusal:
            imported.problems.append(Problem(at, record.name, refusal.reason, refusal.message))
            continue
        told = list(compounds(at, record.name, knowledge))
        note_compounds(connection, told)
        imported.problems += told
        claims.append(Claim.by(knowledge, name, who=who, genre_id=record.id))
    redirects = []
    for claim, granted in zip(claims, grant(connection, claims).granted, strict=True):
        imported.mappings.append(Mapped(claim.genre_id, granted.genre.id, granted.genre.name))
        if granted.made:
            imported.created.append(granted.genre.id)
        else:
            redirects.append((claim, granted.genre.id))
    _redirect(connection, redirects, who)
    compound = {each.text for each in imported.problems if each.reason == COMPOUND}
    made = [
        claim.name.fold
        for claim in claims
        if claim.genre_id in imported.created and claim.spelling.text not in compound
    ]
    credit_curator(connection, made)
    return imported


def compounds(at: int, name: str, knowledge: Knowledge) -> Iterator[Problem]:
    """Tell of a name that may be several genres: nothing that comes as a genre is split."""
    found = split([name], knowledge)
    undecided = any(part.rule in (Rule.SLASH, Rule.COMMA) for part in found.parts)
    if undecided or len(found.parts) > 1:
        message = "It may be several genres; it was taken in whole."
        yield Problem(at, name, COMPOUND, message)


def as_there(
    connection: Connection, records: Iterable[Numbered], knowledge: Knowledge
) -> Imported | None:
    """
    Return what becomes of genres that are to keep their ids where each has it already, as
    after an import that is repeated; None if one does not.
    """
    imported = Imported()
    for at, record in records:
        imported.done += 1
        if not isinstance(record, GenreRecord):
            continue
        try:
            keys = Claim.by(knowledge, knowledge.spelling(record.name)).keys
        except InvalidName as refusal:
            imported.problems.append(Problem(at, record.name, refusal.reason, refusal.message))
            continue
        reached = find(connection, keys)
        genre = next((reached[key] for key in keys if key in reached), None)
        has_it = read_genres(connection, [record.id]).get(record.id)
        if genre is None or has_it is None or has_it.id != genre.id:
            return None
        imported.mappings.append(Mapped(record.id, genre.id, genre.name))
        imported.problems += compounds(at, record.name, knowledge)
    return imported


def note_compounds(connection: Connection, problems: Iterable[Problem]) -> None:
    """Put compounds on the review list: it was no curator who made them one genre."""
    note(
        connection,
        [
            Sighting(spelling, Rule.WHOLE.value, each.text, 1)
            for each in problems
            if (spelling := Spelling.of(each.text)).fold
            not in reviewed(connection, [spelling.fold])
        ],
    )


def _genres(records: Iterable[Numbered]) -> Iterator[tuple[int, GenreRecord]]:
    for at, record in records:
        if isinstance(record, GenreRecord):
            yield at, record


def _redirect(connection: Connection, redirects: list[tuple[Claim, int]], who: str) -> None:
    """Have ids that are another genre's answer with it."""
    if not redirects:
        return
    journal = Journal(connection)
    genres = read_genres(connection, {survivor_id for _, survivor_id in redirects})
    for claim, survivor_id in redirects:
        journal.supersede(genres[survivor_id])
        revision = journal.note(ChangeKind.MERGED, survivor_id, who, source_id=claim.genre_id)
        connection.execute(
            insert(schema.genre).values(
                id=claim.genre_id,
                name=claim.spelling.text,
                revision=revision,
                create_time_us=journal.now_us,
                update_time_us=journal.now_us,
                request_id="",
                state=State.ACTIVE.value,
                merged_into_id=survivor_id,
                survivor_id=survivor_id,
            )
        )
        journal.genre_id = max(journal.genre_id, claim.genre_id)
        genres[survivor_id] = replace(
            genres[survivor_id], revision=revision, update_time_us=journal.now_us
        )
        renew(connection, [genres[survivor_id]])
    journal.write()
