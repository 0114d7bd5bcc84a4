"""HTML entities, which some taggers leave in names: "R&amp;B"."""

import re
from html import unescape
from html.entities import html5

_ENTITY = re.compile(
    r"&(?:amp;)+|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));"
)
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
    if written.startswith("&amp;"):
        return "&"
    # Whole names only: html.unescape alone would read "&notes;" as "¬es;".
    name = found["name"]
    if name is not None and name + ";" not in html5:
        return written
    # What stands for no character decodes to the mark for that.
    return unescape(written).replace("\ufffd", "")
