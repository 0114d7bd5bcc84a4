"""
Merging genres, and undoing it.

A merge writes down where a source's id leads and moves nothing: what it brought stays its
own, is read as the survivor's, and is its own again when the merge is undone.
"""

from collections.abc import Iterable

from sqlalchemy import select, update

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.store.changing import parents_of
from registry_server.store.editing import Editing, fold_of
from registry_server.store.genres import merged_into, united
from registry_server.vocabulary import wishes
from registry_server.vocabulary.change import ChangeKind
from registry_server.vocabulary.curation_refusals import (
    GenreDeleted,
    GenreNotMerged,
    NothingToMerge,
    ParentCycle,
    RevisionMismatch,
)
from registry_server.vocabulary.edits import Clash, Edited
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.refusals import GenreNotFound

_EXTERNAL_IDS = select(
    schema.external_id.c.genre_id, schema.external_id.c.whose, schema.external_id.c.value
).where(schema.external_id.c.genre_id.in_(ASKED))
_ALIAS_KEYS = select(schema.spelling.c.lookup_key).where(
    schema.spelling.c.kind == schema.ALIAS, schema.spelling.c.genre_id.in_(ASKED)
)


def merge_genres(editing: Editing, edit: wishes.MergeGenres) -> Edited:
    if not edit.source_ids:
        raise NothingToMerge
    [target, *named] = editing.remember([edit.target_id, *edit.source_ids])
    # An id that was merged stands for the genre that it answers with.
    sources = {genre.id: genre for genre in named if genre.id != target.id}
    for genre in (target, *sources.values()):
        if not genre.is_active:
            raise GenreDeleted(genre.id)
    if edit.expected_revision not in (0, target.revision):
        raise RevisionMismatch(target.id, edit.expected_revision, target.revision)
    redirected: list[int] = []
    reparented: dict[int, Genre] = {}
    for source in sources.values():
        group = {source.id, *merged_into(editing.connection, [source.id])}
        children = [child for child in editing.children(group) if child not in sources]
        editing.remember(children)
        _redirect(editing, source, group, target.id)
        redirected += sorted(group)
        editing.note(ChangeKind.MERGED, target.id, source_id=source.id, always=True)
        for child in editing.note_all(ChangeKind.UPDATED, children):
            reparented[child.id] = child
    _refuse_cycle(editing, target.id)
    if not sources:
        return Edited(target)
    [target] = editing.remember([target.id])
    reparented = {
        child_id: child
        for child_id, child in reparented.items()
        if child_id in editing.changed and child_id != target.id
    }
    return Edited(
        target,
        redirected_ids=tuple(redirected),
        reparented=tuple(reparented[child_id] for child_id in sorted(reparented)),
        clashes=tuple(_clashes(editing, target, set(redirected))),
    )


def _redirect(editing: Editing, source: Genre, group: set[int], target_id: int) -> None:
    name = editing.name_row(source)
    if name is not None:
        editing.change_row(name.lookup_key, kind=schema.ALIAS)
    editing.touched.update(editing.connection.execute(_ALIAS_KEYS, asked(group)).scalars())
    editing.leave(source)
    editing.change_genre(source.id, merged_into_id=target_id)
    _lead(editing, group, target_id)


def _lead(editing: Editing, ids: Iterable[int], survivor_id: int | None) -> None:
    editing.connection.execute(
        update(schema.genre).where(schema.genre.c.id.in_(ASKED)).values(survivor_id=survivor_id),
        asked(ids),
    )


def _refuse_cycle(editing: Editing, genre_id: int) -> None:
    for parent_id in parents_of(editing.connection, genre_id):
        if editing.is_ancestor(genre_id, parent_id):
            raise ParentCycle(genre_id, parent_id)


def _clashes(editing: Editing, target: Genre, redirected: set[int]) -> Iterable[Clash]:
    group = {target.id, *merged_into(editing.connection, [target.id])}
    rows = [(r[0], r[1], r[2]) for r in editing.connection.execute(_EXTERNAL_IDS, asked(group))]
    shown = dict(united(target.id, rows))
    brought = {whose for genre_id, whose, _ in rows if genre_id in redirected}
    for genre_id, whose, value in sorted(rows):
        if whose in brought and value != shown[whose]:
            yield Clash(whose, shown[whose], value, genre_id)


def unmerge_genre(editing: Editing, edit: wishes.UnmergeGenre) -> Edited:
    source_id = edit.source_id
    table = schema.genre.c
    row = editing.connection.execute(
        select(table.name, table.survivor_id).where(table.id == source_id)
    ).one_or_none()
    if row is None:
        raise GenreNotFound.with_id(source_id)
    if row.survivor_id is None:
        raise GenreNotMerged(source_id)
    with_it = _merged_by_way_of(editing, source_id, row.survivor_id)
    children = editing.children([source_id, *with_it])
    [survivor, *_] = editing.remember([row.survivor_id, *children])
    _name_again(editing, source_id, Spelling.of(row.name), survivor.id)
    keys = editing.connection.execute(_ALIAS_KEYS, asked([source_id, *with_it]))
    editing.touched.update(keys.scalars())
    editing.change_genre(source_id, merged_into_id=None, survivor_id=None)
    _lead(editing, with_it, source_id)
    _forget_cycles(editing, source_id)
    survivor = editing.note(ChangeKind.UPDATED, survivor.id)
    kind = ChangeKind.UNMERGED
    editing.gone.update((source_id, *with_it))
    genre = editing.note(kind, source_id, source_id=survivor.id, always=True)
    for merged_id in with_it:
        # Whoever watches learns where these lead again.
        genre = editing.note(ChangeKind.MERGED, source_id, source_id=merged_id, always=True)
    editing.note_all(ChangeKind.UPDATED, children)
    [genre, survivor] = editing.remember([genre.id, survivor.id])
    return Edited(genre, survivor=survivor)


def _merged_by_way_of(editing: Editing, source_id: int, survivor_id: int) -> list[int]:
    """Return what was merged into *source_id* before it was merged itself."""
    table = schema.genre.c
    rows = editing.connection.execute(
        select(table.id, table.merged_into_id).where(table.survivor_id == survivor_id)
    ).all()
    found: list[int] = []
    ahead = [source_id]
    while ahead:
        current = ahead.pop()
        into_it = [row.id for row in rows if row.merged_into_id == current]
        found += into_it
        ahead += into_it
    return sorted(found)


def _name_again(editing: Editing, genre_id: int, name: Spelling, survivor_id: int) -> None:
    """Give a genre its name back, which it left with the survivor as an alias."""
    holder = editing.holder(name)
    if holder is None:
        editing.add_row(fold_of(name), name, genre_id, schema.NAME)
    elif holder.genre_id == survivor_id and not holder.is_name:
        editing.change_row(
            holder.lookup_key,
            genre_id=genre_id,
            kind=schema.NAME,
            text=name.text,
            strict_key=name.strict,
        )
    else:
        editing.refuse_held(name, holder)


def _forget_cycles(editing: Editing, genre_id: int) -> None:
    """Take those parents from a genre that meanwhile became a kind of it."""
    for parent_id, survivor_id in editing.raw_parents(genre_id):
        if survivor_id != genre_id and editing.is_ancestor(genre_id, survivor_id):
            editing.remove_parent(genre_id, parent_id)
