"""What curators decided of spellings: it comes before what the reference packs know."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_BETWEEN_SEGMENTS = re.compile("[/,]")


@dataclass(frozen=True, slots=True)
class Decided:
    """
    What curators decided of one key.

    Attributes:
        is_known: It is a genre's whole name, as if a pack knew it.
        is_detached: Packs have no say on it: a curator took it from a genre.
        names: What it means instead, if it was expanded.
    """

    is_known: bool = False
    is_detached: bool = False
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Curated:
    """Everything that was decided, by lookup key; `pinned` are strict keys."""

    decided: dict[str, Decided] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    openings: set[str] = field(default_factory=set)
    """What stands before the first comma or slash of those known keys that have one."""

    def take(self, decided: Mapping[str, Decided]) -> None:
        """Take what is decided of some keys now, in place of what was."""
        for key, decision in decided.items():
            if decision == Decided():
                self.decided.pop(key, None)
                continue
            self.decided[key] = decision
            if decision.is_known and (found := _BETWEEN_SEGMENTS.search(key)):
                # What is no opening any more costs a look, and changes nothing.
                self.openings.add(key[: found.start()].strip())

    def knows(self, key: str) -> bool:
        """Whether a curator made *key* a genre's whole name."""
        decision = self.decided.get(key)
        return decision is not None and decision.is_known

    def detached(self, key: str) -> bool:
        """Whether packs have no say on *key*."""
        decision = self.decided.get(key)
        return decision is not None and decision.is_detached

    def names(self, key: str) -> tuple[str, ...]:
        """Return what *key* means instead; nothing if it was not expanded."""
        decision = self.decided.get(key)
        return decision.names if decision is not None else ()
