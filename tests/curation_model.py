"""
A plain model of what a registry is to be, for tests: genres, spellings and merges in three
dicts, without packs.

A merge moves nothing: what a genre brought stays its own, and is read as its survivor's.
"""

import json
import re
from collections.abc import Collection

SEPARATORS = " -_"
"""Spellings that differ in these alone share a key."""


def strict(text: str) -> str:
    return text.lower()


def fold(text: str) -> str:
    return re.sub("[-_]", " ", strict(text))


class Row:
    """A spelling's: who brought it (None: a block) and whether it is its survivor's name."""

    def __init__(self, text: str, brought_by: int | None, *, is_name: bool = False) -> None:
        self.text, self.brought_by, self.is_name = text, brought_by, is_name


class Entry:
    """A genre's own."""

    def __init__(self, name: str) -> None:
        self.name, self.description, self.deleted = name, "", False
        self.parents: set[int] = set()
        self.ids: dict[str, str] = {}
        self.merged_into: int | None = None


class Refusal(Exception):
    """What the registry is to say no with."""


class Model:
    """What the registry is to be. A key is of a pinned spelling if it begins with a "!"."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.genres: dict[int, Entry] = {}

    # Reading

    def facts(self) -> str:
        """Return everything that is to be told, to compare."""
        rows = sorted((key, *vars(row).values()) for key, row in self.rows.items())
        genres = [(each, vars(entry)) for each, entry in self.genres.items()]
        # JSON, for the order in which an id elsewhere was set is nobody's business.
        return json.dumps([rows, genres], sort_keys=True, default=sorted)

    def survivor(self, genre_id: int) -> int:
        into = self.genres[genre_id].merged_into
        return genre_id if into is None else self.survivor(into)

    def group(self, genre_id: int) -> set[int]:
        """Return the id and every id that was merged into it, by whatever way."""
        into = {each for each, entry in self.genres.items() if entry.merged_into == genre_id}
        return {genre_id}.union(*(self.group(each) for each in into))

    def key(self, text: str) -> str:
        return pin if (pin := "!" + strict(text)) in self.rows else fold(text)

    def holder(self, text: str) -> tuple[Row | None, int | None]:
        """Return the row that a spelling reaches, and the genre."""
        row = self.rows.get(self.key(text))
        if row is None or row.brought_by is None:
            return row, None
        return row, self.survivor(row.brought_by)

    def parents(self, genre_id: int) -> set[int]:
        return {self.survivor(each) for each in self.genres[genre_id].parents} - {genre_id}

    def is_ancestor(self, genre_id: int, of_id: int) -> bool:
        return any(
            each == genre_id or self.is_ancestor(genre_id, each) for each in self.parents(of_id)
        )

    def ids(self, genre_id: int) -> dict[str, str]:
        shown: dict[str, str] = {}
        for each in (genre_id, *sorted(self.group(genre_id))):
            for whose, value in self.genres[each].ids.items():
                shown.setdefault(whose, value)
        return shown

    def keys(self, genre_id: int, *, is_name: bool) -> list[str]:
        group = self.group(genre_id)
        return sorted(
            key
            for key, row in self.rows.items()
            if row.brought_by in group and row.is_name == is_name
        )

    def can_be_shown(self, key: str) -> bool:
        """Whether there is a way to write a key that is not pinned elsewhere."""
        ways = [key.replace(" ", separator) for separator in SEPARATORS]
        return key.startswith("!") or any(self.key(way) == key for way in ways)

    # Refusing

    def own(self, genre_id: int) -> Entry:
        if self.survivor(genre_id) != genre_id:
            raise Refusal("GENRE_MERGED")
        return self.genres[genre_id]

    def active(self, genre_id: int) -> Entry:
        if self.own(genre_id).deleted:
            raise Refusal("GENRE_DELETED")
        return self.genres[genre_id]

    def refuse_held(self, genre_id: int | None) -> None:
        blocked = genre_id is None or self.genres[genre_id].deleted
        raise Refusal("SPELLING_BLOCKED" if blocked else "SPELLING_TAKEN")

    # Changing

    def create(self, genre_id: int, name: str, key: str) -> None:
        self.genres[genre_id] = Entry(name)
        self.rows[key] = Row(name, genre_id, is_name=True)

    def rename(self, genre_id: int, name: str) -> None:
        entry, (row, holder) = self.active(genre_id), self.holder(name)
        if name == entry.name:
            return
        if row is not None and holder != genre_id:
            self.refuse_held(holder)
        for key in self.keys(genre_id, is_name=True):
            self.rows[key].is_name = False
        if row is None:
            row = self.rows[fold(name)] = Row(name, genre_id)
        row.text, row.is_name, entry.name = name, True, name

    def add_alias(self, genre_id: int, alias: str) -> None:
        self.active(genre_id)
        row, holder = self.holder(alias)
        if row is None:
            self.rows[fold(alias)] = Row(alias, genre_id)
        elif holder != genre_id:
            self.refuse_held(holder)

    def remove_alias(self, genre_id: int, alias: str) -> None:
        self.active(genre_id)
        row, holder = self.holder(alias)
        if row is None or holder != genre_id:
            raise Refusal("SPELLING_NOT_FOUND")
        if row.is_name:
            raise Refusal("SPELLING_IS_NAME")
        del self.rows[self.key(alias)]

    def block(self, text: str) -> None:
        row, _ = self.holder(text)
        if row is not None and row.is_name:
            raise Refusal("SPELLING_IS_NAME")
        if row is None or row.brought_by is not None:
            self.rows[self.key(text)] = Row(text, None)

    def unblock(self, text: str) -> None:
        row, holder = self.holder(text)
        if row is not None and row.brought_by is None:
            del self.rows[self.key(text)]
        elif holder is not None and self.genres[holder].deleted:
            raise Refusal("GENRE_DELETED")
        else:
            raise Refusal("SPELLING_NOT_FOUND")

    def distinguish(self, text: str, genre_id: int, new_id: int) -> None:
        """Pin a spelling to a genre, or, for 0, to one of its own with *new_id*."""
        if genre_id:
            self.active(genre_id)
        pin, shared = "!" + strict(text), self.rows.get(fold(text))
        if pin in self.rows:
            _, holder = self.holder(text)
            if holder is None or self.genres[holder].deleted or genre_id not in (0, holder):
                self.refuse_held(holder)
            return
        if shared is not None and shared.is_name and strict(shared.text) == strict(text):
            raise Refusal("SPELLING_IS_NAME")
        if genre_id:
            self.rows[pin] = Row(text, genre_id)
        else:
            self.create(new_id, text, pin)

    def set_parents(self, genre_id: int, parent_ids: Collection[int]) -> None:
        entry, wanted = self.active(genre_id), {self.survivor(each) for each in parent_ids}
        had = self.parents(genre_id)
        if any(self.genres[each].deleted for each in wanted - had):
            raise Refusal("GENRE_DELETED")
        if any(each == genre_id or self.is_ancestor(genre_id, each) for each in wanted):
            raise Refusal("PARENT_CYCLE")
        entry.parents = {
            each for each in entry.parents if self.survivor(each) in {*wanted, genre_id}
        } | (wanted - had)

    def set_ids(self, genre_id: int, ids: dict[str, str]) -> None:
        entry = self.active(genre_id)
        for other in self.genres:
            if self.survivor(other) != genre_id and self.genres[other].ids.items() & ids.items():
                raise Refusal("EXTERNAL_ID_TAKEN")
        merged = set().union(*(self.genres[each].ids for each in self.group(genre_id) - {genre_id}))
        entry.ids = {whose: ids[whose] for whose in ids if whose not in merged}

    def describe(self, genre_id: int, description: str) -> None:
        self.active(genre_id).description = description

    def delete(self, genre_id: int) -> None:
        self.own(genre_id).deleted = True

    def undelete(self, genre_id: int) -> None:
        self.own(genre_id).deleted = False

    def merge(self, source_ids: Collection[int], target_id: int) -> None:
        target = self.survivor(target_id)
        sources = {self.survivor(each) for each in source_ids} - {target}
        if any(self.genres[each].deleted for each in (target, *sources)):
            raise Refusal("GENRE_DELETED")
        for source in sources:
            for key in self.keys(source, is_name=True):
                self.rows[key].is_name = False
            self.genres[source].merged_into = target
        if any(self.is_ancestor(target, each) for each in self.parents(target)):
            raise Refusal("PARENT_CYCLE")

    def unmerge(self, source_id: int) -> None:
        entry = self.genres[source_id]
        if entry.merged_into is None:
            raise Refusal("GENRE_NOT_MERGED")
        survivor, group = self.survivor(source_id), self.group(source_id)
        row, holder = self.holder(entry.name)
        if row is None:
            row = self.rows[fold(entry.name)] = Row(entry.name, source_id)
        elif row.is_name or row.brought_by not in group:
            self.refuse_held(holder)
        for key in self.keys(survivor, is_name=True):
            self.rows[key].brought_by = survivor
        row.text, row.is_name, entry.merged_into = entry.name, True, None
        entry.parents = {
            each for each in entry.parents if not self.is_ancestor(source_id, self.survivor(each))
        }
