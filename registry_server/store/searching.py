"""
Searching: an index of trigrams over names and aliases, and what it finds, ranked.

The index is SQLite's own (FTS5, tokenizer trigram): one row a genre, its texts between line
breaks, so that a trigram also tells where a name begins or ends. It follows the journal
when somebody searches: creating a genre does not pay for it.

Source: https://sqlite.org/fts5.html, "The Trigram Tokenizer".
"""

import string
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from sqlalchemy import Connection, TextClause, select, text

from registry_server.store import schema
from registry_server.store.asking import asked
from registry_server.store.genres import find
from registry_server.store.genres import genres as read_genres
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import bare

CANDIDATES_MAX = 300
"""Most genres that are ranked for one search."""
NEAR_RATIO_MIN = 0.72
"""How alike a name and a query must at least be, of 1, to be near."""
TYPED_LENGTH_MAX = 12
"""Longest query of which every single mistake is tried."""
TRIGRAM = 3

_BEHIND = select(schema.registry.c.revision - schema.registry.c.searchable_revision)
_NEXT = text(
    "SELECT revision, genre_id, source_id FROM change"
    " WHERE revision > (SELECT searchable_revision FROM registry)"
    " ORDER BY revision LIMIT :size"
)
_FORGET = text("DELETE FROM search WHERE rowid IN (SELECT value FROM json_each(:asked))")
_INDEX = text("INSERT INTO search (rowid, text) VALUES (:id, :text)")
_MOVE_ON = text("UPDATE registry SET searchable_revision = :revision")
_LIKE = text(
    "SELECT rowid, text FROM search WHERE text LIKE :pattern ESCAPE '\\' ORDER BY length(text)"
    " LIMIT :size"
)
_PHRASE = text(
    "SELECT rowid, text FROM search WHERE search MATCH :phrase ORDER BY length(text) LIMIT :size"
)
_MATCH = text(
    "SELECT rowid, text FROM search WHERE search MATCH :trigrams ORDER BY rank LIMIT :size"
)


class Rank(NamedTuple):
    """How well a name answers a query; the least is the best."""

    kind: int
    distance: float
    length: int
    name: str


def behind(connection: Connection) -> int:
    """Return how many changes the index has not followed yet."""
    changes: int = connection.execute(_BEHIND).scalar_one()
    return changes


def catch_up(connection: Connection, changes_max: int) -> None:
    """Have the index follow the next *changes_max* changes of the journal."""
    changes = connection.execute(_NEXT, {"size": changes_max}).all()
    if not changes:
        return
    ids = {change.genre_id for change in changes if change.genre_id}
    ids |= {change.source_id for change in changes if change.source_id}
    found = read_genres(connection, ids) if ids else {}
    connection.execute(_FORGET, asked(ids))
    rows = [
        {"id": genre_id, "text": _texts(genre)}
        for genre_id, genre in found.items()
        if genre.id == genre_id and genre.is_active
    ]
    if rows:
        connection.execute(_INDEX, rows)
    connection.execute(_MOVE_ON, {"revision": changes[-1].revision})


def _texts(genre: Genre) -> str:
    names = dict.fromkeys(map(bare, (genre.name, *genre.aliases)))
    return "\n" + "\n".join(names) + "\n"


def search(connection: Connection, query: str, limit: int) -> list[Genre]:
    """
    Return the *limit* genres in use that *query* finds, the best first: those named so, then
    names that begin with it, then with a word that does, then those that hold it, then those
    nearly alike.
    """
    wanted = bare(query)
    if not wanted:  # nothing but accents
        return []
    ranks: dict[int, Rank] = {}
    for genre_id, texts in _holding(connection, wanted):
        _rank(ranks, genre_id, wanted, texts)
    if len(ranks) < limit:
        for genre_id, texts in _alike(connection, wanted):
            _rank(ranks, genre_id, wanted, texts)
        for genre_id, texts in _mistyped(connection, wanted):
            _rank(ranks, genre_id, wanted, texts, ratio_min=0)
    best = sorted(ranks, key=lambda genre_id: (ranks[genre_id], genre_id))
    found = read_genres(connection, best[: limit + CANDIDATES_MAX]) if best else {}
    in_use = {found[each].id: found[each] for each in best if each in found}
    return [genre for genre in in_use.values() if genre.is_active][:limit]


