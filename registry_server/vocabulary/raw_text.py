"""Raw text, before it is split: HTML entities as in "R&amp;B", blanks, and what says nothing."""

import re
import unicodedata
from html import unescape
from html.entities import html5

_ENTITY = re.compile(
    r"(?P<ampersand>&(?:amp;|#38;|#x26;)+)"
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));"
)
_WORD = re.compile(r"[^\W_]")
_PASSES_MAX = 4


def without_entities(text: str) -> str:
    """Return *text* with its HTML entities decoded, those of decoded ones too."""
    if "&" in text:
        for _ in range(_PASSES_MAX):
            plain = _ENTITY.sub(_entity, text)
            if plain == text:
                break
            text = plain
    return text


def _entity(found: re.Match[str]) -> str:
    written = found[0]
    if found["ampersand"]:
        return "&"
    # Whole names only: html.unescape alone would read "&notes;" as "¬es;".
    name = found["name"]
    if name is not None and name + ";" not in html5:
        return written
    # What stands for no character decodes to the mark for that.
    return unescape(written).replace("\ufffd", "")


def head_and_tail(text: str, length_max: int) -> tuple[str, str]:
    """Return *text* up to its last separator within *length_max* characters, and the rest."""
    end = max(text.rfind(separator, 0, length_max) for separator in "\0;|\n\r,/\\")
    return text[: max(end, 0)], text[max(end, 0) :]


def on_one_line(text: str) -> str:
    """Return *text* with its white space collapsed: a tab in a tag is a space."""
    return " ".join(text.split())


def says_something(text: str) -> bool:
    """Whether *text* has more to it than punctuation: a letter, a digit, a symbol."""
    return _WORD.search(text) is not None or any(
        unicodedata.category(character)[0] in "LNSM" for character in text
    )
