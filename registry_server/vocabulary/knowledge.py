"""
Knowledge: what the reference packs say of genres, joined into one index.

It is no part of the registry: a genre enters the registry when a tag names it. Knowledge
decides which spellings mean the same genre, what a part of a compound is, and what a new
genre is called, linked to and a kind of.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Self

from registry_server.vocabulary.curated import Curated
from registry_server.vocabulary.identity import Spelling, loose_key, pinned_key


class PackEntry(NamedTuple):
    """
    What a pack says of one genre.

    Attributes:
        name: As the pack writes it.
        synonyms: Other spellings of the very same genre, which never name it.
        translations: Its names in other languages, which may.
        parents: Names of the genres that it is a kind of.
        external_ids: Its ids elsewhere, by whose they are.
        number: Its ID3v1 number.
        disambiguation: A remark that tells it from others of its name.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    translations: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    external_ids: tuple[tuple[str, str], ...] = ()
    number: int | None = None
    disambiguation: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """
    A reference pack: entries with their source, licence and version.

    `is_authority` marks a pack whose names are never joined with one another, whatever
    other packs say.
    """

    name: str
    title: str
    source: str
    licence: str
    version: str
    entries: tuple[PackEntry, ...] = field(repr=False)
    digest: str
    is_authority: bool = False


@dataclass(slots=True, eq=False)
class Reference:
    """
    One genre as all packs together know it. `parents` and `children` are keys of others;
    `key` is the fold key of its name; `packs` are those that name it; `sources` says which
    pack brought each spelling, by fold key.
    """

    name: Spelling
    packs: list[str]
    sources: dict[str, str] = field(default_factory=dict)
    synonyms: list[Spelling] = field(default_factory=list)
    translations: list[Spelling] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    external_ids: dict[str, str] = field(default_factory=dict)
    disambiguation: str = ""

    @property
    def key(self) -> str:
        return self.name.fold

    @property
    def spellings(self) -> Iterator[Spelling]:
        """Every spelling that reaches it by fold key, its name first."""
        yield self.name
        yield from self.synonyms
        yield from self.translations

    def may_be_named(self, spelling: Spelling) -> bool:
        """Whether *spelling* is a name of it, in some language, rather than a mere variant."""
        return spelling.fold == self.key or any(
            spelling.fold == translation.fold for translation in self.translations
        )


class Kind(Enum):
    """What a spelling is to the genre that a pack reaches by it."""

    NAME = "name"
    SYNONYM = "synonym"
    TRANSLATION = "translation"


class Origin(NamedTuple):
    """Where a spelling is known from."""

    kind: Kind
    pack: str


class Meaning(NamedTuple):
    """
    The genre that a spelling means to the packs; `key` is the fold key by which they know it,
    the spelling's own unless it was reached loosely.
    """

    reference: Reference
    key: str
    origin: Origin


# What stands between the parts of a compound, whose loose key would run them together.
_BETWEEN_PARTS = re.compile(r"[/\\,;:|()\[\]{}、]")
_BETWEEN_SEGMENTS = re.compile("[/,]")


