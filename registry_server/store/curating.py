"""Curating: what becomes of the tables by each edit of one genre or one spelling."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.store.editing import Editing, fold_of
from registry_server.store.genres import SURVIVOR, find, merged_into
from registry_server.store.tombstones import bury, unbury
from registry_server.vocabulary import wishes
from registry_server.vocabulary.change import ChangeKind
from registry_server.vocabulary.curation_refusals import (
    ExternalIdTaken,
    GenreDeleted,
    ParentCycle,
    SpellingIsName,
    SpellingNotFound,
)
from registry_server.vocabulary.edits import Edited
from registry_server.vocabulary.genre import Genre, State
from registry_server.vocabulary.identity import PIN, Spelling, pinned_key

_HOLDERS_OF_ID = (
    select(schema.external_id.c.whose, schema.external_id.c.value, SURVIVOR)
    .join_from(schema.external_id, schema.genre)
    .where(schema.external_id.c.value.in_(ASKED))
)


def update_genre(editing: Editing, edit: wishes.UpdateGenre) -> Edited:
    genre = editing.active(edit.genre_id, edit.expected_revision)
    if edit.name is not None:
        _rename(editing, genre, edit.name)
    if edit.description is not None:
        editing.change_genre(genre.id, description=edit.description)
    if edit.parent_ids is not None:
        _set_parents(editing, genre, edit.parent_ids)
    if edit.external_ids is not None:
        _set_external_ids(editing, genre, edit.external_ids)
    return Edited(editing.note(ChangeKind.UPDATED, genre.id))


def _rename(editing: Editing, genre: Genre, name: Spelling) -> None:
    if name.text == genre.name:
        return
    holder = editing.holder(name)
    own = editing.name_row(genre)
    if holder is not None and holder.genre_id != genre.id:
        editing.refuse_held(name, holder)
    if own is not None and (holder is None or holder.lookup_key != own.lookup_key):
        editing.change_row(own.lookup_key, kind=schema.ALIAS)
    if holder is None:
        editing.add_row(fold_of(name), name, genre.id, schema.NAME)
    else:
        editing.change_row(
            holder.lookup_key,
            strict_key=name.strict,
            text=name.text,
            genre_id=genre.id,
            kind=schema.NAME,
            source=schema.CURATOR,
        )
    editing.change_genre(genre.id, name=name.text)


def _set_parents(editing: Editing, genre: Genre, parent_ids: tuple[int, ...]) -> None:
    wanted = {parent.id: parent for parent in editing.remember(parent_ids)}
    raw = editing.raw_parents(genre.id)
    for parent_id, survivor_id in raw:
        if survivor_id not in wanted and survivor_id != genre.id:
            editing.remove_parent(genre.id, parent_id)
            bury(editing.connection, schema.PARENT, genre.id, str(parent_id))
    had = {survivor_id for _, survivor_id in raw}
    for parent in wanted.values():
        if parent.id not in had and not parent.is_active:
            raise GenreDeleted(parent.id)
    for parent_id in wanted:
        if editing.is_ancestor(genre.id, parent_id):
            raise ParentCycle(genre.id, parent_id)
        if parent_id not in had:
            row = {"child_id": genre.id, "parent_id": parent_id}
            editing.connection.execute(insert(schema.parent).values(row))
            for merged_id in (parent_id, *merged_into(editing.connection, [parent_id])):
                unbury(editing.connection, schema.PARENT, genre.id, str(merged_id))


def _set_external_ids(editing: Editing, genre: Genre, external_ids: Mapping[str, str]) -> None:
    connection = editing.connection
    group = {genre.id, *merged_into(connection, [genre.id])}
    had = dict(genre.external_ids)
    rows = connection.execute(_HOLDERS_OF_ID, asked(external_ids.values()))
    holders = {(whose, value): genre_id for whose, value, genre_id in rows}
    for whose in {*had, *external_ids}:
        value = external_ids.get(whose)
        if value == had.get(whose):
            continue
        if value and (holder_id := holders.get((whose, value), genre.id)) != genre.id:
            raise ExternalIdTaken(whose, value, holder_id)
        # What a merge hides stays with who brought it; what is taken away is gone from all.
        own, table = {genre.id} if value else group, schema.external_id.c
        connection.execute(
            delete(schema.external_id).where(
                table.whose == whose, table.genre_id.in_(own) | (table.value == value)
            )
        )
        if value is None:
            bury(connection, schema.EXTERNAL_ID, genre.id, whose)
            continue
        row = {"genre_id": genre.id, "whose": whose, "value": value}
        connection.execute(insert(schema.external_id).values(row))
        unbury(connection, schema.EXTERNAL_ID, genre.id, whose)


def add_alias(editing: Editing, edit: wishes.AddAlias) -> Edited:
    genre = editing.active(edit.genre_id, edit.expected_revision)
    holder = editing.holder(edit.alias)
    if holder is None:
        editing.add_row(fold_of(edit.alias), edit.alias, genre.id, schema.ALIAS)
    elif holder.genre_id != genre.id:
        editing.refuse_held(edit.alias, holder)
    return Edited(editing.note(ChangeKind.ALIAS_ADDED, genre.id))


def remove_alias(editing: Editing, edit: wishes.RemoveAlias) -> Edited:
    genre = editing.active(edit.genre_id, edit.expected_revision)
    holder = editing.holder(edit.alias)
    if holder is not None and holder.genre_id == genre.id:
        if holder.is_name:
            raise SpellingIsName(edit.alias.text, genre.id)
        editing.remove_row(holder.lookup_key)
        # A spelling that is no longer pinned is one of those that share its key again.
        if not holder.lookup_key.startswith(PIN):
            bury(editing.connection, schema.DETACHED, 0, holder.lookup_key)
    elif holder is None and _packs_reach(editing, edit.alias, genre):
        editing.touched.add(edit.alias.fold)
        bury(editing.connection, schema.DETACHED, 0, edit.alias.fold)
    else:
        raise SpellingNotFound.of_genre(edit.alias.text, genre.id, genre.name)
    text = edit.alias.text
    return Edited(editing.note(ChangeKind.ALIAS_REMOVED, genre.id, spelling=text, always=True))


def _packs_reach(editing: Editing, spelling: Spelling, genre: Genre) -> bool:
    """Whether a spelling that nothing holds reaches *genre* by what the packs know."""
    meaning = editing.knowledge.meaning(spelling)
    if meaning is None:
        return False
    reached = find(editing.connection, [meaning.reference.key])
    return any(found.id == genre.id for found in reached.values())


def delete_genre(editing: Editing, edit: wishes.DeleteGenre) -> Edited:
    genre = editing.genre(edit.genre_id, edit.expected_revision)
    if not genre.is_active:
        return Edited(genre)
    return Edited(set_state(editing, genre, State.DELETED))


def undelete_genre(editing: Editing, edit: wishes.UndeleteGenre) -> Edited:
    genre = editing.genre(edit.genre_id, edit.expected_revision)
    if genre.is_active:
        return Edited(genre)
    return Edited(set_state(editing, genre, State.ACTIVE))


def set_state(editing: Editing, genre: Genre, state: State) -> Genre:
    """Delete a genre, or bring it back, and return it."""
    kind = ChangeKind.UNDELETED if state is State.ACTIVE else ChangeKind.DELETED
    editing.change_genre(genre.id, state=state.value)
    return editing.note(kind, genre.id)


def block_spelling(editing: Editing, edit: wishes.BlockSpelling) -> Edited:
    return Edited(block(editing, edit.spelling))


def block(editing: Editing, spelling: Spelling) -> Genre | None:
    """Have a spelling name no genre; return the one that lost it."""
    holder = editing.holder(spelling)
    if holder is None:
        editing.add_row(fold_of(spelling), spelling, None, schema.BLOCKED)
        editing.journal.note(ChangeKind.SPELLING_BLOCKED, None, editing.who, spelling=spelling.text)
        return None
    if holder.genre_id is None:
        return None
    if holder.is_name:
        raise SpellingIsName(spelling.text, holder.genre_id)
    editing.remember([holder.genre_id])
    editing.remove_row(holder.lookup_key)
    editing.add_row(holder.lookup_key, spelling, None, schema.BLOCKED)
    kind = ChangeKind.SPELLING_BLOCKED
    return editing.note(kind, holder.genre_id, spelling=spelling.text, always=True)


def unblock_spelling(editing: Editing, edit: wishes.UnblockSpelling) -> Edited:
    holder = editing.holder(edit.spelling)
    if holder is not None and holder.genre_id is None:
        unblock(editing, edit.spelling, holder.lookup_key)
        return Edited()
    if holder is not None and holder.genre_id is not None:
        editing.active(holder.genre_id)
    raise SpellingNotFound.not_blocked(edit.spelling.text)


def unblock(editing: Editing, spelling: Spelling, key: str) -> None:
    """Free a key that is blocked."""
    editing.remove_row(key)
    editing.journal.note(ChangeKind.SPELLING_UNBLOCKED, None, editing.who, spelling=spelling.text)


def distinguish_spelling(editing: Editing, edit: wishes.DistinguishSpelling) -> Edited:
    spelling, pin = edit.spelling, pinned_key(edit.spelling.strict)
    target = editing.active(edit.genre_id) if edit.genre_id else None
    held = editing.holders(spelling)
    if (own := held.get(pin)) is not None:
        reached = editing.remember([own.genre_id]) if own.genre_id else []
        for genre in reached:
            if genre.is_active and target in (None, genre):
                return Edited(genre)
        editing.refuse_held(spelling, own)
    shared = held.get(fold_of(spelling))
    if shared is not None and shared.strict_key == spelling.strict:
        if shared.is_name and shared.genre_id is not None:
            raise SpellingIsName(spelling.text, shared.genre_id)
        _give_up(editing, shared.lookup_key, spelling, shared.genre_id)
    if target is not None:
        editing.add_row(pin, spelling, target.id, schema.ALIAS)
    else:
        genre_id = create(editing, spelling, pin)
    genre = editing.note(
        ChangeKind.SPELLING_DISTINGUISHED,
        target.id if target else genre_id,
        spelling=spelling.text,
        always=True,
    )
    return Edited(genre, created=target is None)


def _give_up(editing: Editing, key: str, spelling: Spelling, genre_id: int | None) -> None:
    """Have an alias, or a block, be shown in a way that still reaches it; if any does."""
    if genre_id is not None:
        editing.remember([genre_id])
    others = [Spelling.of(key.replace(" ", separator)) for separator in " -_"]
    pinned = find(editing.connection, [pinned_key(other.strict) for other in others])
    free = (
        other
        for other in others
        if other.strict != spelling.strict and pinned_key(other.strict) not in pinned
    )
    other = next(free, None)
    if other is None and genre_id is not None:
        editing.remove_row(key)
    elif other is None:
        return
    else:
        editing.change_row(key, text=other.text, strict_key=other.strict)
    if genre_id is not None:
        editing.note(ChangeKind.UPDATED, genre_id)


def create(editing: Editing, name: Spelling, key: str) -> int:
    """Create a genre for a curator, whose name holds *key*; return its id."""
    journal = editing.journal
    journal.genre_id += 1
    genre_id = journal.genre_id
    editing.connection.execute(
        insert(schema.genre).values(
            id=genre_id,
            name=name.text,
            revision=journal.created(genre_id, editing.who),
            create_time_us=journal.now_us,
            update_time_us=journal.now_us,
            request_id="",
        )
    )
    editing.add_row(key, name, genre_id, schema.NAME)
    editing.remember([genre_id])
    return genre_id
