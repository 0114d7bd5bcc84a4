"""
Reading packs: tables of tab-separated values, one a file, beside this module.

A file begins with lines of "# title: ...", "# source: ...", "# licence: ..." and
"# version: ..." (a date), then names its columns. Several spellings in a cell stand apart
by "|". Columns: `name`, `number` (ID3v1's), `musicbrainz` (an id), `disambiguation`,
`parents` and `synonyms`; any other is a language, or "other", of translations.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

from registry_server.vocabulary.knowledge import Knowledge, Pack, PackEntry

FOLDER = Path(__file__).parent
PACKS = (
    "musicbrainz",
    "synonyms",
    "additions",
    "compounds",
    "translations",
    "discogs",
    "id3v1",
    "beets",
)
"""The packs that come with the server, the most trusted first."""
AUTHORITY = "musicbrainz"
"""The pack whose names are never joined with one another."""
_OF_A_GENRE = frozenset({"name", "number", "musicbrainz", "disambiguation", "parents", "synonyms"})
_BETWEEN_SPELLINGS = "|"


@cache
def shipped_pack(name: str) -> Pack:
    """Return the pack of that name that comes with the server; each is read once."""
    return pack_of(name, (FOLDER / f"{name}.tsv").read_text(encoding="utf-8"))


def pack_of(name: str, text: str) -> Pack:
    """Return the pack that *text*, the content of its file, holds."""
    lines = text.split("\n")
    about = dict(line[2:].split(": ", 1) for line in takewhile(_is_comment, lines))
    columns, *rows = [line.split("\t") for line in lines[len(about) :] if line]
    languages = [column for column in columns if column not in _OF_A_GENRE]
    return Pack(
        name=name,
        title=about["title"],
        source=about["source"],
        licence=about["licence"],
        version=about["version"],
        entries=tuple([_entry(dict(zip(columns, row, strict=True)), languages) for row in rows]),
        digest=hashlib.sha256(text.encode("utf-8")).hexdigest()[:16],
        is_authority=name == AUTHORITY,
    )


def _is_comment(line: str) -> bool:
    return line.startswith("# ")


def _entry(row: dict[str, str], languages: Sequence[str]) -> PackEntry:
    number = row.get("number")
    musicbrainz = row.get("musicbrainz")
    return PackEntry(
        row["name"],
        _texts(row.get("synonyms")),
        tuple([text for language in languages for text in _texts(row[language])]),
        _texts(row.get("parents")),
        (("musicbrainz", musicbrainz),) if musicbrainz else (),
        int(number) if number else None,
        row.get("disambiguation", ""),
    )


def _texts(cell: str | None) -> tuple[str, ...]:
    return tuple(cell.split(_BETWEEN_SPELLINGS)) if cell else ()


def id3v1_numbers() -> Mapping[int, str]:
    """Return the names of the ID3v1 numbers, by which ID3 tags are decoded."""
    return {
        entry.number: entry.name
        for entry in shipped_pack("id3v1").entries
        if entry.number is not None
    }


def knowledge_of(
    imported: Sequence[Pack], *, off: Collection[str], placeholders: Collection[str]
) -> Knowledge:
    """
    Return what the packs in force know.

    Args:
        imported: Packs that take the place of the shipped ones of their name, unless those
            are newer.
        off: Names of packs to leave out.
        placeholders: Texts that stand for no genre.
    """
    newer = {pack.name: pack for pack in imported}
    packs = []
    for name in PACKS:
        if name not in off:
            shipped = shipped_pack(name)
            other = newer.get(name)
            packs.append(other if other and other.version >= shipped.version else shipped)
    return Knowledge(packs, placeholders, id3v1_numbers())
