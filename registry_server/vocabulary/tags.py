"""
Splitting: from the raw values of a tag to the spellings of genres.

Pure and linear in the length of the input. Rules, by the names the contract
gives them:

* R0: two or more delivered values are authoritative and not split further;
* R1: NUL separates values;
* R4: ``;``, ``|``, a doubled slash or backslash, a line break and a spaced bullet
  always separate;
* R9: parts are trimmed, blanks dropped, repeats of one identity key dropped;
* R10: what nothing separates stays whole; "&", "+", "and" and "-" never separate.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from registry_server.vocabulary.identity import Spelling, trimmed
from registry_server.vocabulary.refusals import NAME_LENGTH_MAX, InvalidName

PARTS_MAX = 100
"""Most parts of one tag set that are looked at; what follows is reported as one."""
TOO_MANY_PARTS = "TOO_MANY_PARTS"


class Rule(Enum):
    """What made a part a part."""

    DELIVERED = "R0"
    NUL = "R1"
    SEPARATOR = "R4"
    WHOLE = "R10"


@dataclass(frozen=True, slots=True)
class Part:
    """A spelling found in a tag, and the rule that set it apart."""

    spelling: Spelling
    rule: Rule


@dataclass(frozen=True, slots=True)
class Dropped:
    """A piece of a tag that can name no genre, and why; cut at 200 characters."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """What a tag set holds, in the order of the tag."""

    parts: tuple[Part, ...]
    dropped: tuple[Dropped, ...]


_SEPARATOR = re.compile(r";|；|\||//|\\\\|\r|\n|(?<=\s)[•·∙](?=\s)")


def split(values: Sequence[str]) -> Split:
    """
    Return the spellings that the raw *values* of one tag name.

    Never raises: a part that can be no name is among `dropped`.
    """
    parts: dict[str, Part] = {}
    dropped: list[Dropped] = []
    for text, rule in _pieces(values):
        if rule is None:
            dropped.append(Dropped(text[:NAME_LENGTH_MAX], TOO_MANY_PARTS))
            continue
        try:
            spelling = Spelling.of(_on_one_line(text))
        except InvalidName as refusal:
            dropped.append(Dropped(text[:NAME_LENGTH_MAX], refusal.reason))
        else:
            parts.setdefault(spelling.fold, Part(spelling, rule))
    return Split(tuple(parts.values()), tuple(dropped))


def _on_one_line(text: str) -> str:
    """Return *text* with its white space collapsed: a tab in a tag is a space."""
    return " ".join(text.split())


def _pieces(values: Sequence[str]) -> Iterator[tuple[str, Rule | None]]:
    """Give each piece that is not blank, with its rule; None for what is one too many."""
    delivered: list[tuple[str, Rule]] = []
    beyond: list[str] = []
    for value in values[:PARTS_MAX]:
        pieces = value.split("\0", PARTS_MAX)
        beyond += pieces[PARTS_MAX:]
        rule = Rule.NUL if len(pieces) > 1 else Rule.DELIVERED
        delivered += [(p, rule) for p in map(trimmed, pieces[:PARTS_MAX]) if p]
    beyond += values[PARTS_MAX : PARTS_MAX + 1]
    if len(delivered) > 1:
        yield from delivered[:PARTS_MAX]
        beyond += [piece for piece, _ in delivered[PARTS_MAX:]]
    else:
        for value, _ in delivered:
            pieces = _SEPARATOR.split(value, PARTS_MAX)
            beyond += pieces[PARTS_MAX:]
            parts = [piece for piece in map(trimmed, pieces[:PARTS_MAX]) if piece]
            for piece in parts:
                yield piece, Rule.SEPARATOR if len(parts) > 1 else Rule.WHOLE
    if beyond:
        yield beyond[0], None
