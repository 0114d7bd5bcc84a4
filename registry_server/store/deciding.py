"""What curators decided of keys, as it is written in the tables."""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.vocabulary.curated import Curated, Decided
from registry_server.vocabulary.edits import Decision
from registry_server.vocabulary.identity import PIN

_PIN_END = chr(ord(PIN) + 1)
_KNOWN = select(schema.spelling.c.lookup_key).where(schema.spelling.c.source == schema.CURATOR)
_SETTLED = select(schema.review.c.lookup_key, schema.review.c.names).where(
    schema.review.c.decision != Decision.NONE.value
)
_DETACHED = select(schema.tombstone.c.value).where(schema.tombstone.c.kind == schema.DETACHED)
_PINNED = select(schema.spelling.c.strict_key).where(
    schema.spelling.c.lookup_key >= PIN, schema.spelling.c.lookup_key < _PIN_END
)


def curated(connection: Connection) -> Curated:
    """Return everything that curators decided."""
    everything = Curated(pinned=set(connection.execute(_PINNED).scalars()))
    everything.take(_decided(connection, _KNOWN, _SETTLED, _DETACHED, {}))
    return everything


def decided(connection: Connection, keys: Collection[str]) -> dict[str, Decided]:
    """Return what curators decided of *keys*; of each, also if it is nothing."""
    found = _decided(
        connection,
        _KNOWN.where(schema.spelling.c.lookup_key.in_(ASKED)),
        _SETTLED.where(schema.review.c.lookup_key.in_(ASKED)),
        _DETACHED.where(schema.tombstone.c.value.in_(ASKED)),
        asked(keys),
    )
    return {key: found.get(key, Decided()) for key in keys}


def pinned(connection: Connection, keys: Collection[str]) -> dict[str, bool]:
    """Return which strict keys of the pinned ones among *keys* are pinned by now."""
    pins = [key for key in keys if key.startswith(PIN)]
    if not pins:
        return {}
    by_now = connection.execute(
        select(schema.spelling.c.lookup_key).where(schema.spelling.c.lookup_key.in_(ASKED)),
        asked(pins),
    )
    held = set(by_now.scalars())
    return {pin.removeprefix(PIN): pin in held for pin in pins}


def _decided(
    connection: Connection,
    known: Select[Any],
    settled: Select[Any],
    detached: Select[Any],
    asked_for: dict[str, str],
) -> dict[str, Decided]:
    found: dict[str, Decided] = defaultdict(Decided)
    for key in connection.execute(known, asked_for).scalars():
        found[key] = Decided(is_known=True)
    for key, names in connection.execute(settled, asked_for):
        found[key] = Decided(is_known=True, names=tuple(json.loads(names)))
    for key in connection.execute(detached, asked_for).scalars():
        found[key] = replace(found[key], is_detached=True)
    return dict(found)
