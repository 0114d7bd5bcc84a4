"""Granting claims: each names a genre, and whoever is first has it created."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.store.changing import Alias, Changes
from registry_server.store.genres import find
from registry_server.vocabulary.genre import Claim, Genre, Granted, Grants
from registry_server.vocabulary.knowledge import Reference

_HELD_IDS = select(schema.external_id.c.whose, schema.external_id.c.value).where(
    schema.external_id.c.value.in_(ASKED)
)


def grant(connection: Connection, claims: Sequence[Claim]) -> Grants:
    """
    Create what *claims* name and nothing reaches; answer each in order.

    The first claim of a key makes the genre, with what the packs know of it. Every genre
    made is a change with a revision of its own, and so is a parent's coming to a genre that
    was there before it.
    """
    changes = Changes(connection)
    reached = find(connection, _keys_of(claims))
    taken_ids = _taken_ids(connection, claims)
    granted = []
    for claim in claims:
        reaching = next((key for key in claim.keys if key in reached), None)
        if reaching is not None:
            granted.append(Granted(reached[reaching], made=False, keys=(reaching,)))
            continue
        genre = _create(changes, claim, reached, taken_ids)
        keys = _free_keys(claim, reached)
        for key in keys:
            reached[key] = genre
        if claim.reference is not None:
            _adopt_children(changes, genre, claim.reference, reached)
        granted.append(Granted(genre, made=True, keys=keys))
    changes.write()
    return Grants(
        tuple([_as_by_now(each, changes) for each in granted]), tuple(changes.changed.values())
    )


def _as_by_now(granted: Granted, changes: Changes) -> Granted:
    """Return *granted* with its genre's last change: a later claim may have brought a parent."""
    latest = changes.latest(granted.genre)
    return granted if latest is granted.genre else replace(granted, genre=latest)


def _keys_of(claims: Sequence[Claim]) -> set[str]:
    """Return every key that decides on a claim, or that a genre made for it would take or touch."""
    keys = {claim.spelling.fold for claim in claims}
    for claim in claims:
        if claim.reference is not None:
            keys.update(spelling.fold for spelling in claim.reference.spellings)
            keys.update(claim.reference.parents)
            keys.update(claim.reference.children)
    return keys


def _free_keys(claim: Claim, reached: Mapping[str, Genre]) -> tuple[str, ...]:
    """Return the keys that a genre made for *claim* takes, its name's first."""
    if claim.reference is None:
        return (claim.spelling.fold,)
    assert claim.knowledge is not None
    curated = claim.knowledge.curated
    keys = [
        claim.name.fold,
        *(each.fold for each in claim.reference.spellings if not curated.detached(each.fold)),
    ]
    return tuple(key for key in dict.fromkeys(keys) if key not in reached)


def _taken_ids(connection: Connection, claims: Sequence[Claim]) -> set[tuple[str, str]]:
    """Return those of the ids elsewhere that genres made for *claims* would get which are given."""
    wanted = {
        pair
        for claim in claims
        if claim.reference is not None
        for pair in claim.reference.external_ids.items()
    }
    if not wanted:
        return set()
    held = connection.execute(_HELD_IDS, asked(value for _, value in wanted))
    return {(row.whose, row.value) for row in held}


def _create(
    changes: Changes,
    claim: Claim,
    reached: Mapping[str, Genre],
    taken_ids: Collection[tuple[str, str]],
) -> Genre:
    reference = claim.reference
    if reference is None:
        return changes.create(claim.name, claim.request_id, claim.who, genre_id=claim.genre_id)
    assert claim.knowledge is not None
    return changes.create(
        claim.name,
        claim.request_id,
        claim.who,
        genre_id=claim.genre_id,
        aliases=[
            Alias(spelling, reference.sources[spelling.fold])
            for spelling in reference.spellings
            if spelling.fold != claim.name.fold
            and spelling.fold not in reached
            and not claim.knowledge.curated.detached(spelling.fold)
        ],
        # Never one id on two genres, as after MusicBrainz gave a name to another genre.
        external_ids=[pair for pair in reference.external_ids.items() if pair not in taken_ids],
        parent_ids=[
            reached[key].id
            for key in reference.parents
            if key in reached and reached[key].is_active
        ],
    )


def _adopt_children(
    changes: Changes, parent: Genre, reference: Reference, reached: dict[str, Genre]
) -> None:
    """Make *parent* one of those genres' parents that the packs say are a kind of it."""
    for key in reference.children:
        child = reached.get(key)
        if child is None or not child.is_active or child.id == parent.id:
            continue
        child = changes.latest(child)
        # No tombstone can be in the way: the parent was not there before.
        if parent.id in child.parent_ids or changes.is_ancestor(child.id, parent.id):
            continue
        changes.link(child, parent_ids=[parent.id])
