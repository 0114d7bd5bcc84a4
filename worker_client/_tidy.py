"""
Tidiness: how should a genre be written that shouts, or is all in lower case?

Pure, and only a proposal: title case, with small words small and acronyms whole. Nothing but
the case of letters changes; what is in mixed case was meant so, and scripts other than Latin
are left alone.
"""

import re
import unicodedata
from enum import Enum

_SMALL_WORDS = """
    a à an and as at by con for from in n nor of on or the to vs with
    al d da das de del dem den der des di do dos du e el en et l la las le les los
    och oder og para por und van von y
"""
SMALL_WORDS = frozenset(_SMALL_WORDS.split())
"""Words that stay small between others, in the languages that most genres are named in."""

_ACRONYMS = """
    2D 3D AOR ASMR BGM CCM DJ DSBM DnB EBM EDM FM IDM II III IV MC MIDI MPB NDH NDW NRG NWOBHM
    NYC NYHC OPM OST PBR RKT RnB TBM TV UK UK82 UKG US USA USBM VGM VJ Y2K
"""
ACRONYMS = {word.lower(): word for word in _ACRONYMS.split()}
"""Words that are written so wherever they stand."""

# With their accents, should these be characters of their own; without their apostrophes.
_MARKS = "\u0300-\u036f"
_WORD = re.compile(f"[^\\W_](?:[^\\W_]|[{_MARKS}])*")
_APOSTROPHES = "'’"
_JOINTS = f"\\s\\-‐{_APOSTROPHES}"
"""What is between the words of one phrase; a slash, a bracket or an "&" begins another."""
_PHRASE_BEGINS = re.compile(f"(?:^|[^\\w{_MARKS}{_JOINTS}])[{_JOINTS}]*$")
_PHRASE_GOES_ON = re.compile(f"[{_JOINTS}]+[^\\W_]")
_TIED = re.compile(f"([^\\W_]+)[{_MARKS}]*[{_APOSTROPHES}]$")
"""A word and its apostrophe, before another word."""
_ELIDED = frozenset({"c", "d", "j", "l", "m", "n", "o", "qu", "s", "t"})
"""Words that lose their vowel to an apostrophe and stand before a word of its own: l'amour."""
_LETTER_AND_WORD = re.compile("[A-Z]-[a-z]")


class Fault(Enum):
    """What is untidy about a name; the value is for people."""

    SHOUTING = "all in capitals"
    LOWER_CASE = "all in lower case"
    LOWER_AFTER_HYPHEN = "lower case after the hyphen"


def tidied(name: str) -> tuple[Fault, str] | None:
    """
    Return what is untidy about *name*, and how to write it; None if nothing is, or if only
    one who speaks its language could say.

    What is proposed is tidy, and differs from *name* in nothing but case.
    """
    fault = _fault(name)
    if fault is None or not _is_latin(name):
        return None
    shouts = fault is Fault.SHOUTING
    proposed = _WORD.sub(lambda word: _written(word, shouts=shouts), name)
    if proposed == name or proposed.casefold() != name.casefold():
        return None
    return fault, proposed


def _fault(name: str) -> Fault | None:
    if name == name.lower() != name.upper():
        return Fault.LOWER_CASE
    if name == name.upper() != name.lower() and sum(map(str.isupper, name)) > 1:
        return Fault.SHOUTING
    if _LETTER_AND_WORD.match(name) and name[1:] == name[1:].lower():
        return Fault.LOWER_AFTER_HYPHEN
    return None


def _is_latin(name: str) -> bool:
    """Whether case can be changed: it is no other script's, nor Turkish, whose i is another."""
    return not {"İ", "ı"} & set(name) and all(
        unicodedata.name(c, "").startswith("LATIN ") for c in name if c.lower() != c.upper()
    )


def _written(found: re.Match[str], *, shouts: bool) -> str:
    """Return the word that was *found* in a name as it should be written there."""
    word, before, after = (
        found[0].lower(),
        found.string[: found.start()],
        found.string[found.end() :],
    )
    is_between = not _PHRASE_BEGINS.search(before) and _PHRASE_GOES_ON.match(after)
    tied = _TIED.search(before)
    if is_between and word in SMALL_WORDS:
        return word
    if tied and tied[1].lower() not in _ELIDED:
        return word  # what is left of one: don't, children's
    if word in ACRONYMS:
        return ACRONYMS[word]
    if word[0].isdigit():
        return word
    if shouts and not _has_vowel(word):
        return found[0]  # an acronym that is not listed
    return word[0].title() + word[1:]


def _has_vowel(word: str) -> bool:
    return any(unicodedata.normalize("NFD", c)[0] in "aeiouyæœøı" for c in word)
