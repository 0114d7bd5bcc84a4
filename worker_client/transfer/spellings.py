"""
A genre's spellings in a table: names and aliases in cells for people, the rest kept beside.

A record has spellings with who brought them, by key. Mostly the cells tell all of that;
where they don't, the whole list is kept as well, and a cell that was edited changes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TOLD_BY_CELLS = object()
"""Instead of a kept list: the name and the aliases, in that order, are all there is."""


def aliases_of(spellings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the texts of those that are not the name."""
    return [each.get("text", "") for each in spellings if not each.get("is_name")]


def kept_beside(genre: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of *genre* that must be kept, as its cells don't tell them exactly."""
    name, spellings = genre.get("name", ""), genre.get("spellings")
    told = _plain(name if name.strip() else "", aliases_of(spellings or ()))
    if told == (spellings or []) and spellings != []:
        return {}
    kept = {"spellings": spellings}
    if name and any(each.get("is_name") and each.get("text") != name for each in spellings or ()):
        kept["name"] = name
    return kept


def spellings_of(kept: Any, name: str, aliases: Sequence[str]) -> list[dict[str, Any]] | None:
    """
    Return the spellings that cells and what was kept beside them come to; None if none is told.

    Args:
        kept: The list, None if the genre had none, or `TOLD_BY_CELLS`.
        name: As the table has it now; "" if it has none.
        aliases: As the table has them now.
    """
    if kept is None or kept is TOLD_BY_CELLS:
        return _plain(name if kept else "", aliases) or None
    wanted = set(aliases)
    still = [
        {**each, "text": name} if name and each.get("is_name") else each
        for each in kept
        if each.get("is_name") or each.get("text", "") in wanted
    ]
    there = set(aliases_of(still))
    return still + [{"text": alias} for alias in aliases if alias not in there]


def _plain(name: str, aliases: Iterable[str]) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [{"text": name, "is_name": True}] if name else []
    return named + [{"text": alias} for alias in aliases]
