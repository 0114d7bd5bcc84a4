"""
Cells of a table that people read and edit, which hold any text exactly.

A spreadsheet takes what begins with = + - @ for a formula: such a text gets an apostrophe
before it, as people put it there themselves, and loses it when it is read. Lists are joined
by "; ", with what would be misread in JSON quotes.

Source: OWASP, CSV injection.
"""

import json
import re
from collections.abc import Iterable

# Also what has apostrophes before, so that those of the text are told from ours.
_FORMULA = re.compile("'*[=+\\-@\t\r]")


def text_cell(text: str) -> str:
    """Return the cell that holds *text*."""
    return f"'{text}" if _FORMULA.match(text) else text


def cell_text(cell: str) -> str:
    """Return the text that *cell* holds."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def list_cell(texts: Iterable[str]) -> str:
    """Return the cell that holds *texts* in order."""
    return text_cell("; ".join(map(_part, texts)))


def cell_list(cell: str) -> list[str]:
    """
    Return the texts that *cell* holds; blank ones count only in quotes.

    Raises:
        ValueError: a quote is not closed, or more follows it.
    """
    text, at, parts = cell_text(cell), 0, []
    while at < len(text):
        if text[at].isspace() or text[at] == ";":
            at += 1
        elif text[at] == '"':
            part, at = _JSON.raw_decode(text, at)
            parts.append(part)
            if text[at:].lstrip()[:1] not in ("", ";"):
                raise ValueError(f"more follows the quote {part!r}")
        else:
            bare, _, _ = text[at:].partition(";")
            parts.append(bare.strip())
            at += len(bare)
    return parts


def _part(text: str) -> str:
    is_plain = text and text == text.strip() and ";" not in text and not text.startswith('"')
    return text if is_plain else json.dumps(text, ensure_ascii=False)


_JSON = json.JSONDecoder()
