"""Making edits: each in a savepoint, so that a refusal leaves nothing half done."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from registry_server.store import schema
from registry_server.store.curating import (
    add_alias,
    block_spelling,
    delete_genre,
    distinguish_spelling,
    remove_alias,
    unblock_spelling,
    undelete_genre,
    update_genre,
)
from registry_server.store.deciding import decided, pinned
from registry_server.store.editing import Editing
from registry_server.store.genres import find, genres
from registry_server.store.importing import import_genres, import_links
from registry_server.store.merging import merge_genres, unmerge_genre
from registry_server.store.settling import settle_review
from registry_server.vocabulary import wishes
from registry_server.vocabulary.edits import Edit, Edited, Effects, Imported
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.records import ImportGenres, ImportLinks
from registry_server.vocabulary.refusals import RegistryError

_MAKE: dict[type[Edit], Callable[[Editing, Any], Edited]] = {
    wishes.UpdateGenre: update_genre,
    wishes.AddAlias: add_alias,
    wishes.RemoveAlias: remove_alias,
    wishes.MergeGenres: merge_genres,
    wishes.UnmergeGenre: unmerge_genre,
    wishes.DeleteGenre: delete_genre,
    wishes.UndeleteGenre: undelete_genre,
    wishes.BlockSpelling: block_spelling,
    wishes.UnblockSpelling: unblock_spelling,
    wishes.DistinguishSpelling: distinguish_spelling,
    wishes.SettleReview: settle_review,
    ImportGenres: import_genres,
    ImportLinks: import_links,
}


def make_edits(
    connection: Connection, wanted: Sequence[Edit], knowledge: Knowledge, history_kept: int
) -> tuple[list[Edited | RegistryError], Effects]:
    """
    Make *wanted*, one after the other; return what each came to and what they changed.

    What is only to be validated is made, and unmade.
    """
    outcomes: list[Edited | RegistryError] = []
    made: list[Editing] = []
    for edit in wanted:
        editing = Editing(connection, edit.who, knowledge, history_kept)
        savepoint = connection.begin_nested()
        try:
            outcomes.append(_make(editing, edit))
        except RegistryError as refusal:
            savepoint.rollback()
            outcomes.append(refusal)
            continue
        if isinstance(edit, wishes.MergeGenres) and edit.validate_only:
            savepoint.rollback()
            continue
        savepoint.commit()
        made.append(editing)
    return outcomes, _effects(connection, made)


def _make(editing: Editing, edit: Edit) -> Edited:
    outcome = _MAKE[type(edit)](editing, edit)
    editing.write()
    return outcome


def import_all(
    connection: Connection,
    wanted: Callable[[dict[int, int]], Iterator[Edit]],
    mapping: dict[int, int],
    knowledge: Knowledge,
    history_kept: int,
) -> Imported:
    """Make importing edits, and return what they come to all in all."""
    whole = Imported()
    told = set(mapping.values())
    for edit in wanted(mapping):
        # What is remembered is made anew after it, or nothing has changed.
        imported = _make(Editing(connection, edit.who, knowledge, history_kept), edit).imported
        assert imported is not None
        mapping.update({each.old_id: each.new_id for each in imported.mappings})
        imported.without(told)
        whole.created += imported.created
        whole.changed += imported.changed
        whole.mappings += imported.mappings
        whole.problems += imported.problems
    return whole


def rehearse(
    connection: Connection,
    wanted: Callable[[dict[int, int]], Iterator[Edit]],
    knowledge: Knowledge,
    history_kept: int,
) -> Imported:
    """Return what importing edits come to all in all, and unmake them."""
    [id_last] = connection.execute(select(schema.registry.c.genre_id_last)).scalars()
    savepoint = connection.begin_nested()
    try:
        whole = import_all(connection, wanted, {}, knowledge, history_kept)
    finally:
        savepoint.rollback()
    whole.mappings = [
        each if each.new_id <= id_last else each._replace(new_id=0) for each in whole.mappings
    ]
    return whole


def _effects(connection: Connection, made: Sequence[Editing]) -> Effects:
    touched = {key for editing in made for key in editing.touched}
    ids = {genre_id for editing in made for genre_id in editing.changed}
    changed = genres(connection, ids) if ids else {}
    gone = frozenset(genre_id for editing in made for genre_id in editing.gone)
    reached = find(connection, touched) if touched else {}
    return Effects(
        {genre.id: genre for genre in changed.values()},
        gone,
        {key: reached.get(key) for key in touched},
        decided(connection, touched) if touched else {},
        pinned(connection, touched),
    )
