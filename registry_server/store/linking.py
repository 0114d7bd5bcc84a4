"""
Linking: genres that are there already gain what the packs know of them.

Done when other packs are in force than the last time. Nothing is merged or renamed, and
nothing that a genre has is taken from it.
"""

import time
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, delete, select, update

from registry_server.store import schema
from registry_server.store.changing import Alias, Changes, insert_all
from registry_server.store.genres import genres as read_genres
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import KEY_VERSION, UNICODE_VERSION, Spelling
from registry_server.vocabulary.knowledge import Knowledge, Reference


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
    if connection.execute(select(schema.registry.c.linked_by)).scalar_one() == by:
        return []
    changes = Changes(connection)
    holders: dict[str, int] = {}
    meant = _meant(connection, knowledge, holders)
    genres = read_genres(connection, set(meant.values()))
    taken_ids = set(
        connection.execute(select(schema.external_id.c.whose, schema.external_id.c.value))
    )
    for key, genre_id in meant.items():
        reference = knowledge.references[key]
        aliases = [
            Alias(spelling, reference.sources[spelling.fold])
            for spelling in reference.spellings
            if spelling.fold not in holders
        ]
        genre = genres[genre_id]
        had = {whose for whose, _ in genre.external_ids}
        external_ids = [
            pair
            for pair in reference.external_ids.items()
            if pair[0] not in had and pair not in taken_ids
        ]
        parent_ids = list(_new_parents(changes, genre, reference, meant))
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
    table = schema.spelling.c
    for key, strict, text, genre_id, kind in connection.execute(
        select(table.lookup_key, table.strict_key, table.text, table.genre_id, table.kind)
    ):
        holders[key] = genre_id
        meaning = knowledge.meaning(Spelling(text, strict, key))
        if meaning is not None:
            reference_key = meaning.reference.key
            if key == reference_key:
                rank = 1 if kind == schema.NAME else 2
            else:
                rank = 3 if key == meaning.key else 4
            candidates.append((rank, genre_id, reference_key))
    ids = schema.external_id.c
    holding = {
        (whose, value): genre_id
        for genre_id, whose, value in connection.execute(select(ids.genre_id, ids.whose, ids.value))
    }
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


def _new_parents(
    changes: Changes, genre: Genre, reference: Reference, meant: Mapping[str, int]
) -> Iterator[int]:
    for key in reference.parents:
        parent_id = meant.get(key)
        if (
            parent_id is not None
            and parent_id not in genre.parent_ids
            and not changes.is_ancestor(genre.id, parent_id)
        ):
            yield parent_id
