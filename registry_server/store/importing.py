"""
Taking in records by name, into a registry that holds something: what is there stays as it
is, what is missing is added, and what stands against it is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from sqlalchemy import insert, select

from registry_server.store import schema
from registry_server.store.curating import set_state
from registry_server.store.editing import Editing, fold_of
from registry_server.store.genres import SURVIVOR, find
from registry_server.store.genres import genres as read_genres
from registry_server.store.granting import grant
from registry_server.store.journal import insert_all
from registry_server.store.restoring import COMPOUND, compounds, note_compounds, row_of_review
from registry_server.store.settling import make_known
from registry_server.store.tombstones import bury, removed_external_ids, removed_parents
from registry_server.vocabulary.change import ChangeKind
from registry_server.vocabulary.curation_refusals import (
    DESCRIPTION_LENGTH_MAX,
    DescriptionTooLong,
    ExternalIdInvalid,
    ExternalIdTaken,
    GenreNotMerged,
    ParentCycle,
    SpellingBlocked,
    SpellingTaken,
    check_external_id,
)
from registry_server.vocabulary.edits import Edited, Imported, Mapped, Problem, Review
from registry_server.vocabulary.genre import Claim, Genre, State
from registry_server.vocabulary.identity import Spelling, pinned_key
from registry_server.vocabulary.records import (
    BlockRecord,
    DetachedRecord,
    GenreRecord,
    ImportGenres,
    ImportLinks,
    Numbered,
    SpellingRecord,
)
from registry_server.vocabulary.refusals import InvalidName, RegistryError

KEPT_HERE = "KEPT_HERE"
"""Why a record was not followed: a curator, or the registry, has it otherwise here."""


def import_genres(editing: Editing, edit: ImportGenres) -> Edited:
    imported = Imported(done=len(edit.records))
    named = list(_named(editing, edit.records, imported))
    grants = grant(editing.connection, [claim for _, _, claim in named])
    granted = grants.granted
    editing.changed.update({genre.id: genre for genre in grants.changed})
    own_keys: list[str] = []
    told = [each for each in imported.problems if each.reason == COMPOUND]
    note_compounds(editing.connection, told)
    compound = {each.text for each in told}
    for (at, record, claim), each in zip(named, granted, strict=True):
        if not each.genre.is_active:
            refusal = SpellingBlocked(claim.spelling.text, each.genre.id)
            if record.state is State.ACTIVE:
                imported.problems.append(_problem(at, record.name, refusal))
            if each.genre.id and record.id:
                imported.mappings.append(Mapped(record.id, each.genre.id, each.genre.name))
            continue
        if each.made:
            imported.created.append(each.genre.id)
            editing.changed[each.genre.id] = each.genre
            editing.touched.update(each.keys)
            if record.name not in compound:
                own_keys.append(each.keys[0])
        genre = each.genre
        if not _has_all(genre, record):
            genre = _gain(editing, at, record, genre, imported, made=each.made)
        if genre.revision != each.genre.revision:
            imported.changed.append(genre.id)
        if record.id:
            imported.mappings.append(Mapped(record.id, genre.id, genre.name))
    make_known(editing, own_keys)
    for at, other in edit.records:
        match other:
            case BlockRecord():
                _block(editing, at, other, imported)
            case DetachedRecord():
                bury(editing.connection, schema.DETACHED, 0, other.key)
                editing.touched.add(other.key)
            case Review():
                _review(editing, other)
    return Edited(imported=imported)


def _has_all(genre: Genre, record: GenreRecord) -> bool:
    """Whether a genre has what its record says of it, as most have; each is looked at quickly."""
    return (
        {each.text for each in record.spellings} <= {genre.name, *genre.aliases}
        and not any(each.is_pinned for each in record.spellings)
        and set(record.external_ids) <= set(genre.external_ids)
        and (bool(genre.description) or not record.description)
        and record.state is State.ACTIVE
    )


def _named(
    editing: Editing, records: Iterable[Numbered], imported: Imported
) -> Iterator[tuple[int, GenreRecord, Claim]]:
    """Give each genre that is not merged with the claim to its name."""
    knowledge = editing.knowledge
    for at, record in records:
        if not isinstance(record, GenreRecord) or record.merged_into_id:
            continue
        try:
            name = _pinned(knowledge.spelling(record.name), _name_of(record))
        except InvalidName as refusal:
            imported.problems.append(Problem(at, record.name, refusal.reason, refusal.message))
            continue
        if not record.revision:
            imported.problems += compounds(at, record.name, knowledge)
        yield at, record, Claim.by(knowledge, name, who=editing.who)


def _name_of(record: GenreRecord) -> SpellingRecord:
    return next((each for each in record.spellings if each.is_name), SpellingRecord(record.name))


def _pinned(spelling: Spelling, record: SpellingRecord) -> Spelling:
    """Return *spelling* with the key that its record says."""
    if not record.is_pinned:
        return spelling
    return Spelling(spelling.text, spelling.strict, pinned_key(spelling.strict))


def _gain(
    editing: Editing, at: int, record: GenreRecord, genre: Genre, imported: Imported, *, made: bool
) -> Genre:
    """Give a genre what its record has and it has not, and return it."""
    editing.remember([genre.id])
    _gain_aliases(editing, at, record.spellings, genre.id, imported)
    _gain_external_ids(editing, at, record, genre, imported)
    if len(record.description) > DESCRIPTION_LENGTH_MAX:
        too_long = DescriptionTooLong(len(record.description))
        imported.problems.append(_problem(at, record.name, too_long))
    elif record.description and not genre.description:
        editing.change_genre(genre.id, description=record.description)
    if record.state is State.DELETED:
        if made:
            return set_state(editing, genre, State.DELETED)
        message = "It is deleted there and in use here; it was left in use."
        imported.problems.append(Problem(at, record.name, KEPT_HERE, message))
    return editing.note(ChangeKind.UPDATED, genre.id)


def _gain_aliases(
    editing: Editing,
    at: int,
    spellings: Iterable[SpellingRecord],
    genre_id: int,
    imported: Imported,
) -> None:
    for each in spellings:
        try:
            spelling = Spelling.of(each.text)
        except InvalidName as refusal:
            imported.problems.append(Problem(at, each.text, refusal.reason, refusal.message))
            continue
        pin = pinned_key(spelling.strict)
        held = editing.holders(spelling)
        holder = held.get(pin) or (None if each.is_pinned else held.get(fold_of(spelling)))
        if holder is None and editing.knowledge.curated.detached(spelling.fold):
            message = f"A curator took it from genre {genre_id} here, or from another."
            imported.problems.append(Problem(at, each.text, KEPT_HERE, message))
        elif holder is None:
            key = pin if each.is_pinned else fold_of(spelling)
            editing.add_row(key, spelling, genre_id, schema.ALIAS)
        elif holder.genre_id != genre_id:
            try:
                editing.refuse_held(spelling, holder)
            except (SpellingTaken, SpellingBlocked) as refusal:
                imported.problems.append(_problem(at, each.text, refusal))


def _gain_external_ids(
    editing: Editing, at: int, record: GenreRecord, genre: Genre, imported: Imported
) -> None:
    had = dict(genre.external_ids)
    table = schema.external_id.c
    buried = removed_external_ids(editing.connection)
    for whose, value in record.external_ids:
        if had.get(whose) == value:
            continue
        try:
            check_external_id(whose, value)
        except ExternalIdInvalid as refusal:
            imported.problems.append(_problem(at, record.name, refusal))
            continue
        if (genre.id, whose) in buried:
            message = f"A curator took the {whose} id from it here."
            imported.problems.append(Problem(at, record.name, KEPT_HERE, message))
            continue
        holder_id = editing.connection.execute(
            select(SURVIVOR)
            .join_from(schema.external_id, schema.genre)
            .where(table.whose == whose, table.value == value)
        ).scalar()
        if holder_id is not None:
            if holder_id != genre.id:
                taken = ExternalIdTaken(whose, value, holder_id)
                imported.problems.append(_problem(at, record.name, taken))
        elif whose in had:
            message = f"Its {whose} id is {value} there and {had[whose]} here, which was kept."
            imported.problems.append(Problem(at, record.name, KEPT_HERE, message))
        else:
            row = {"genre_id": genre.id, "whose": whose, "value": value}
            editing.connection.execute(insert(schema.external_id).values(row))


def _block(editing: Editing, at: int, record: BlockRecord, imported: Imported) -> None:
    try:
        spelling = Spelling.of(record.spelling)
    except InvalidName as refusal:
        imported.problems.append(Problem(at, record.spelling, refusal.reason, refusal.message))
        return
    spelling = _pinned(spelling, SpellingRecord("", is_pinned=record.is_pinned))
    held = editing.holders(spelling)
    holder = held.get(spelling.fold)
    if holder is None:
        editing.add_row(spelling.fold, spelling, None, schema.BLOCKED)
        kind = ChangeKind.SPELLING_BLOCKED
        editing.journal.note(kind, None, editing.who, spelling=spelling.text)
    elif holder.genre_id is not None:
        message = f"It is blocked there and reaches genre {holder.genre_id} here, which was kept."
        imported.problems.append(Problem(at, record.spelling, KEPT_HERE, message))


def _review(editing: Editing, review: Review) -> None:
    known = editing.connection.execute(
        select(schema.review.c.lookup_key).where(schema.review.c.lookup_key == review.key)
    ).scalar()
    if known is None:
        insert_all(editing.connection, schema.review, [row_of_review(review)])
        editing.touched.add(review.key)


def import_links(editing: Editing, edit: ImportLinks) -> Edited:
    imported = Imported(done=len(edit.records))
    mapping = edit.mapping
    buried = removed_parents(editing.connection)
    records = [record for _, record in edit.records if isinstance(record, GenreRecord)]
    named = {name for record in records for name in (*record.parents, record.name)}
    reach = _reach(editing, named)
    genres = read_genres(
        editing.connection, [mapping[each.id] for each in records if each.id in mapping]
    )
    for at, record in edit.records:
        if not isinstance(record, GenreRecord):
            continue
        if record.merged_into_id:
            survivor_id = _end_of_chain(record.merged_into_id, edit.merged_into, mapping)
            _follow_merge(editing, at, record, survivor_id, imported)
            continue
        wanted = [mapping[each] for each in record.parent_ids if each in mapping]
        wanted += [genre.id for name in record.parents if (genre := reach.get(name))]
        child_id = mapping.get(record.id, 0) if record.id else 0
        child = genres.get(child_id) or reach.get(record.name)
        if child is not None and not set(wanted) <= set(child.parent_ids):
            _gain_parents(editing, at, child.id, wanted, buried, imported)
    return Edited(imported=imported)


def _end_of_chain(there: int, merged_into: Mapping[int, int], mapping: Mapping[int, int]) -> int:
    """Return the genre here that a merge there led to in the end; 0 if it did not come."""
    seen: set[int] = set()
    while there in merged_into and there not in seen:
        seen.add(there)
        there = merged_into[there]
    return mapping.get(there, 0)


def _reach(editing: Editing, texts: Iterable[str]) -> dict[str, Genre]:
    """Return the genres in use that *texts* reach: by their own keys, else by what packs say."""
    keys: dict[str, tuple[str, ...]] = {}
    for text in texts:
        with suppress(InvalidName):
            keys[text] = Claim.by(editing.knowledge, editing.knowledge.spelling(text)).keys
    found = find(editing.connection, {key for each in keys.values() for key in each})
    reached = {
        text: next((found[key] for key in each if key in found), None)
        for text, each in keys.items()
    }
    return {text: genre for text, genre in reached.items() if genre and genre.is_active}


def _gain_parents(
    editing: Editing,
    at: int,
    child_id: int,
    wanted: Iterable[int],
    buried: set[tuple[int, int]],
    imported: Imported,
) -> None:
    [child, *parents] = editing.remember([child_id, *wanted])
    had = set(child.parent_ids)
    for parent in parents:
        # Of two that are one genre here, one may be the other's parent there.
        if parent.id in {*had, child.id} or not parent.is_active or not child.is_active:
            continue
        if (child.id, parent.id) in buried:
            message = f"A curator took the parent {parent.name!r} from it here."
            imported.problems.append(Problem(at, child.name, KEPT_HERE, message))
        elif editing.is_ancestor(child.id, parent.id):
            imported.problems.append(_problem(at, child.name, ParentCycle(child.id, parent.id)))
        else:
            had.add(parent.id)
            row = {"child_id": child.id, "parent_id": parent.id}
            editing.connection.execute(insert(schema.parent).values(row))
    if editing.note(ChangeKind.UPDATED, child.id).revision != child.revision:
        imported.changed.append(child.id)


def _follow_merge(
    editing: Editing, at: int, record: GenreRecord, survivor_id: int, imported: Imported
) -> None:
    """Have what was merged there reach the same genre here, as its alias."""
    if not survivor_id:
        refusal = GenreNotMerged(record.id)
        message = f"Genre {record.merged_into_id}, which it was merged into, did not come here."
        imported.problems.append(Problem(at, record.name, refusal.reason, message))
        return
    [survivor] = editing.remember([survivor_id])
    _gain_aliases(editing, at, record.spellings, survivor.id, imported)
    after = editing.note(ChangeKind.UPDATED, survivor.id)
    if after.revision != survivor.revision:
        imported.changed.append(survivor.id)
    imported.mappings.append(Mapped(record.id, survivor.id, survivor.name))


def _problem(at: int, text: str, refusal: RegistryError) -> Problem:
    return Problem(at, text, refusal.reason, refusal.message)