class Knowledge:
    """
    The index over *packs*, the more trusted first: the first word on a spelling counts.

    Args:
        packs: The packs in force. Names of one fold key are one genre. A name of a later
            pack that is loosely that of one genre is a synonym of it.
        placeholders: Texts that stand for no genre ("Unknown").
        numbers: The names of the ID3v1 numbers, which are decoded whatever packs are in force.
    """

    def __init__(
        self,
        packs: Sequence[Pack] = (),
        placeholders: Iterable[str] = (),
        numbers: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.packs = tuple(packs)
        self.curated = Curated()
        """What curators decided, which comes before what the packs say."""
        self.placeholders = frozenset(Spelling.of(text).fold for text in placeholders)
        self.numbers = numbers
        self.digest = " ".join(f"{pack.name}={pack.digest}" for pack in packs)
        """Differs when any pack in force does."""
        joined = _Joined()
        for pack in packs:
            joined.add(pack)
        for pack in packs:
            joined.link(pack)
        self.conflicts = tuple(joined.conflicts)
        """What packs say that was not followed, a sentence each."""
        self.references = joined.references
        """Every genre that a pack knows, by the fold key of its name."""
        self._by_key = joined.by_key
        self._by_loose = joined.by_loose()
        self._openings = frozenset(
            key[: found.start()].strip()
            for key in (*self._by_key, *self.placeholders)
            if (found := _BETWEEN_SEGMENTS.search(key))
        )
        """What stands before the first comma or slash of those known genres that have one."""

    def renewed(self, curated: Curated | None = None) -> Self:
        """
        Return the same packs with what curators decided by now, as another knowledge: what
        was remembered by the old one is void.
        """
        renewed = copy.copy(self)
        renewed.curated = self.curated if curated is None else curated
        return renewed

    def spelling(self, text: str) -> Spelling:
        """
        Return the spelling that *text* is; one that is pinned apart has a key of its own.

        Raises:
            InvalidName: it can be no genre's name.
        """
        return self.pinned(Spelling.of(text))

    def pinned(self, spelling: Spelling) -> Spelling:
        """Return *spelling* with the key that it has by now."""
        if spelling.strict not in self.curated.pinned:
            return spelling
        return Spelling(spelling.text, spelling.strict, pinned_key(spelling.strict))

    def meaning(self, spelling: Spelling) -> Meaning | None:
        """Return what *spelling* means to the packs, by fold or by loose key."""
        if self.curated.detached(spelling.fold):
            return None
        known = self._by_key.get(spelling.fold)
        if known is not None:
            return known
        known = self._by_loose.get(loose_key(spelling.fold))
        return None if known is None or self._joins_known_parts(spelling.fold) else known

    def knows_whole(self, fold: str) -> bool:
        """Whether this very key is a genre's to the packs or a curator, or a placeholder's."""
        return fold in self._by_key or fold in self.placeholders or self.curated.knows(fold)

    def opens(self, fold: str) -> bool:
        """Whether a known genre with a comma or a slash begins with this key."""
        return fold in self._openings or fold in self.curated.openings

    def _joins_known_parts(self, fold: str) -> bool:
        """Whether a text is a compound: "Folk/Rock" is not "Folk Rock", but "Hip/Hop" "Hip Hop"."""
        parts = [part for part in map(str.strip, _BETWEEN_PARTS.split(fold)) if part]
        return len(parts) > 1 and any(
            part in self._by_key or self._by_loose.get(loose_key(part)) for part in parts
        )


class _Joined:
    """The packs joined so far."""

    def __init__(self) -> None:
        self.references: dict[str, Reference] = {}
        self.by_key: dict[str, Meaning] = {}
        self.conflicts: list[str] = []
        self._loose: dict[Kind, dict[str, list[Meaning]]] = {kind: {} for kind in Kind}
        self._clashing: set[tuple[str, str]] = set()
        self._spellings: dict[str, Spelling] = {}

    def add(self, pack: Pack) -> None:
        """Take the names of *pack*, then its synonyms and translations."""
        referenced = [(self._named(pack, entry), entry) for entry in pack.entries]
        for reference, entry in referenced:
            self._identify(pack, reference, entry)
            for text in entry.synonyms:
                self._spelled(pack, reference, Kind.SYNONYM, self._spelling(text))
            for text in entry.translations:
                self._spelled(pack, reference, Kind.TRANSLATION, self._spelling(text))

    def link(self, pack: Pack) -> None:
        """Take the parents of *pack*'s entries, unless one would be its own ancestor."""
        for entry in pack.entries:
            for parent in entry.parents:
                self._make_child(
                    self.by_key[self._spelling(entry.name).fold].reference,
                    self.by_key[self._spelling(parent).fold].reference,
                )

    def by_loose(self) -> dict[str, Meaning | None]:
        """Return what each loose key means: names and synonyms first; None where several do."""
        found: dict[str, Meaning | None] = {}
        for kinds in ((Kind.NAME, Kind.SYNONYM), (Kind.TRANSLATION,)):
            together: dict[str, list[Meaning]] = defaultdict(list)
            for kind in kinds:
                for loose, meanings in self._loose[kind].items():
                    together[loose] += meanings
            for loose, meanings in together.items():
                found.setdefault(loose, _the_only(meanings))
        return found

    def _spelling(self, text: str) -> Spelling:
        """Return the spelling of *text*; a genre is named in several packs, and again as parent."""
        spelling = self._spellings.get(text)
        if spelling is None:
            spelling = self._spellings[text] = Spelling.of(text)
        return spelling

    def _named(self, pack: Pack, entry: PackEntry) -> Reference:
        name = self._spelling(entry.name)
        known = self.by_key.get(name.fold)
        if known is None and not pack.is_authority:
            known = self._loosely(name)
            if known is not None:
                self._spelled(pack, known.reference, Kind.SYNONYM, name)
        if known is None:
            reference = Reference(name, [pack.name], disambiguation=entry.disambiguation)
            self.references[name.fold] = reference
            self._know(Meaning(reference, name.fold, Origin(Kind.NAME, pack.name)), name)
            return reference
        reference = known.reference
        if pack.name not in reference.packs:
            reference.packs.append(pack.name)
        if known.key == reference.key == name.fold and reference.name.text.islower():
            # MusicBrainz writes all names in small letters; people don't.
            reference.name = name
        return reference

    def _loosely(self, name: Spelling) -> Meaning | None:
        meanings = [
            meaning
            for kind in (Kind.NAME, Kind.SYNONYM)
            for meaning in self._loose[kind].get(loose_key(name.fold), ())
        ]
        return None if _BETWEEN_PARTS.search(name.fold) else _the_only(meanings)

    def _know(self, meaning: Meaning, spelling: Spelling) -> None:
        self.by_key[meaning.key] = meaning
        meaning.reference.sources[meaning.key] = meaning.origin.pack
        if loose := loose_key(spelling.fold):
            self._loose[meaning.origin.kind].setdefault(loose, []).append(meaning)

    def _spelled(self, pack: Pack, reference: Reference, kind: Kind, spelling: Spelling) -> None:
        known = self.by_key.get(spelling.fold)
        if known is None:
            self._know(Meaning(reference, spelling.fold, Origin(kind, pack.name)), spelling)
            is_synonym = kind is Kind.SYNONYM
            (reference.synonyms if is_synonym else reference.translations).append(spelling)
        elif known.reference is not reference:
            self.conflicts.append(
                f"{pack.name} has {spelling.text!r} mean {reference.name.text!r}, "
                f"but to {known.origin.pack} it is {known.reference.name.text!r}"
            )

    def _identify(self, pack: Pack, reference: Reference, entry: PackEntry) -> None:
        """Take the ids of *entry*; of two that differ neither can be told to be the one meant."""
        for whose, value in entry.external_ids:
            if (reference.key, whose) in self._clashing:
                continue
            if reference.external_ids.setdefault(whose, value) != value:
                self._clashing.add((reference.key, whose))
                del reference.external_ids[whose]
                self.conflicts.append(
                    f"{pack.name} has two genres named {reference.name.text!r} with ids of their "
                    "own: the name reaches one genre, which is linked to neither"
                )

    def _make_child(self, child: Reference, parent: Reference) -> None:
        if parent.key in child.parents or self._is_or_descends_from(parent, child):
            return
        child.parents.append(parent.key)
        parent.children.append(child.key)

    def _is_or_descends_from(self, reference: Reference, ancestor: Reference) -> bool:
        return reference is ancestor or any(
            self._is_or_descends_from(self.references[key], ancestor) for key in reference.parents
        )


def _the_only(meanings: Sequence[Meaning]) -> Meaning | None:
    """Return the meaning if all are of one genre."""
    references = {id(meaning.reference) for meaning in meanings}
    return meanings[0] if len(references) == 1 else None
