"""Resolving raw tag values: from what a file holds to genres, remembered by value."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from registry_server.catalogue import Catalogue
from registry_server.hot_cache import Known, Recent
from registry_server.outcomes import ExplainedStep, Resolution, ResolvedPart, ResolvedTags
from registry_server.requests import Telling, check_batch, check_request_id
from registry_server.storage import Store
from registry_server.vocabulary.curation_refusals import SpellingBlocked
from registry_server.vocabulary.genre import Claim, Genre, Sighting
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Kind, Knowledge, Meaning
from registry_server.vocabulary.raw_text import on_one_line, without_entities
from registry_server.vocabulary.splitting import split
from registry_server.vocabulary.tags import PARTS_MAX, Dropped, Part, Split, Undecided

HOT_TAG_SETS_MAX = 4096
"""Tag sets in each of two generations of what is remembered: some 1 KiB each."""
HOT_CHARACTERS_MAX = 400
"""Most characters of a tag set that is remembered."""
RAW_CHARACTERS_MAX = 1000
"""Most characters of a raw value that a compound is looked for in."""
CHARACTERS_A_TURN = 4000
"""Characters that are split before other callers have their turn: some 2 ms, more on a Pi."""


class TagSet(NamedTuple):
    """The raw values of one file's tag; `is_id3` where numbers stand for names."""

    values: tuple[str, ...]
    is_id3: bool

    @property
    def characters(self) -> int:
        return sum(map(len, self.values))


@dataclass(slots=True, eq=False)
class _Reading:
    """
    A tag set as it was split, what the packs say of its parts, and, once every part was
    reached, what it came to; `created_by` are the logical requests that created those genres.
    """

    knowledge: Knowledge
    split: Split
    meanings: tuple[Meaning | None, ...]
    resolved: ResolvedTags | None = None
    created_by: frozenset[str] = frozenset()
    is_on_review_list: bool = False

    def answer(self, request_id: str) -> ResolvedTags | None:
        """Return what it came to, unless this logical request is to be told `created`."""
        return None if request_id in self.created_by else self.resolved


