"""
Identity: when are two spellings one genre?

Three keys, computed here and never by a database, whose `lower` knows ASCII only:

* strict: the same text but for case, typography and invisible characters;
* fold: strict, with hyphen, underscore and space made one, and "&", "+", "n"
  between words made "and". Identity rests on it;
* loose: fold without separators, accents and punctuation. It joins nothing by itself:
  it only reaches a genre that a reference pack knows. Never stored.

`KEY_VERSION` and `UNICODE_VERSION` are stored beside the keys.
"""

import re
import unicodedata
from dataclasses import dataclass

from registry_server.vocabulary.refusals import (
    NAME_LENGTH_MAX,
    NameEmpty,
    NameHasControlCharacter,
    NameTooLong,
    NameWithoutKey,
    TextNotUtf8,
)

KEY_VERSION = 1
"""Rises with every change of the rules below."""
UNICODE_VERSION = unicodedata.unidata_version
"""Rises with the Python that computes the keys."""


def _spans(*spans: tuple[int, int]) -> str:
    return "".join(
        chr(code_point) for first, last in spans for code_point in range(first, last + 1)
    )


# Default_Ignorable_Code_Point but for the plane-14 block, which `_is_ignorable`
# holds. Source: Unicode 15, DerivedCoreProperties.txt.
_IGNORABLE = _spans(
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x200B, 0x200F),  # zero width, left-to-right and right-to-left marks
    (0x202A, 0x202E),  # bidi embedding
    (0x2060, 0x206F),  # word joiner, invisible operators, bidi isolates
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
)
_PLANE_14 = (0xE0000, 0xE0FFF)  # tags and variation selectors supplement

_DASHES = (
    "\u058a\u05be\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7"
    "\u2e3a\u2e3b\ufe58\ufe63\uff0d"
)
# Single quotation marks, primes and the modifier letters written for them.
_APOSTROPHES = (
    "`\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb\u055a\u05f3\u2018\u2019\u201a\u201b"
    "\u2032\u2035\u2039\u203a\ua78b\ua78c\uff07\uff40"
)
_QUOTES = (
    "\u00ab\u00bb\u02ba\u02dd\u05f4\u201c\u201d\u201e\u201f\u2033\u2036"
    "\u275d\u275e\u301d\u301e\u301f\uff02"
)
_SLASHES = "\u2044\u2215\u29f8\uff0f"

_PLAIN = str.maketrans(
    {
        **dict.fromkeys(_IGNORABLE, None),
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_APOSTROPHES, "'"),
        **dict.fromkeys(_QUOTES, '"'),
        **dict.fromkeys(_SLASHES, "/"),
        "ı": "i",
    }
)
# An i that full case folding left with a dot above, as of "İ".
_DOTTED_I = re.compile("i\u0307")


def _folded_once(text: str) -> str:
    # Typography first: NFKC would take an acute accent used as an apostrophe
    # apart into a space and a combining mark.
    text = text.translate(_PLAIN)
    if any(_PLANE_14[0] <= ord(c) <= _PLANE_14[1] for c in text):
        text = "".join(c for c in text if not _PLANE_14[0] <= ord(c) <= _PLANE_14[1])
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _DOTTED_I.sub("i", unicodedata.normalize("NFKC", text))
    return " ".join(text.split())


def strict_key(text: str) -> str:
    """
    Return the strict key of *text*: the same for spellings that differ only in
    case, compatibility forms, white space, invisible characters, typographic
    dashes, apostrophes, quotes and slashes, or Turkish dots. Idempotent; may be
    empty.

    Source: Unicode Standard Annex 15 (NFKC) and section 3.13 (NFKC_Casefold),
    both taken to a fixed point.
    """
    if text.isascii():
        return " ".join(text.lower().replace("`", "'").split())
    while (folded := _folded_once(text)) != text:
        text = folded
    return text


_SEPARATORS = str.maketrans("-_", "  ")
# Signs and an "n" tied to their words, to be set free as words of their own: "&" on
# either side, "+" on both ("C+ Rock" may be a grade), "n" with its apostrophes.
_TIED_AMPERSAND = re.compile(r"(?<=[^\s&+]) ?& ?(?=[^\s&+])")
_TIED_PLUS = re.compile(r"(?<=[^\W_])\+(?=[^\W_])")
_TIED_N = re.compile(r"(?<=[^\W_])'n'?(?= )|(?<=[^\W_])'n'(?=[^\W_])|(?<= )'?n'(?=[^\W_])")
_AND = frozenset({"&", "+", "n", "'n'", "'n", "n'"})
_WORD = re.compile(r"[^\W_]")
_MAY_MEAN_AND = re.compile("[&+]|(?<![^\\W_])n(?![^\\W_])")


