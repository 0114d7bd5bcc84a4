"""
Reading what MusicBrainz's web service says of genres.

Source: https://musicbrainz.org/doc/MusicBrainz_API, "genre/all", which answers at most 100
genres a page: {"genre-count": 2207, "genre-offset": 0, "genres": [{"id", "name",
"disambiguation"}, ...]}.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from registry_server.vocabulary.identity import Spelling, has_surrogates
from registry_server.vocabulary.raw_text import on_one_line
from registry_server.vocabulary.refusals import InvalidName, PackInvalid

SERVICE = "https://musicbrainz.org/ws/2/genre/all?fmt=json"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Imported:
    """A pack read: its `content` as a file of its own, names `skipped` for being none."""

    content: str
    version: str
    genres: int
    skipped: tuple[str, ...]


def read_genre_all(documents: Sequence[bytes], *, version: str) -> Imported:
    """
    Return the pack that *documents*, each one page or several, hold together.

    Raises:
        PackInvalid: they are no pages of genre/all, or some are missing.
    """
    rows: dict[str, tuple[str, str, str]] = {}
    skipped: dict[str, str] = {}
    count = 0
    for page in _pages(documents):
        try:
            count = max(count, int(page.get("genre-count", 0)))
            for genre in page["genres"]:
                genre_id = str(UUID(genre["id"]))
                row = _row(genre["name"], genre_id, genre.get("disambiguation") or "")
                if row is None:
                    skipped[genre_id] = str(genre["name"])
                else:
                    rows[genre_id] = row
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise PackInvalid(
                "It is no answer to MusicBrainz's genre/all: it lacks "
                '"genres", or one of them lacks its id or name.'
            ) from error
    found = len(rows) + len(skipped)
    if not rows or found < count:
        raise PackInvalid(
            f"It holds {found} of the {count} genres that it speaks of. Fetch every page: "
            f"{SERVICE}&limit=100&offset=0, 100, 200 and so on."
        )
    content = _content(sorted(rows.values()), version)
    return Imported(content, version, len(rows), tuple(skipped.values()))


def _pages(documents: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Give each JSON object of *documents*, which may hold several, one after the other."""
    for document in documents:
        try:
            text = document.decode("utf-8-sig").strip()
            at = 0
            while at < len(text):
                page, at = _DECODER.raw_decode(text, at)
                yield from page if isinstance(page, list) else [page]
                while at < len(text) and text[at].isspace():
                    at += 1
        except (ValueError, RecursionError) as error:
            raise PackInvalid("It is not JSON in UTF-8.") from error


def _row(name: str, genre_id: str, disambiguation: str) -> tuple[str, str, str] | None:
    """Return a row of the pack's file; None if *name* can be no name."""
    if has_surrogates(name + disambiguation):
        raise ValueError("half a character")
    try:
        text = Spelling.of(on_one_line(name)).text
    except InvalidName:
        return None
    return text, genre_id, on_one_line(disambiguation)


def _content(rows: Sequence[tuple[str, str, str]], version: str) -> str:
    head = [
        "# title: MusicBrainz genres, imported",
        f"# source: {SERVICE}",
        "# licence: CC0 1.0",
        f"# version: {version}",
        "name\tmusicbrainz\tdisambiguation",
    ]
    return "\n".join([*head, *("\t".join(row) for row in rows)]) + "\n"
