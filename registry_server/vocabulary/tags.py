"""What a tag set holds, part by part, and the rules that found it. `splitting` applies them."""

from dataclasses import dataclass
from enum import Enum

from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.refusals import NAME_LENGTH_MAX

PARTS_MAX = 100
"""Most parts of one tag set that are looked at; what follows is reported as one."""
SEGMENTS_MAX = 3 * PARTS_MAX
"""Most pieces, blanks too, that one tag set is cut into on the way."""
TEXT_LENGTH_MAX = PARTS_MAX * (NAME_LENGTH_MAX + 50)
"""Most characters of one tag set that are looked at."""
TOO_MANY_PARTS = "TOO_MANY_PARTS"
PLACEHOLDER = "PLACEHOLDER"
NO_WORD = "NO_WORD"
ID3_NUMBER_UNNAMED = "ID3_NUMBER_UNNAMED"


class Rule(Enum):
    """What made a part a part, or what a step on the way to it did."""

    DELIVERED = "R0"
    NUL = "R1"
    NUMBER = "R2"
    ENTITY = "R3"
    SEPARATOR = "R4"
    KNOWN = "R5"
    BRACKETS = "R6"
    SLASH = "R7"
    COMMA = "R8"
    TIDY = "R9"
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
class Undecided:
    """A compound left whole that may be several genres; the rule that could not decide."""

    spelling: Spelling
    rule: Rule


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a raw value to its parts, for people. `packs` are those that decided."""

    rule: Rule
    text: str
    parts: tuple[str, ...]
    note: str
    packs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """What a tag set holds, in the order of the tag, and how that was found."""

    parts: tuple[Part, ...]
    dropped: tuple[Dropped, ...]
    review: tuple[Undecided, ...]
    steps: tuple[Step, ...]