def _holding(connection: Connection, wanted: str) -> Iterator[tuple[int, list[str]]]:
    """Give the genres with a name that is *wanted*, begins with it, has such a word, holds it."""
    found: set[int] = set()
    for text_held in (f"\n{wanted}\n", f"\n{wanted}", f" {wanted}", wanted):
        for row in connection.execute(*_held(text_held)):
            if row[0] not in found:
                found.add(row[0])
                yield row[0], row[1].split("\n")
        if len(found) >= CANDIDATES_MAX:
            return


def _held(text_held: str) -> tuple[TextClause, dict[str, object]]:
    """Return what asks for a text; less than a trigram is looked for without the index."""
    if len(text_held) >= TRIGRAM:
        return _PHRASE, {"phrase": _quoted(text_held), "size": CANDIDATES_MAX}
    escaped = "".join("\\" + c if c in "\\%_" else c for c in text_held)
    return _LIKE, {"pattern": f"%{escaped}%", "size": CANDIDATES_MAX}


def _quoted(text_held: str) -> str:
    return '"' + text_held.replace('"', '""') + '"'


def _alike(connection: Connection, wanted: str) -> Iterator[tuple[int, list[str]]]:
    """Give genres with a name that shares much with *wanted*."""
    bounded = f"\n{wanted}\n"
    trigrams = {bounded[at : at + TRIGRAM] for at in range(len(bounded) - TRIGRAM + 1)}
    asked_for = {"trigrams": " OR ".join(map(_quoted, sorted(trigrams))), "size": CANDIDATES_MAX}
    for row in connection.execute(_MATCH, asked_for):
        yield row[0], row[1].split("\n")


def _mistyped(connection: Connection, wanted: str) -> Iterator[tuple[int, list[str]]]:
    """Give genres with a name that is *wanted* but for one slip of the keyboard."""
    if 1 < len(wanted) <= TYPED_LENGTH_MAX:
        slips = _slips(wanted)
        for genre in find(connection, slips).values():
            if genre.is_active:
                names = map(bare, (genre.name, *genre.aliases))
                yield genre.id, [name for name in names if name in slips]


def _slips(wanted: str) -> set[str]:
    """Return every text that is one letter more, less, other or swapped than *wanted*."""
    letters = {*string.ascii_lowercase, *wanted} - {"\n"}
    cuts = [(wanted[:at], wanted[at:]) for at in range(len(wanted) + 1)]
    return {
        *(left + right[1:] for left, right in cuts if right),
        *(left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1),
        *(left + c + right[1:] for left, right in cuts if right for c in letters),
        *(left + c + right for left, right in cuts for c in letters),
    }


def _rank(
    ranks: dict[int, Rank],
    genre_id: int,
    wanted: str,
    texts: Sequence[str],
    ratio_min: float = NEAR_RATIO_MIN,
) -> None:
    """Keep how well the best of a genre's names answers *wanted*, if any does."""
    names = [name for name in texts if name]
    of_names = [rank for name in names if (rank := _rank_of(name, wanted, ratio_min)) is not None]
    if of_names:
        ranks[genre_id] = min([*of_names, *([ranks[genre_id]] if genre_id in ranks else [])])


def _rank_of(name: str, wanted: str, ratio_min: float) -> Rank | None:
    if name == wanted:
        return Rank(0, 0, len(name), name)
    if name.startswith(wanted):
        return Rank(1, 0, len(name), name)
    if f" {wanted}" in name:
        return Rank(2, 0, len(name), name)
    if wanted in name:
        return Rank(3, 0, len(name), name)
    matcher = SequenceMatcher(None, wanted, name, autojunk=False)
    if matcher.real_quick_ratio() < ratio_min or matcher.quick_ratio() < ratio_min:
        return None
    ratio = matcher.ratio()
    return Rank(4, 1 - ratio, len(name), name) if ratio >= ratio_min else None
