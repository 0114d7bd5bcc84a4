"""
Records: what an export or an import consists of, as plain dicts.

A record is the JSON form of the contract's `Record`, with its field names and with numbers
for ids: {"genre": {"id": 1, "name": "Rock"}}. Readers here give each with its place, and
hold one at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

Record = dict[str, Any]

KINDS = ("registry", "pack", "genre", "block", "detached", "review", "change")
"""What a record may be about; it is about one."""

LINE_BYTES_MAX = 16 << 20
"""Of one line: four times what a message takes, as JSON may escape every letter."""
_ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Placed:
    """A record, and where it stands: its line, or its row in a database, from 1."""

    record: Record
    line: int


class InputWrong(Exception):
    """
    A file can't be read as what it should be; the text is a sentence with what to do.

    Attributes:
        line: Where, from 1; 0 if no line alone is at fault.
    """

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


def numbered_lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """
    Give the lines of *file* with their ends, counted from 1; a byte order mark is left out.

    Raises:
        InputWrong: one is no UTF-8, or longer than `LINE_BYTES_MAX`.
    """
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise InputWrong(
                f"The line is longer than {LINE_BYTES_MAX >> 20} MiB. Is this a text file?", number
            )
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputWrong(
                f"Byte {error.start + 1} of the line is no UTF-8. "
                "Save the file as UTF-8, and import that.",
                number,
            ) from None


def genre_record(name: str, genre_id: int = 0, parents: tuple[str, ...] = ()) -> Record:
    """Return the record of a genre of which little is known."""
    genre: dict[str, Any] = {"name": name}
    if genre_id:
        genre["id"] = genre_id
    if parents:
        genre["parents"] = list(parents)
    return {"genre": genre}


def checked_id(text: str, line: int, *, where: str) -> int:
    """
    Return the id that *text* holds, at least 1; 0 if it is blank.

    Takes "12.0" too, which is how tables with gaps are often written.

    Raises:
        InputWrong: it holds none; *where* names the column, and *line* is its line.
    """
    text = text.strip()
    whole, _, fraction = text.partition(".")
    if not text:
        return 0
    is_whole = text.isascii() and whole.isdigit() and not fraction.strip("0")
    if is_whole and 1 <= (number := int(whole[:20])) <= _ID_MAX:
        return number
    raise InputWrong(f"{where} holds {text[:40]!r}, and an id is a whole number from 1 on.", line)
