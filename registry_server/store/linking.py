"""
Linking: genres that are there already gain what the packs know of them.

Done when other packs are in force than the last time. Nothing is merged or renamed,
nothing that a genre has is taken from it, and nothing comes back that a curator took away.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, delete, select, update

from registry_server.store import schema
from registry_server.store.changing import Alias, Changes
from registry_server.store.genres import SURVIVOR, united
from registry_server.store.genres import genres as read_genres
from registry_server.store.journal import insert_all
from registry_server.store.tombstones import removed_external_ids, removed_parents
from registry_server.vocabulary.change import PACKS, ChangeKind
from registry_server.vocabulary.genre import Genre, State
from registry_server.vocabulary.identity import KEY_VERSION, UNICODE_VERSION, Spelling
from registry_server.vocabulary.knowledge import Knowledge, Reference

_survivor = schema.genre.alias("survivor")
_SPELLINGS = select(
    schema.spelling.c.lookup_key,
    schema.spelling.c.strict_key,
    schema.spelling.c.text,
    SURVIVOR,
    schema.spelling.c.kind,
    _survivor.c.state,
).select_from(
    schema.spelling.outerjoin(
        schema.genre, schema.genre.c.id == schema.spelling.c.genre_id
    ).outerjoin(_survivor, _survivor.c.id == SURVIVOR)
)
_EXTERNAL_IDS = (
    select(
        SURVIVOR,
        schema.external_id.c.genre_id,
        schema.external_id.c.whose,
        schema.external_id.c.value,
    )
    .join_from(schema.external_id, schema.genre, schema.genre.c.id == schema.external_id.c.genre_id)
    .join(_survivor, _survivor.c.id == SURVIVOR)
    .where(_survivor.c.state == State.ACTIVE.value)
)


def packs(connection: Connection) -> dict[str, str]:
    """Return the content of each imported pack, by its name."""
    rows = connection.execute(select(schema.pack.c.name, schema.pack.c.content))
    return {row.name: row.content for row in rows}


def keep_pack(connection: Connection, name: str, content: str) -> None:
    """Keep an imported pack in place of the one of its name."""
    connection.execute(delete(schema.pack).where(schema.pack.c.name == name))
    insert_all(connection, schema.pack, [(name, content, time.time_ns() // 1000)])


def link(connection: Connection, knowledge: Knowledge) -> list[Genre]:
    """
    Bring every genre up to what *knowledge* says, and return those that changed; nothing is
    done if they were linked by the very same packs and keys before.
    """
    by = f"keys {KEY_VERSION} on Unicode {UNICODE_VERSION}: {knowledge.digest}"
    before = connection.execute(select(schema.registry.c.linked_by)).scalar_one()
    if before == by:
        return []
    changes = Changes(connection)
    if before:
        # Whoever remembers what spellings come to hears that it may be something else.
        changes.journal.note(ChangeKind.PACKS_CHANGED, None, PACKS)
    holders: dict[str, int] = {}
    meant = _meant(connection, knowledge, holders)
    genres = read_genres(connection, set(meant.values()))
    taken_ids = set(
        connection.execute(select(schema.external_id.c.whose, schema.external_id.c.value))
    )
    without_parents = removed_parents(connection)
    without_ids = removed_external_ids(connection)
    for key, genre_id in meant.items():
        reference = knowledge.references[key]
        aliases = [
            Alias(spelling, reference.sources[spelling.fold])
            for spelling in reference.spellings
            if spelling.fold not in holders and not knowledge.curated.detached(spelling.fold)
        ]
        genre = genres[genre_id]
        had = {whose for whose, _ in genre.external_ids}
        external_ids = [
            pair
            for pair in reference.external_ids.items()
            if pair[0] not in had
            and pair not in taken_ids
            and (genre_id, pair[0]) not in without_ids
        ]
        parent_ids = [
            parent_id
            for parent_id in _new_parents(changes, genre, reference, meant, holders)
            if (genre_id, parent_id) not in without_parents
        ]
        if aliases or external_ids or parent_ids:
            changes.link(genre, aliases=aliases, external_ids=external_ids, parent_ids=parent_ids)
    changes.write()
    connection.execute(update(schema.registry).values(linked_by=by))
    return list(changes.changed.values())


def _meant(
    connection: Connection, knowledge: Knowledge, holders: dict[str, int]
) -> Mapping[str, int]:
    """
    Return the id of the genre that is each reference, by the reference's key, and note who
    holds which key.

    That is the one that has its id elsewhere, for MusicBrainz renames genres; else whichever
    is named so; else whichever it is an alias of; else the oldest that holds another of its
    keys; else the oldest that it is loosely. A genre is one reference at most.
    """
    candidates: list[tuple[int, int, str]] = []
    for key, strict, text, genre_id, kind, state in connection.execute(_SPELLINGS):
        holders[key] = genre_id if state == State.ACTIVE.value else 0
        meaning = knowledge.meaning(Spelling(text, strict, key)) if holders[key] else None
        if meaning is not None:
            reference_key = meaning.reference.key
            if key == reference_key:
                rank = 1 if kind == schema.NAME else 2
            else:
                rank = 3 if key == meaning.key else 4
            candidates.append((rank, genre_id, reference_key))
    holding = _holding(connection)
    candidates += [
        (0, holding[pair], reference.key)
        for reference in knowledge.references.values()
        for pair in reference.external_ids.items()
        if pair in holding
    ]
    meant: dict[str, int] = {}
    taken: set[int] = set()
    for _, genre_id, reference_key in sorted(candidates):
        if reference_key not in meant and genre_id not in taken:
            meant[reference_key] = genre_id
            taken.add(genre_id)
    return dict(sorted(meant.items(), key=lambda item: item[1]))


def _holding(connection: Connection) -> dict[tuple[str, str], int]:
    """Return which genre in use shows each id elsewhere; one that a merge hid counts for none."""
    brought: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for survivor_id, *row in connection.execute(_EXTERNAL_IDS):
        brought[survivor_id].append((row[0], row[1], row[2]))
    return {
        pair: survivor_id
        for survivor_id, rows in brought.items()
        for pair in united(survivor_id, rows)
    }


def _new_parents(
    changes: Changes,
    genre: Genre,
    reference: Reference,
    meant: Mapping[str, int],
    holders: Mapping[str, int],
) -> Iterator[int]:
    for key in reference.parents:
        # Whoever holds its name, where a merge has made two references one genre.
        parent_id = meant.get(key) or holders.get(key)
        if (
            parent_id
            and parent_id not in genre.parent_ids
            and not changes.is_ancestor(genre.id, parent_id)
        ):
            yield parent_id
