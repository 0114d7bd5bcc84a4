"""
A registry as one CSV table: a row a record, in columns that people read and edit.

What has no column of its own, or can't be told exactly in it, is JSON in the column `more`:
records that are written and read again are equal. Where both say something, the column does.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from worker_client.transfer.cells import cell_list, cell_text, list_cell, text_cell
from worker_client.transfer.records import KINDS, Record
from worker_client.transfer.spellings import (
    TOLD_BY_CELLS,
    aliases_of,
    kept_beside,
    spellings_of,
)

_STATES = {"GENRE_STATE_ACTIVE": "active", "GENRE_STATE_DELETED": "deleted"}
_DECISIONS = {
    f"DECISION_{decision.upper()}": decision for decision in ("keep", "drop", "alias", "expand")
}


class _Codec(NamedTuple):
    """
    How a field becomes a cell and back.

    `write` returns "" for what the cell can't hold exactly; `read` raises ValueError, with
    what the cell should hold, for what it can't mean.
    """

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _write_number(value: object) -> str:
    return str(value) if type(value) is int and value else ""


def _read_number(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise ValueError("a whole number") from None


def _write_text(value: object) -> str:
    return text_cell(value) if isinstance(value, str) and value.strip() else ""


def _write_texts(value: Any) -> str:
    return list_cell(value) if _is_list_of(str, value) else ""


def _read_texts(cell: str) -> list[str]:
    try:
        return cell_list(cell)
    except ValueError:
        raise ValueError('texts joined by ";", such as Rock; Pop') from None


def _write_numbers(value: Any) -> str:
    return "; ".join(map(str, value)) if _is_list_of(int, value) else ""


def _read_numbers(cell: str) -> list[int]:
    try:
        return [int(part) for part in cell_list(cell)]
    except ValueError:
        raise ValueError('whole numbers joined by ";", such as 7; 12') from None


def _write_map(value: Any) -> str:
    if not isinstance(value, dict) or not all(
        isinstance(told, str) and key and "=" not in key and key == key.strip()
        for key, told in value.items()
    ):
        return ""
    return list_cell(f"{key}={told}" for key, told in value.items())


def _read_map(cell: str) -> dict[str, str]:
    parts = [part.partition("=") for part in _read_texts(cell)]
    if not all(key.strip() and sign for key, sign, _ in parts):
        raise ValueError('what is whose, joined by ";", such as musicbrainz=...; wikidata=Q11366')
    return {key.strip(): told for key, _, told in parts}


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(type(each) is kind for each in value)


def _words(words: Mapping[str, str]) -> _Codec:
    meant = {word: value for value, word in words.items()}

    def read(cell: str) -> str:
        if (word := cell.strip().lower()) not in meant:
            raise ValueError(f"one of {', '.join(meant)}")
        return meant[word]

    return _Codec(lambda value: words.get(value, "") if isinstance(value, str) else "", read)


_NUMBER = _Codec(_write_number, _read_number)
_NUMBERS = _Codec(_write_numbers, _read_numbers)
_TEXT = _Codec(_write_text, cell_text)
_TEXTS = _Codec(_write_texts, _read_texts)

_CODECS = {
    "id": _NUMBER,
    "name": _TEXT,
    "state": _words(_STATES),
    "merged_into_id": _NUMBER,
    "aliases": _TEXTS,
    "parent_ids": _NUMBERS,
    "parents": _TEXTS,
    "external_ids": _Codec(_write_map, _read_map),
    "description": _TEXT,
    "decision": _words(_DECISIONS),
    "names": _TEXTS,
}
COLUMNS = ("type", *_CODECS, "more")
"""In the order in which they are written; read in any, and but for `name` any may be missing."""

_GENRE_COLUMNS = ("id", "name", "state", "merged_into_id", "parent_ids", "parents")
_COLUMN_OF: dict[str, dict[str, str]] = {
    "registry": {},
    "pack": {"name": "name"},
    "genre": {name: name for name in (*_GENRE_COLUMNS, "external_ids", "description")},
    "block": {"spelling": "name"},
    "detached": {"key": "name"},
    "review": {"text": "name", "decision": "decision", "names": "names"},
    "change": {"genre_id": "id"},
}
"""Of each kind of record, the fields that have a column; a genre's spellings besides."""


class CellWrong(Exception):
    """A cell can't be understood; the text is a sentence."""


def row_of(record: Record) -> list[str]:
    """Return the cells of *record*, in the order of `COLUMNS`."""
    [(kind, body)] = record.items()
    columns, cells, more = _COLUMN_OF[kind], {"type": kind}, {}
    if kind == "genre":
        cells["aliases"] = list_cell(aliases_of(body.get("spellings") or ()))
        more = kept_beside(body)
        body = {field: body[field] for field in body if field not in {"spellings", *more}}
    for field, value in body.items():
        if field in columns and (cell := _CODECS[columns[field]].write(value)):
            cells[columns[field]] = cell
        else:
            more[field] = value
    if more:
        cells["more"] = json.dumps(more, ensure_ascii=False)
    return [cells.get(column, "") for column in COLUMNS]


def record_of(cells: Mapping[str, str]) -> Record:
    """
    Return the record that a row holds; one without a type is a genre.

    Args:
        cells: By column; a missing one is blank.

    Raises:
        CellWrong: a cell holds what it can't.
    """
    kind = cells.get("type", "").strip().lower() or "genre"
    if kind not in KINDS:
        raise CellWrong(f"The type is {kind[:40]!r}, and there are only {', '.join(KINDS)}.")
    columns = _COLUMN_OF[kind]
    told = {column for column in _CODECS if cells.get(column, "").strip()}
    if odd := told - set(columns.values()) - ({"aliases"} if kind == "genre" else set()):
        raise CellWrong(f"A row of the type {kind} has no {' and no '.join(sorted(odd))}.")
    body = _read_more(cells.get("more", ""))
    body |= {field: _read(column, cells) for field, column in columns.items() if column in told}
    if kind == "genre":
        kept = body.pop("spellings", TOLD_BY_CELLS)
        name = _read("name", cells) if "name" in told else ""
        spellings = spellings_of(kept, name, _read("aliases", cells))
        body |= {} if spellings is None else {"spellings": spellings}
    return {kind: body}


def _read_more(cell: str) -> dict[str, Any]:
    try:
        more = json.loads(cell) if cell.strip() else {}
    except (ValueError, RecursionError):
        more = None
    if not isinstance(more, dict):
        raise CellWrong("The column more holds no JSON object. Leave it as it was exported.")
    spellings = more.get("spellings")
    if spellings and not (
        isinstance(spellings, list) and all(isinstance(each, dict) for each in spellings)
    ):
        raise CellWrong("The spellings in the column more are no list of JSON objects.")
    return more


def _read(column: str, cells: Mapping[str, str]) -> Any:
    cell = cells.get(column, "")
    try:
        return _CODECS[column].read(cell)
    except ValueError as error:
        raise CellWrong(
            f"The column {column} holds {cell[:40]!r}, and should hold {error}."
        ) from None
