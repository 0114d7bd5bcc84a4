"""Settling reviews: what a curator decides of a compound, and what follows for its spelling."""

import json
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.store.curating import block, set_state, unblock
from registry_server.store.editing import Editing, Holder, fold_of
from registry_server.store.genres import find
from registry_server.store.granting import grant
from registry_server.store.merging import merge_genres, unmerge_genre
from registry_server.vocabulary import wishes
from registry_server.vocabulary.change import ChangeKind
from registry_server.vocabulary.curation_refusals import SpellingBlocked
from registry_server.vocabulary.edits import Decision, Edited, Review
from registry_server.vocabulary.genre import Claim, Genre, State
from registry_server.vocabulary.identity import Spelling

BY_A_CURATOR = "R10"
"""The rule of a compound that no scan asked about."""

_table = schema.review.c
_REVIEW = select(
    _table.lookup_key,
    _table.text,
    _table.rule,
    _table.raw_value,
    _table.first_seen_us,
    _table.times_seen,
    _table.decision,
    _table.names,
)
_OPEN = _table.decision == Decision.NONE.value
_BY_KEY = _REVIEW.where(_table.lookup_key == bindparam("key"))


def reviews(
    connection: Connection, after: tuple[int, str], size_max: int, *, show_settled: bool
) -> list[Review]:
    """
    Return *size_max* reviews, those seen most often first, that come after one that was seen
    so many times and has that key.
    """
    times, key = after
    query = _REVIEW if show_settled else _REVIEW.where(_OPEN)
    query = query.where(
        (_table.times_seen < times) | ((_table.times_seen == times) & (_table.lookup_key > key))
    )
    query = query.order_by(_table.times_seen.desc(), _table.lookup_key)
    rows = connection.execute(query.limit(size_max)).all()
    reached = find(connection, [row[0] for row in rows])
    return [review_of(row, reached.get(row[0])) for row in rows]


def review_of(row: Any, genre: Genre | None) -> Review:
    """Return the review of a row; *genre* is what it reaches."""
    return Review(
        row.lookup_key,
        row.text,
        row.rule,
        row.raw_value,
        row.first_seen_us,
        row.times_seen,
        Decision(row.decision),
        tuple(json.loads(row.names)),
        genre if genre is not None and genre.id else None,
    )


def settle_review(editing: Editing, edit: wishes.SettleReview) -> Edited:
    spelling = edit.spelling
    named = _created(editing, edit)
    earlier = editing.connection.execute(_BY_KEY, {"key": spelling.fold}).one_or_none()
    was_out = earlier is not None and earlier.decision in (
        Decision.DROP.value,
        Decision.EXPAND.value,
    )
    if earlier is not None and earlier.decision == Decision.ALIAS.value:
        _part(editing, edit)
    holder = editing.holder(spelling)
    if edit.decision in (Decision.KEEP, Decision.ALIAS):
        holder = _lift(editing, spelling, holder, may_lift=was_out)
    if edit.decision is Decision.ALIAS:
        _make_alias(editing, edit, holder)
    elif edit.decision is not Decision.KEEP and not _names_itself(holder, named):
        _take_out(editing, spelling, holder)
    is_otherwise = _write(editing, edit, earlier)
    reached = find(editing.connection, [spelling.fold]).get(spelling.fold)
    own = reached if reached is not None and reached.is_active else None
    if is_otherwise or editing.touched or editing.changed:
        editing.touched.add(spelling.fold)
        editing.journal.note(ChangeKind.REVIEW_SETTLED, None, editing.who, spelling=spelling.text)
    row = editing.connection.execute(_BY_KEY, {"key": spelling.fold}).one()
    stands_for = named if edit.names else ([own] if own else [])
    return Edited(review=review_of(row, reached), genres=tuple(stands_for))


def _names_itself(holder: Holder | None, named: list[Genre]) -> bool:
    """Whether an expansion names the compound's own genre too, which then stays in use."""
    return holder is not None and holder.genre_id in {genre.id for genre in named}


def _created(editing: Editing, edit: wishes.SettleReview) -> list[Genre]:
    """Return the genres that an expansion names, created where they are new."""
    if not edit.names:
        return []
    claims = [Claim.by(editing.knowledge, name, who=editing.who) for name in edit.names]
    grants = grant(editing.connection, claims)
    granted = grants.granted
    editing.changed.update({genre.id: genre for genre in grants.changed})
    for name, each in zip(edit.names, granted, strict=True):
        if not each.genre.is_active:
            raise SpellingBlocked(name.text, each.genre.id)
        if each.made:
            editing.changed[each.genre.id] = each.genre
            editing.touched.update(each.keys)
    make_known(editing, [each.keys[0] for each in granted if each.made])
    return list({each.genre.id: each.genre for each in granted}.values())


