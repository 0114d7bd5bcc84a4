"""
Near-duplicates: which names are so alike that one may be a slip for the other?

Pure, and not quadratic: a name is compared only with those that share a form with it from
which one letter was left out.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

LETTERS_MIN = 5
"""Letters of the shortest name that a slip is looked for in: "rock" and "folk" are no slips."""
LETTERS_MAX = 40
"""Of the longest: what is longer is no name but a sentence, and would cost memory."""

_ACCENTS = range(0x0300, 0x0370)


def bare(name: str) -> str:
    """
    Return the letters and digits of *name* without case, accents and compatibility forms.

    Marks of other scripts are letters here: without its vowel signs, Devanagari would be
    another text.
    """
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return unicodedata.normalize(
        "NFC",
        "".join(c for c in apart if unicodedata.category(c)[0] in "LMN" and ord(c) not in _ACCENTS),
    )


def is_slip(first: str, second: str) -> bool:
    """
    Whether one insertion, deletion or substitution of a letter, or a swap of two neighbours,
    turns *first* into *second*.

    Digits are never part of a slip, unless a letter swaps with one: "1980s" and "1990s"
    are two.
    """
    if len(first) > len(second):
        first, second = second, first
    at = 0
    while at < len(first) and first[at] == second[at]:
        at += 1
    rest, longer_rest = first[at:], second[at:]
    if len(first) < len(second):
        return rest == longer_rest[1:] and not longer_rest[0].isdigit()
    if rest[1:] == longer_rest[1:]:
        return bool(rest) and not (rest[0].isdigit() or longer_rest[0].isdigit())
    return rest[:2] == longer_rest[1::-1] and rest[2:] == longer_rest[2:] and not rest[:2].isdigit()


def near_pairs(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """
    Give every two of *names* that nearly agree, as their places, the earlier first.

    Names nearly agree if they have the same letters and digits (`bare`), or if a slip is
    between these and both have `LETTERS_MIN` to `LETTERS_MAX` of them.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if form := bare(name):
            places[form].append(place)
    for same in places.values():
        yield from ((a, b) for at, a in enumerate(same) for b in same[at + 1 :])
    for first, second in _slips(list(places)):
        yield from ((min(a, b), max(a, b)) for a in places[first] for b in places[second])


def _slips(forms: list[str]) -> Iterator[tuple[str, str]]:
    """Give every two of the different *forms* that a slip is between."""
    of_length: defaultdict[int, list[str]] = defaultdict(list)
    for form in forms:
        if LETTERS_MIN <= len(form) <= LETTERS_MAX:
            of_length[len(form)].append(form)
    # A slip is between names of one length or the next, so one length at a time is enough
    # to remember: all that becomes *length* long by leaving a letter out, and all that is.
    for length in range(LETTERS_MIN - 1, LETTERS_MAX):
        sharing: defaultdict[str, list[str]] = defaultdict(list)
        for form in of_length[length]:
            sharing[form].append(form)
        for form in of_length[length + 1]:
            for shorter in _with_a_letter_less(form):
                sharing[shorter].append(form)
        yield from {
            (first, second)
            for alike in sharing.values()
            for at, first in enumerate(alike)
            for second in alike[at + 1 :]
            if is_slip(first, second)
        }


def _with_a_letter_less(form: str) -> set[str]:
    return {form[:at] + form[at + 1 :] for at, c in enumerate(form) if not c.isdigit()}
