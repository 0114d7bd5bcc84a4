"""Tables for people: columns in line whatever the script, and no cell that breaks a terminal."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence

CELL_WIDTH_MAX = 48
"""Columns of a terminal for one cell; the JSON holds what is cut."""


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """
    Give one line for each of *rows*, which are all of one length.

    Args:
        right: Columns, from 0, that are flush right: numbers.
    """
    widths = [max(map(_width, column), default=0) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            " " * (width - _width(cell)) + cell
            if at in right
            else cell + " " * (width - _width(cell))
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def quoted(text: str) -> str:
    """Return raw *text* in quotes, with its control characters escaped, cut to a cell."""
    return _cut(repr(text[: CELL_WIDTH_MAX + 1]))


def plain(text: str) -> str:
    """Return what `printable` does, cut to a cell."""
    return _cut(printable(text[: CELL_WIDTH_MAX + 1]))


def printable(text: str) -> str:
    """Return *text* as it is, but for control and invisible characters."""
    return text if text.isprintable() else repr(text)[1:-1]


def _cut(text: str) -> str:
    if _width(text) <= CELL_WIDTH_MAX:
        return text
    taken = 0
    for at, c in enumerate(text):
        taken += _width(c)
        if taken >= CELL_WIDTH_MAX:
            return text[:at] + "…"
    return text


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else unicodedata.category(c) not in _NO_WIDTH
        for c in text
    )


_NO_WIDTH = ("Mn", "Me", "Cf")