def make_known(editing: Editing, keys: Collection[str]) -> None:
    """Have genres that were just made, by these keys, count as a curator's."""
    if keys:
        editing.touched.update(keys)
        credit_curator(editing.connection, keys)


def credit_curator(connection: Connection, keys: Collection[str]) -> None:
    """Write down that a curator brought the spellings that hold *keys*."""
    connection.execute(
        update(schema.spelling)
        .where(schema.spelling.c.lookup_key.in_(ASKED))
        .values(source=schema.CURATOR),
        asked(keys),
    )


def _lift(
    editing: Editing, spelling: Spelling, holder: Holder | None, *, may_lift: bool
) -> Holder | None:
    """Undo what an earlier decision blocked; what was blocked otherwise stays so."""
    if holder is None:
        return None
    if holder.genre_id is None:
        if not may_lift:
            raise SpellingBlocked(spelling.text)
        unblock(editing, spelling, holder.lookup_key)
        return None
    [genre] = editing.remember([holder.genre_id])
    if not genre.is_active:
        if not (may_lift and holder.is_name):
            raise SpellingBlocked(spelling.text, genre.id)
        set_state(editing, genre, State.ACTIVE)
    return holder


def _make_alias(editing: Editing, edit: wishes.SettleReview, holder: Holder | None) -> None:
    target = editing.active(edit.target_id)
    if holder is None:
        editing.add_row(fold_of(edit.spelling), edit.spelling, target.id, schema.ALIAS)
        editing.note(ChangeKind.ALIAS_ADDED, target.id)
    elif holder.genre_id is not None and holder.genre_id != target.id:
        if not holder.is_name:
            editing.refuse_held(edit.spelling, holder)
        merge_genres(editing, wishes.MergeGenres((holder.genre_id,), target.id))


def _take_out(editing: Editing, spelling: Spelling, holder: Holder | None) -> None:
    """Have a compound name no genre by itself any more."""
    if holder is None or holder.genre_id is None or not holder.is_name:
        block(editing, spelling)
        return
    [genre] = editing.remember([holder.genre_id])
    if genre.is_active:
        set_state(editing, genre, State.DELETED)


def _part(editing: Editing, edit: wishes.SettleReview) -> None:
    """Part a compound from the genre that it was made an alias of, unless it is to stay so."""
    holder = editing.holder(edit.spelling)
    if holder is None or holder.genre_id is None or holder.is_name:
        return
    if edit.decision is Decision.ALIAS and holder.genre_id == edit.target_id:
        return
    if holder.brought_by != holder.genre_id and _is_own(editing, edit.spelling, holder):
        unmerge_genre(editing, wishes.UnmergeGenre(holder.brought_by or 0))
    else:
        editing.remember([holder.genre_id])
        editing.remove_row(holder.lookup_key)
        editing.note(ChangeKind.ALIAS_REMOVED, holder.genre_id)


def _is_own(editing: Editing, compound: Spelling, holder: Holder) -> bool:
    """Whether the genre that brought a compound is the compound's own, merged by itself."""
    name = editing.connection.execute(
        select(schema.genre.c.name).where(
            schema.genre.c.id == holder.brought_by,
            schema.genre.c.merged_into_id == holder.genre_id,
        )
    ).scalar()
    return name is not None and editing.knowledge.spelling(name).fold == compound.fold


def _write(editing: Editing, edit: wishes.SettleReview, earlier: Any) -> bool:
    """Write down what was decided; return whether it is anything else than before."""
    key = edit.spelling.fold
    names = json.dumps([name.text for name in edit.names], ensure_ascii=False)
    decided = {"decision": edit.decision.value, "names": names}
    if earlier is not None and (earlier.decision, earlier.names) == tuple(decided.values()):
        return False
    if earlier is None:
        editing.connection.execute(
            insert(schema.review).values(
                lookup_key=key,
                text=edit.spelling.text,
                rule=BY_A_CURATOR,
                raw_value=edit.spelling.text,
                first_seen_us=time.time_ns() // 1000,
                times_seen=0,
                **decided,
            )
        )
    else:
        editing.connection.execute(
            update(schema.review).where(_table.lookup_key == key).values(**decided)
        )
    return True