def _with_and(text: str) -> str:
    text = _TIED_PLUS.sub(" + ", _TIED_AMPERSAND.sub(" & ", text))
    text = _TIED_N.sub(" 'n' ", text)
    words = text.split()
    for at in range(1, len(words) - 1):
        between_words = _WORD.search(words[at - 1]) and _WORD.search(words[at + 1])
        if words[at] in _AND and between_words:
            words[at] = "and"
    return " ".join(words)


def fold_key(strict: str) -> str:
    """
    Return the fold key of a text, given its strict key. Idempotent; empty when
    the text holds nothing but separators.
    """
    text = " ".join(strict.translate(_SEPARATORS).split())
    if _MAY_MEAN_AND.search(text) is None:
        return text
    while (folded := _with_and(text)) != text:
        text = folded
    return text


# Marks that people leave out and put in at will: on Latin, Greek and Cyrillic letters,
# Hebrew points, Arabic vowel signs and the stretching tatweel. In other scripts marks
# are letters: without its dakuten ジ is シ.
_OPTIONAL_MARKS = _spans(
    (0x0300, 0x036F),
    (0x0591, 0x05BD),
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C7),
    (0x0640, 0x0640),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
)
# Letters with a stroke or of two kinds, which no normalization takes apart.
_BARE = str.maketrans(
    {
        **dict.fromkeys(_OPTIONAL_MARKS, None),
        **{"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "þ": "th", "æ": "ae", "œ": "oe"},
    }
)
_PUNCTUATION_ASCII = str.maketrans(dict.fromkeys("!\"#%&'()*,-./:;?@[\\]_{} ", None))


def loose_key(fold: str) -> str:
    """
    Return the loose key of a text, given its fold key: without separators, accents and
    punctuation; symbols stay. Empty when nothing else is left.

    A closing exclamation or question mark stays too, as in "Oi!", unless the text opens
    with punctuation as well and wears both as decoration.
    """
    kept = ""
    if fold.endswith(("!", "?")) and not _is_punctuation(fold[0]):
        kept = fold[len(fold.rstrip("!?"))]
    if fold.isascii():
        letters = fold.translate(_PUNCTUATION_ASCII)
        return letters + kept if letters else ""
    bare = unicodedata.normalize("NFD", fold).translate(_BARE)
    letters = "".join(c for c in bare if c != " " and not _is_punctuation(c))
    return unicodedata.normalize("NFC", letters) + kept if letters else ""


def bare(text: str) -> str:
    """
    Return *text* as people type it who search: its fold key without accents. Line breaks
    are spaces.
    """
    fold = fold_key(strict_key(text))
    if fold.isascii():
        return fold
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", fold).translate(_BARE))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


PIN = "\x1f"
"""What a pinned key begins with: no name has it inside, so no other key does."""


def pinned_key(strict: str) -> str:
    """Return the key of a spelling that is kept apart from those that share its fold key."""
    return PIN + strict


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What may be trimmed off a name: white space, controls, and invisible characters
# but for variation selectors, which an emoji may end with.
_TRIMMED = (
    _spans((0x00, 0x20), (0x7F, 0xA0))
    + "\u1680\u2028\u2029\u202f\u205f\u3000"
    + _spans((0x2000, 0x200A))
    + "".join(c for c in _IGNORABLE if not ("\ufe00" <= c <= "\ufe0f" or "\u180b" <= c <= "\u180f"))
)


def has_surrogates(text: str) -> bool:
    """Whether *text* holds halves of characters, which no UTF-8 can carry."""
    return _SURROGATE.search(text) is not None


def trimmed(text: str) -> str:
    """Return *text* without outer white space, controls and invisible characters."""
    return text.strip(_TRIMMED)


@dataclass(frozen=True, slots=True)
class Spelling:
    """
    One way to write a genre's name, checked, with its keys.

    `text` is trimmed and 1 to 200 characters long; `strict` and `fold` are never
    empty.
    """

    text: str
    strict: str
    fold: str

    @classmethod
    def of(cls, text: str) -> "Spelling":
        """
        Return the spelling that *text* holds.

        Raises:
            InvalidName: it can be no genre's name.
        """
        text = trimmed(text)
        if not text:
            raise NameEmpty
        if len(text) > NAME_LENGTH_MAX:
            raise NameTooLong(len(text))
        if not text.isprintable():  # what is, has neither
            if control := _CONTROL.search(text):
                raise NameHasControlCharacter(text, control.start())
            if has_surrogates(text):
                raise TextNotUtf8
        strict = strict_key(text)
        fold = fold_key(strict)
        if not fold:
            raise NameWithoutKey(text)
        return cls(text, strict, fold)
