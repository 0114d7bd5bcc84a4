"""Who calls, and what each may do: a role holds whatever the roles below it hold."""

import enum
import re
from dataclasses import dataclass


class Role(enum.IntEnum):
    """What a caller may do; the higher may do all that the lower may."""

    READER = 1
    """Looks up, lists, searches, watches: changes nothing."""
    WORKER = 2
    """Scans: creates genres and reviews, and nothing else."""
    CURATOR = 3
    """Mends the vocabulary, and sees who changed what."""
    OPERATOR = 4
    """Carries the whole registry in and out."""

    @classmethod
    def of(cls, text: str) -> "Role":
        """
        Return the role that *text* names, in any case.

        Raises:
            ValueError: there is no such role; the message names those there are.
        """
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"there is no role {text!r}; there are {ROLES}") from None

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def with_article(self) -> str:
        """As a sentence says what somebody is."""
        return f"an {self}" if self is Role.OPERATOR else f"a {self}"


ROLES = ", ".join(map(str, Role))
"""The roles' names, the lowest first."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call; the journal of changes keeps the name."""

    name: str
    role: Role


LOCAL = Caller("local", Role.OPERATOR)
"""Whoever is on this machine, where no tokens are in force."""
NOBODY = Caller("nobody", Role.READER)
"""A caller who was refused, or is not known yet."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def refuse_caller_name(name: str) -> None:
    """
    Refuse what can't be a caller's name: the journal and command lines hold it as it is.

    Raises:
        ValueError: the message says what is allowed.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} can be no caller's name: 1 to 64 of the letters a to z, digits and ._@- are "
            "allowed, a letter or digit first"
        )
    if name in (LOCAL.name, NOBODY.name):
        raise ValueError(f"{name!r} is what callers without a token are named; take another")
