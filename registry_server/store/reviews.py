"""The review list: compounds that no rule could decide, each once, for a curator."""

import time
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from registry_server.store import schema
from registry_server.store.asking import ASKED, asked
from registry_server.vocabulary.genre import Sighting

RAW_VALUE_LENGTH_MAX = 1000
"""Most characters of a raw value that are kept."""

_REVIEWED = select(schema.review.c.lookup_key).where(schema.review.c.lookup_key.in_(ASKED))
_NOTE = """
INSERT INTO review (lookup_key, text, rule, raw_value, first_seen_us, times_seen)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (lookup_key) DO UPDATE SET times_seen = times_seen + excluded.times_seen
"""


def reviewed(connection: Connection, keys: Collection[str]) -> set[str]:
    """Return those of *keys* that are on the list."""
    return set(connection.execute(_REVIEWED, asked(keys)).scalars())


def note(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """Put what was seen on the list, or count it there."""
    now_us = time.time_ns() // 1000
    for seen in sightings:
        raw_value = seen.raw_value[:RAW_VALUE_LENGTH_MAX]
        connection.exec_driver_sql(
            _NOTE,
            (seen.spelling.fold, seen.spelling.text, seen.rule, raw_value, now_us, seen.times),
        )
