"""
ID3's own way to write genres: numbers for names.

Source: id3.org, ID3v2.3 section 4.2.1 (TCON), ID3v2.4 section 4.2.3, and the list of
numbers of ID3v1 with Winamp's extensions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCES = re.compile(r"(?:\((?:[0-9]{1,3}|RX|CR)\))+")
_REFERENCE = re.compile(r"[0-9]+|RX|CR")
_BARE = re.compile(r"[0-9]{1,3}|RX|CR")
_LONE = re.compile(r"\([0-9]{1,3}\)")
_ESCAPED = re.compile(r"\(\(+")
_NAMES = {"RX": "Remix", "CR": "Cover"}
_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class Decoded:
    """
    A text with its references decoded.

    Attributes:
        references: Each reference with the name it stands for; None for a number that has none.
        rest: What follows them, "" if nothing does.
    """

    references: tuple[tuple[str, str | None], ...]
    rest: str


def decode(text: str, numbers: Mapping[int, str], *, is_id3: bool) -> Decoded:
    """
    Return *text* with its references decoded: "(4)Eurodisco", "(51)(39)", "17", "RX".

    A number of a byte at most is a reference, "(256)" and "1980" are text, and "((" begins a
    text with a parenthesis. Outside ID3 only a text that is exactly "(n)" is decoded, which
    rippers leave behind.

    Args:
        numbers: The names of the ID3v1 numbers.
    """
    if text[:1] not in _FIRST:
        return Decoded((), text)
    if not is_id3:
        return _of_references(text, "", numbers) if _LONE.fullmatch(text) else Decoded((), text)
    if _BARE.fullmatch(text):
        return _of_references(text, "", numbers)
    chain = _REFERENCES.match(text)
    rest = text[chain.end() :] if chain else text
    escaped = _ESCAPED.match(rest)
    if escaped:
        rest = rest[escaped.end() - 1 :]
        if _LONE.fullmatch(rest):
            # Exactly "(n)": what any other container's reader would decode.
            return _of_references((chain.group() if chain else "") + rest, "", numbers)
    return _of_references(chain.group() if chain else "", rest.strip(), numbers)


_FIRST = frozenset("(0123456789RC")


def _of_references(written: str, rest: str, numbers: Mapping[int, str]) -> Decoded:
    """Return the decoded references, or the text as it was if one is beyond a byte."""
    found = _REFERENCE.findall(written)
    if any(each.isdigit() and int(each) >= _NUMBERS for each in found):
        return Decoded((), written + rest)
    return Decoded(
        tuple((each, _NAMES.get(each) or numbers.get(int(each))) for each in found), rest
    )
