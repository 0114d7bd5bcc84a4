"""Where an import reads from: which format a file has, and how to read it twice."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from worker_client.transfer.csv_files import has_names, head_of, is_of_records, read_csv
from worker_client.transfer.jsonl import read_jsonl, write_jsonl
from worker_client.transfer.lists import read_list
from worker_client.transfer.records import InputWrong, Placed
from worker_client.transfer.sqlite_table import (
    MAGIC,
    NAME_COLUMN_DEFAULT,
    TABLE_DEFAULT,
    read_sqlite,
)

FORMATS = ("auto", "jsonl", "csv", "list", "beets-tree", "sqlite")
WITH_IDS = ("jsonl", "csv", "sqlite")
"""Formats whose genres can have ids."""
STANDARD_INPUT = "-"

_HEAD_BYTES = 1 << 16
_OF_ENDING = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".yaml", ".yml"), "beets-tree"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What to read of a file.

    Attributes:
        format: One of `FORMATS`; "auto" finds out by content and ending.
        table: Of an SQLite database; None for the usual one.
        name_column: Of a table; None for the usual ones.
        id_column: Of a table; None for the usual ones if there are any, "" for no ids.
    """

    format: str = "auto"
    table: str | None = None
    name_column: str | None = None
    id_column: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is open, and its format; what it holds can be read again and again."""

    format: str
    _file: BinaryIO
    _read: Callable[[BinaryIO], Iterator[Placed]]

    def records(self) -> Iterator[Placed]:
        """Give what it holds, from the beginning; raises InputWrong where that can't be."""
        self._file.seek(0)
        return self._read(self._file)


@contextmanager
def opened(path: str, wanted: Wanted) -> Iterator[Source]:
    """
    Open the file at *path*; `STANDARD_INPUT` is that.

    What can't be read twice is copied to a temporary file first. So are the rows of a
    database: its application need not wait while they are sent.

    Raises:
        InputWrong: it is an SQLite database that can't be read as wanted.
        OSError: it can't be read.
    """
    with ExitStack() as stack:
        if path == STANDARD_INPUT:
            file: BinaryIO = stack.enter_context(TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            file = stack.enter_context(Path(path).open("rb"))
            if not file.seekable():
                pipe, file = file, stack.enter_context(TemporaryFile())
                shutil.copyfileobj(pipe, file)
        file.seek(0)
        found = wanted.format
        if found == "auto":
            found = format_of(path, file.read(_HEAD_BYTES))
        if found == "sqlite":
            if path == STANDARD_INPUT:
                raise InputWrong("An SQLite database is read from a file, not from a pipe.")
            file = stack.enter_context(TemporaryFile())
            _copy_rows(Path(path), wanted, file)
        yield Source(found, file, _reader(found, wanted))


def format_of(path: str, head: bytes) -> str:
    """Return the format of a file by how it begins, and else by the ending of its *path*."""
    if head.startswith(MAGIC):
        return "sqlite"
    if known := _OF_ENDING.get(Path(path).suffix.lower()):
        return known
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text.startswith("{"):
        return "jsonl"
    columns = head_of(text.partition("\n")[0])
    return "csv" if len(columns) > 1 and (is_of_records(columns) or has_names(columns)) else "list"


def _reader(found: str, wanted: Wanted) -> Callable[[BinaryIO], Iterator[Placed]]:
    if found == "csv":
        return partial(read_csv, name_column=wanted.name_column, id_column=wanted.id_column)
    if found == "list":
        return read_list
    if found == "beets-tree":
        try:
            from worker_client.transfer.beets_tree import read_beets_tree
        except ImportError as error:
            raise InputWrong(f"{error}; pip install 'genre-registry[cli]'.") from None
        return read_beets_tree
    return read_jsonl


def _copy_rows(path: Path, wanted: Wanted, file: BinaryIO) -> None:
    """Write the rows of the database at *path* to *file*, a row a line."""
    rows = read_sqlite(
        path,
        table=wanted.table or TABLE_DEFAULT,
        name_column=wanted.name_column or NAME_COLUMN_DEFAULT,
        id_column=wanted.id_column,
    )
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    write_jsonl((row.record for row in rows), text)
    text.detach()
