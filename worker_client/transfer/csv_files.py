"""
CSV: a whole registry as a table, and the columns `id,name` of another application.

Read with whichever of the usual delimiters the first line is written with, and by the names
in it, in any order.

Source: RFC 4180; what is read may depart from it as spreadsheets do.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from worker_client.transfer.records import (
    LINE_BYTES_MAX,
    InputWrong,
    Placed,
    Record,
    checked_id,
    genre_record,
    numbered_lines,
)
from worker_client.transfer.table import COLUMNS, CellWrong, record_of, row_of

DELIMITERS = ",;\t|"
_NAME_COLUMNS = ("name", "genre", "genre_name", "genrename")
_ID_COLUMNS = ("id", "genre_id", "genreid")


def write_csv(records: Iterable[Record], file: TextIO) -> None:
    """Write *records* to *file*, which must leave the ends of lines as they are."""
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    rows.writerows(map(row_of, records))


def read_csv(
    file: BinaryIO, *, name_column: str | None = None, id_column: str | None = None
) -> Iterator[Placed]:
    """
    Give the records of *file*: a table that `write_csv` wrote and people edited, or else one
    with a column of names and perhaps one of ids; other columns of that are not read.

    Args:
        name_column: Which names to read, whatever else the table holds; None finds it.
        id_column: Which ids to read with them; None finds it, "" reads none.

    Raises:
        InputWrong: there is no such column, or a row can't be understood.
    """
    table = _Table.of(file)
    if name_column is None and id_column is None and is_of_records(table.head):
        yield from _records(table)
        return
    name_at = table.place(name_column, _NAME_COLUMNS, "--name-column")
    id_at = None
    if id_column or (id_column is None and table.has(_ID_COLUMNS)):
        id_at = table.place(id_column, _ID_COLUMNS, "--id-column")
    for line, row in table.rows(skipinitialspace=True):
        name = row[name_at] if name_at < len(row) else ""
        genre_id = row[id_at] if id_at is not None and id_at < len(row) else ""
        where = f"The column {table.head[id_at]}" if id_at is not None else ""
        yield Placed(genre_record(name, checked_id(genre_id, line, where=where)), line)


def is_of_records(head: Sequence[str]) -> bool:
    """Whether a table with this first line is one of records, rather than of ids and names."""
    named = set(filter(None, head))
    has_more = named <= set(COLUMNS) and bool(named - {"id", "name"})
    return "type" in named or ("name" in named and has_more)


def has_names(head: Sequence[str]) -> bool:
    """Whether one of its columns is usually the one with the names."""
    return any(name in head for name in _NAME_COLUMNS)


def head_of(line: str) -> list[str]:
    """Return the columns that the first *line* of a table names."""
    rows = csv.reader([line.strip()], delimiter=_delimiter(line), skipinitialspace=True)
    try:
        return [name.strip().lower() for name in next(rows, [])]
    except csv.Error:  # a line that ends as none does, or a cell without end
        return []


@dataclass(frozen=True, slots=True)
class _Table:
    head: list[str]
    lines: Iterator[str]
    delimiter: str

    @classmethod
    def of(cls, file: BinaryIO) -> "_Table":
        lines = (line for _, line in numbered_lines(file))
        first = next(lines, "")
        return cls(head_of(first), lines, _delimiter(first))

    def rows(self, *, skipinitialspace: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Give every row that is not blank, and the line where it begins."""
        csv.field_size_limit(LINE_BYTES_MAX)  # a pack is one cell
        rows = csv.reader(
            self.lines, delimiter=self.delimiter, skipinitialspace=skipinitialspace, strict=True
        )
        begins = 2
        try:
            for row in rows:
                if any(map(str.strip, row)):
                    yield begins, row
                begins = rows.line_num + 2
        except csv.Error as error:
            raise InputWrong(
                f"The row is no CSV: {error}. Is a quotation mark left open, or not doubled?",
                begins,
            ) from None

    def has(self, names: Iterable[str]) -> bool:
        return any(name in self.head for name in names)

    def place(self, given: str | None, usual: Sequence[str], option: str) -> int:
        """Return where the column is that was *given*, or else the first *usual* one."""
        wanted = usual if given is None else (given.strip().lower(),)
        for name in wanted:
            if name in self.head:
                return self.head.index(name)
        there = ", ".join(filter(None, self.head))[:400] or "none"
        raise InputWrong(
            f"No column is named {' or '.join(wanted)}; those of the first line are: {there}. "
            f"Say which it is with {option}.",
            1,
        )


def _records(table: _Table) -> Iterator[Placed]:
    if odd := [name for name in table.head if name and name not in COLUMNS]:
        raise InputWrong(
            f"No registry has the column {', '.join(odd)[:200]}; there are only "
            f"{', '.join(COLUMNS)}. Take it out, or read names alone with --name-column.",
            1,
        )
    for line, row in table.rows():
        if any(cell.strip() for cell in row[len(table.head) :]):
            raise InputWrong("The row has more cells than the first line has columns.", line)
        try:
            yield Placed(record_of(dict(zip(table.head, row, strict=False))), line)
        except CellWrong as error:
            raise InputWrong(str(error), line) from None


def _delimiter(line: str) -> str:
    """Return what separates the columns that *line* names: what is there most often."""
    return max(DELIMITERS, key=line.count)
