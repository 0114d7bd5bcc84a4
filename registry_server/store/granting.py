"""Granting claims: each names a genre, and whoever is first has it created."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from registry_server.store import schema
from registry_server.store.changing import Changes, Row
from registry_server.store.genres import find
from registry_server.vocabulary.genre import Claim, Genre, Granted, Grants
from registry_server.vocabulary.knowledge import Reference


def grant(connection: Connection, claims: Sequence[Claim]) -> Grants:
    """
    Create what *claims* name and nothing reaches; answer each in order.

    The first claim of a key makes the genre, with what the packs know of it. Every genre
    made is a change with a revision of its own, and so is a parent's coming to a genre that
    was there before it.
    """
    changes = Changes(connection)
    reached = find(connection, set(_keys_of(claims)))
    granted = []
    for claim in claims:
        reaching = next((key for key in claim.keys if key in reached), None)
        if reaching is not None:
            granted.append(Granted(reached[reaching], made=False, keys=(reaching,)))
            continue
        genre = _create(changes, claim, reached)
        keys = _free_keys(claim, reached)
        reached.update(dict.fromkeys(keys, genre))
        if claim.reference is not None:
            _adopt_children(changes, genre, claim.reference, reached)
        granted.append(Granted(genre, made=True, keys=keys))
    changes.write()
    # As they are by now: a later claim may have brought an earlier one's genre a parent.
    latest = {**changes.made, **changes.changed}
    return Grants(
        tuple(replace(each, genre=latest.get(each.genre.id, each.genre)) for each in granted),
        tuple(changes.changed.values()),
    )


def _keys_of(claims: Sequence[Claim]) -> Iterator[str]:
    """Give every key that decides on a claim, or that a genre made for it would take or touch."""
    for claim in claims:
        yield claim.spelling.fold
        if claim.reference is not None:
            yield from (spelling.fold for spelling in claim.reference.spellings)
            yield from claim.reference.parents
            yield from claim.reference.children


def _free_keys(claim: Claim, reached: Mapping[str, Genre]) -> tuple[str, ...]:
    """Return the keys that a genre made for *claim* takes, its name's first."""
    keys = [claim.name.fold]
    if claim.reference is not None:
        keys += [spelling.fold for spelling in claim.reference.spellings]
    return tuple(key for key in dict.fromkeys(keys) if key not in reached)


def _create(changes: Changes, claim: Claim, reached: Mapping[str, Genre]) -> Genre:
    reference = claim.reference
    if reference is None:
        return changes.create(claim.name, claim.request_id)
    return changes.create(
        claim.name,
        claim.request_id,
        aliases=[
            Row(spelling, schema.ALIAS, reference.sources[spelling.fold])
            for spelling in reference.spellings
            if spelling.fold != claim.name.fold and spelling.fold not in reached
        ],
        reference=reference,
        parent_ids=[reached[key].id for key in reference.parents if key in reached],
    )


def _adopt_children(
    changes: Changes, parent: Genre, reference: Reference, reached: dict[str, Genre]
) -> None:
    """Make *parent* one of those genres' parents that the packs say are a kind of it."""
    for key in reference.children:
        child = reached.get(key)
        if child is None or child.id == parent.id:
            continue
        child = changes.made.get(child.id) or changes.changed.get(child.id) or child
        if parent.id in child.parent_ids or changes.is_ancestor(child.id, parent.id):
            continue
        changes.link(child, parent_ids=[parent.id])
