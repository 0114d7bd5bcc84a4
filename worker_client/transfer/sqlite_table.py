"""
The genres of an existing application, from a table of its SQLite database.

The database is only read, and nothing is made beside it unless its application, which left
a write-ahead log there, made it before.

Source: sqlite.org, "URI filenames" and "Write-ahead logging".
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from worker_client.transfer.records import InputWrong, Placed, checked_id, genre_record

TABLE_DEFAULT = "genres"
NAME_COLUMN_DEFAULT = "name"
ID_COLUMN_DEFAULT = "id"
MAGIC = b"SQLite format 3\0"
"""What every SQLite database begins with."""

_WRITE_VERSION_AT, _WAL = 18, 2
"""Where the header says how the database is written, and what it says of a write-ahead log."""
_BUSY_S = 10.0


def read_sqlite(
    path: Path,
    *,
    table: str = TABLE_DEFAULT,
    name_column: str = NAME_COLUMN_DEFAULT,
    id_column: str | None = None,
) -> Iterator[Placed]:
    """
    Give a record for each row of *table*, by ascending id; its place is the number of the row.

    Args:
        id_column: None means `id`, if there is one; "" means that no ids are read.

    Raises:
        InputWrong: the database can't be read, or has no such table or column, or holds what is
            no text or no id.
    """
    is_still, before = _is_still(path), path.stat()
    try:
        with closing(_opened(path, immutable=is_still)) as database:
            table = _there(table, _tables(database), f"no table {table}; its tables are")
            columns = [column for (column,) in database.execute(_COLUMNS, (table,))]
            has = f"no column {{}} in the table {table}; its columns are"
            name_column = _there(name_column, columns, has.format(name_column))
            if id_column is None and ID_COLUMN_DEFAULT in map(str.lower, columns):
                id_column = ID_COLUMN_DEFAULT
            if id_column:
                id_column = _there(id_column, columns, has.format(id_column))
            database.text_factory = bytes
            yield from _rows(database, table, name_column, id_column)
    except sqlite3.Error as error:
        raise InputWrong(
            f"SQLite can't read it: {error}. If its application is running, stop it, "
            "or import a copy."
        ) from None
    if is_still and path.stat().st_mtime_ns != before.st_mtime_ns:
        raise InputWrong("It was written to while it was read. Stop its application, and repeat.")


def _is_still(path: Path) -> bool:
    """
    Whether SQLite may be told that the database does not change.

    To read one that has a write-ahead log SQLite makes files beside it, even read-only,
    unless told so; and so it is while there is no log. One without is locked as it is read,
    and must not be told so, lest what is half written be read.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(MAGIC) or len(header) <= _WRITE_VERSION_AT:
        raise InputWrong("It is no SQLite database.")
    return header[_WRITE_VERSION_AT] == _WAL and not path.with_name(f"{path.name}-wal").exists()


def _opened(path: Path, *, immutable: bool) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if immutable else ''}"
    database = sqlite3.connect(uri, uri=True, timeout=_BUSY_S)
    database.text_factory = _decoded
    return database


_TABLES = """
    SELECT name FROM sqlite_master
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite#_%' ESCAPE '#' ORDER BY name
"""
_COLUMNS = "SELECT name FROM pragma_table_xinfo(?)"


def _tables(database: sqlite3.Connection) -> list[str]:
    return [table for (table,) in database.execute(_TABLES)]


def _there(wanted: str, names: Sequence[str], has: str) -> str:
    """Return that of *names* which is *wanted*, in its own case: SQLite has no regard to that."""
    for name in names:
        if name.lower() == wanted.lower():
            return name
    raise InputWrong(f"It has {has} {', '.join(names)[:400] or 'none'}.")


def _rows(
    database: sqlite3.Connection, table: str, name_column: str, id_column: str | None
) -> Iterator[Placed]:
    columns = ", ".join(map(_quoted, [name_column, *filter(None, [id_column])]))
    query = f"SELECT {columns} FROM {_quoted(table)}"
    if id_column:
        query += f" ORDER BY {_quoted(id_column)}"
    for number, (name, *ids) in enumerate(database.execute(query), 1):
        found_id = _text(ids[0]) if ids else ""
        genre_id = checked_id(found_id, number, where=f"The column {id_column}")
        yield Placed(genre_record(_text(name), genre_id), number)


def _quoted(name: str) -> str:
    """Return *name* as SQL; only for names that are there, as SQLite takes others for texts."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    """Return what a cell says; "" for NULL, which the registry refuses and the report tells."""
    if not isinstance(value, bytes):
        return "" if value is None else str(value)
    return _decoded(value)


def _decoded(value: bytes) -> str:
    """
    Return a text; one that is no UTF-8 as Windows wrote it, which it nearly always is, and
    what is none either with its bad bytes marked.
    """
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return value.decode(encoding)
    return value.decode("utf-8", "replace")