class TagResolver:
    """Splits raw values, resolves their parts, and keeps what was undecided for review."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue
        self._readings = Recent[TagSet, _Reading](HOT_TAG_SETS_MAX)

    async def resolve(
        self,
        tag_sets: Sequence[TagSet],
        request_id: str,
        *,
        deadline_s: float,
        validate_only: bool = False,
        who: str = "",
    ) -> list[ResolvedTags]:
        """
        Return the genres that the raw values of each tag set name, created where
        nothing reached them, all in one transaction; with *validate_only* as they would be.
        *who* is the caller's name, for the journal.

        Raises:
            BatchTooLarge: more than 1000 tag sets.
            RequestIdTooLong: more than 64 characters.
        """
        check_batch(tag_sets, field="tag_sets")
        check_request_id(request_id)
        readings = await self._read_all(tag_sets)
        answers = [reading.answer(request_id) for reading in readings]
        look_ups = self._catalogue.look_ups
        unknown = answers.count(None)
        look_ups.tag_set_misses += unknown
        look_ups.tag_set_hits += len(answers) - unknown
        if not unknown and not any(reading.split.review for reading in readings):
            return cast("list[ResolvedTags]", answers)
        spellings = [
            part.spelling
            for answer, reading in zip(answers, readings, strict=True)
            if answer is None
            for part in reading.split.parts
        ]
        if validate_only:
            reached = await self._as_if(spellings, request_id, deadline_s)
        else:
            fresh, seen_before = await self._sightings(tag_sets, readings)
            reached = await self._catalogue.reach(
                spellings, request_id, deadline_s=deadline_s, who=who, sightings=fresh
            )
            for sighting in seen_before:
                self._catalogue.count(sighting)
            for reading in readings:
                reading.is_on_review_list = True
        telling = Telling()
        return [
            # Not what another call has found meanwhile: this one may have created it.
            answer or self._resolved(reading, reached, telling)
            for answer, reading in zip(answers, readings, strict=True)
        ]

    async def explain(self, tag_set: TagSet, *, deadline_s: float) -> list[ExplainedStep]:
        """Return every step from raw values to genres; creates nothing."""
        knowledge = self._catalogue.knowledge
        found = split(tag_set.values, knowledge, is_id3=tag_set.is_id3)
        reached = await self._as_if([part.spelling for part in found.parts], "", deadline_s)
        steps = [ExplainedStep(split=step) for step in found.steps]
        for part in found.parts:
            meaning = knowledge.meaning(part.spelling)
            resolution = reached[part.spelling.fold]
            resolved = self._resolved_part(part, meaning, resolution)
            key = resolution.key or resolved.key
            steps.append(ExplainedStep(part=resolved, key=key, note=_why(resolved)))
        return steps

    async def _read_all(self, tag_sets: Sequence[TagSet]) -> list[_Reading]:
        readings = []
        characters = 0
        for tag_set in tag_sets:
            reading = self._readings.get(tag_set)
            if reading is None or reading.knowledge is not self._catalogue.knowledge:
                reading = self._read(tag_set)
                characters += tag_set.characters
                if characters > CHARACTERS_A_TURN:
                    characters = 0
                    await asyncio.sleep(0)
            readings.append(reading)
        return readings

    def _read(self, tag_set: TagSet) -> _Reading:
        knowledge = self._catalogue.knowledge
        found = split(tag_set.values, knowledge, is_id3=tag_set.is_id3)
        meanings = tuple([knowledge.meaning(part.spelling) for part in found.parts])
        # Steps are for people who ask; nobody asks a cache.
        reading = _Reading(knowledge, replace(found, steps=()), meanings)
        if len(tag_set.values) + tag_set.characters <= HOT_CHARACTERS_MAX:
            self._readings.put(tag_set, reading)
        return reading

    async def _sightings(
        self, tag_sets: Sequence[TagSet], readings: Sequence[_Reading]
    ) -> tuple[list[Sighting], list[Sighting]]:
        """Return the undecided compounds that are to be noted now, and those noted before."""
        seen: dict[str, Sighting] = {}
        unsure: set[str] = set()
        for tag_set, reading in zip(tag_sets, readings, strict=True):
            for undecided in reading.split.review:
                key = undecided.spelling.fold
                before = seen.get(key)
                if before is None:
                    raw_value = _raw(tag_set, undecided)
                    before = Sighting(undecided.spelling, undecided.rule.value, raw_value, 0)
                seen[key] = replace(before, times=before.times + 1)
                if not reading.is_on_review_list:
                    unsure.add(key)
        if unsure:
            with self._catalogue.watching_storage():
                unsure -= await self._store.reviewed(unsure)
        return (
            [sighting for key, sighting in seen.items() if key in unsure],
            [sighting for key, sighting in seen.items() if key not in unsure],
        )

    async def _as_if(
        self, spellings: Sequence[Spelling], request_id: str, deadline_s: float
    ) -> dict[str, Resolution]:
        """Return what *spellings* reach or would, by fold key, and create nothing."""
        reached, missing = await self._catalogue.find(spellings, request_id, deadline_s=deadline_s)
        would_be: dict[str, Known] = {}
        for key, claim in missing.items():
            known = would_be.setdefault(claim.keys[-1], Known(_genre_of(claim)))
            reached[key] = Resolution(known, created=True)
        return reached

    def _resolved(
        self, reading: _Reading, reached: Mapping[str, Resolution], telling: Telling
    ) -> ResolvedTags:
        """Return what *reading* comes to, each genre once; remember it if it will not change."""
        parts: dict[object, ResolvedPart] = {}
        blocked: list[Dropped] = []
        for part, meaning in zip(reading.split.parts, reading.meanings, strict=True):
            resolution = telling.once(reached[part.spelling.fold])
            if not resolution.known.genre.is_active:
                blocked.append(Dropped(part.spelling.text, SpellingBlocked.reason))
                continue
            genre_or_known = resolution.known.genre.id or resolution.known
            parts.setdefault(genre_or_known, self._resolved_part(part, meaning, resolution))
        dropped = (*reading.split.dropped, *blocked)
        resolved = ResolvedTags(tuple(parts.values()), dropped, reading.split.review)
        is_settled = reading.knowledge is self._catalogue.knowledge and all(
            not part.resolution.created and self._catalogue.keeps(part.resolution.known)
            for part in resolved.parts
        )
        if is_settled:
            reading.resolved = resolved
            reading.created_by = frozenset(
                known.genre.request_id for known in resolved.knowns if known.genre.request_id
            )
        return resolved

    def _resolved_part(
        self, part: Part, meaning: Meaning | None, resolution: Resolution
    ) -> ResolvedPart:
        """
        Return *part*, resolved, with one key for all spellings of its genre: that of the name
        it has or, as far as is known, would come to have.
        """
        genre = resolution.known.genre
        if genre.id:
            key = self._catalogue.knowledge.spelling(genre.name).fold
        else:
            key = meaning.reference.key if meaning else part.spelling.fold
        return ResolvedPart(resolution, part.spelling, part.rule, meaning, key)


def _genre_of(claim: Claim) -> Genre:
    """Return the genre that *claim* would make."""
    external_ids = claim.reference.external_ids if claim.reference else {}
    return Genre(0, claim.name.text, 0, 0, 0, "", external_ids=tuple(sorted(external_ids.items())))


def _raw(tag_set: TagSet, undecided: Undecided) -> str:
    """Return the raw value that holds a compound, as well as can be told from its beginning."""
    for value in tag_set.values[:PARTS_MAX]:
        beginning = without_entities(value[:RAW_CHARACTERS_MAX])
        if undecided.spelling.text in on_one_line(beginning):
            return value
    return next((value for value in tag_set.values[:PARTS_MAX] if value.strip()), "")


def _why(part: ResolvedPart) -> str:
    """Say in words why *part* reaches its genre."""
    genre = part.resolution.known.genre
    if not genre.is_active:
        return "deleted by a curator" if genre.id else "blocked by a curator"
    known = "known by this key" if part.resolution.key else "would be created"
    if part.meaning is None:
        return f"{known}; no pack knows it"
    reference, (kind, pack) = part.meaning.reference, part.meaning.origin
    about = f" ({reference.disambiguation})" if reference.disambiguation else ""
    loosely = "" if part.meaning.key == part.spelling.fold else "loosely "
    article = "the" if kind is Kind.NAME else "a"
    return f"{known}; {loosely}{article} {kind.value} of {reference.name.text!r}{about} to {pack}"
