"""Names that many clients ask for at once, in many spellings, and what each is the key of."""

import random
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from registry_server.packs.reading import knowledge_of
from registry_server.settings import PLACEHOLDERS
from registry_server.vocabulary.identity import Spelling

SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    str.upper,
    str.title,
    lambda name: name.replace(" ", "-"),
    lambda name: name.replace(" ", "_"),
    lambda name: f"  {name.replace(' ', '   ')}\t",
    lambda name: name.replace(" ", "\u2011"),
    lambda name: name.replace(" ", "\u200b "),
    lambda name: name.replace(" and ", " & "),
    lambda name: name.replace(" and ", "-n-"),
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name),
)
"""What taggers make of a name."""
KNOWN_SHARE = 0.15
"""How many of the names are some that the packs know: those come with aliases and parents."""
NEAR = 60
"""How many of the newest names are asked for at one time, by everybody."""
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789 -'")


@cache
def _knowledge():  # type: ignore[no-untyped-def]
    return knowledge_of([], off=(), placeholders=PLACEHOLDERS)


@cache
def key_of(text: str) -> str:
    """Return what all spellings of a genre have in common, those that the packs know included."""
    spelling = Spelling.of(text)
    meaning = _knowledge().meaning(spelling)
    return spelling.fold if meaning is None else str(meaning.reference.key)


@cache
def _known(seed: int) -> list[str]:
    """Return the names of genres that the packs know, in an order of their own."""
    names = [key for key in _knowledge().references if PLAIN.issuperset(key) and key_of(key) == key]
    random.Random(seed).shuffle(names)
    return names


@dataclass(frozen=True)
class Names:
    """
    Names without end, the same for all of one seed: *rate* new ones come up each second, and
    those of the moment are what everybody asks for.
    """

    seed: int
    began_s: float
    rate: float

    def newest(self) -> int:
        return int((time.monotonic() - self.began_s) * self.rate)

    def now(self, dice: random.Random) -> str:
        """Return some spelling of one of the newest names."""
        return self.spelled(max(0, self.newest() - dice.randrange(NEAR)), dice)

    def before(self, dice: random.Random) -> str:
        """Return some spelling of one of all the names so far, the newer the likelier."""
        newest = self.newest()
        return self.spelled(newest - int(newest * dice.random() ** 3), dice)

    def spelled(self, number: int, dice: random.Random) -> str:
        name = self.name(number)
        spelled = dice.choice(SPELLINGS)(name)
        return spelled if key_of(spelled) == key_of(name) else name

    def name(self, number: int) -> str:
        known = _known(self.seed)
        dice = random.Random(self.seed * 1_000_003 + number)
        if dice.random() < KNOWN_SHARE:
            return known[number % len(known)]
        return f"{dice.choice(('zorv', 'électro quell', 'mib and tul', 'çagri'))} {number}"
