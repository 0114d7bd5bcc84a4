"""
Splitting: from the raw values of a tag to the spellings of genres.

Pure, and linear in the length of the input. Rules, by the names the contract gives them:

* R0: two or more delivered values, differing and fit to be names, are authoritative and
  not split further;
* R1: NUL separates values;
* R2: ID3 numbers are decoded: "(17)", "17", "(4)Eurodisco", "RX", "CR";
* R3: HTML entities are decoded before anything else is looked at;
* R4: ``;``, ``|``, a doubled slash or backslash, a line break and a spaced bullet
  always separate;
* R5: what the packs know, a protected compound too, is never split;
* R6: separators inside brackets and quotation marks never split;
* R7: " / " separates; a tight "/" only if every part is known;
* R8: a comma separates, but for "A, B, and C" and for "A, B & C" whose tail is unknown;
* R9: parts are trimmed, blanks dropped, repeats of one identity key dropped;
* R10: what nothing separates stays whole; "&", "+", "and" and "-" never separate.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from registry_server.vocabulary.id3 import decode
from registry_server.vocabulary.identity import Spelling, trimmed
from registry_server.vocabulary.knowledge import Kind, Knowledge
from registry_server.vocabulary.raw_text import (
    head_and_tail,
    on_one_line,
    says_something,
    without_entities,
)
from registry_server.vocabulary.refusals import NAME_LENGTH_MAX, InvalidName
from registry_server.vocabulary.separators import Segments, cut
from registry_server.vocabulary.tags import (
    ID3_NUMBER_UNNAMED,
    NO_WORD,
    PARTS_MAX,
    PLACEHOLDER,
    SEGMENTS_MAX,
    TEXT_LENGTH_MAX,
    TOO_MANY_PARTS,
    Dropped,
    Part,
    Rule,
    Split,
    Step,
    Undecided,
)


def split(values: Sequence[str], knowledge: Knowledge, *, is_id3: bool = False) -> Split:
    """
    Return the spellings that the raw *values* of one tag name.

    Never raises: a part that can be no name is among `dropped`.

    Args:
        knowledge: Tells which parts of a compound are genres.
        is_id3: Whether the values come from an ID3 tag, where numbers stand for names.
    """
    splitting = _Splitting(knowledge, is_id3=is_id3)
    splitting.read(values)
    return Split(
        tuple(splitting.parts.values()),
        tuple(splitting.dropped),
        tuple(splitting.review.values()),
        tuple(splitting.steps),
    )


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A value as it was delivered: its ID3 references decoded, the rest of it still whole."""

    text: str
    references: tuple[tuple[str, str | None], ...]
    rest: str
    rule: Rule


_HARD = re.compile(r"[;；|｜]|//+|\\\\+|\r|\n|(?:^|(?<=\s))[•·∙](?=\s|$)")
_COMMA = re.compile(r"[,，、،､](?![0-9])|(?<![0-9])[,，、،､]")
_SLASHES = "/\\\\／∕⁄⧸"
_SPACED_SLASH = re.compile(rf"(?<=\s)[{_SLASHES}](?=\s)")
_SLASH = re.compile(f"[{_SLASHES}]")
_LEADING_AND = re.compile(r"(?:&|\+|(?:and|et|und|y)\b)\s*", re.IGNORECASE)
_INNER_AND = re.compile(r"\s(?:&|\+|and|et|und|y|'?n'?)\s|(?<=\S)[&+](?=\S)", re.IGNORECASE)
CURATOR = "curator"
"""Who knows what no pack does, among the packs of a step."""
_RUN_MAX = 4
"""Most segments that one known genre spans, as "Folk, World, & Country" does."""


class _Splitting:
    """The splitting of one tag set."""

    def __init__(self, knowledge: Knowledge, *, is_id3: bool) -> None:
        self.parts: dict[str, Part] = {}
        self.dropped: list[Dropped] = []
        self.review: dict[str, Undecided] = {}
        self.steps: list[Step] = []
        self._knowledge = knowledge
        self._is_id3 = is_id3
        self._decoded_texts: set[str] = set()
        """What references were taken from already: the rest is text, whatever it looks like."""
        self._spellings: dict[str, Spelling | None] = {}
        self._looked_at = 0
        self._segments_left = SEGMENTS_MAX
        self._overflowed = False

    def read(self, values: Sequence[str]) -> None:
        delivered, beyond = self._delivered(values)
        authoritative = len({self._keys(each) for each in delivered} - {()}) > 1
        if authoritative:
            note = "several values are taken as they were delivered"
            self._step(Rule.DELIVERED, "", [each.text for each in delivered], note)
        for each in delivered:
            self._name_references(each)
            if not each.rest:
                continue
            if authoritative:
                self._part(each.rest, Rule.NUMBER if each.references else each.rule)
            else:
                self._cut_hard(each.rest, Rule.NUMBER if each.references else Rule.WHOLE)
        if beyond:
            self._too_many(beyond)
        if not self.parts and not self.dropped:
            self._step(Rule.TIDY, "".join(values), (), "nothing but blanks and separators")

    def _delivered(self, values: Sequence[str]) -> tuple[list[_Delivered], str]:
        """Return what was delivered apart, and the first text that is too much to look at."""
        delivered: list[_Delivered] = []
        beyond = "".join(values[PARTS_MAX : PARTS_MAX + 1])
        left = TEXT_LENGTH_MAX
        for value in values[:PARTS_MAX]:
            if len(value) > left:
                value, beyond = head_and_tail(value, left)
            left -= len(value)
            pieces = value.split("\0", PARTS_MAX)
            beyond = "".join(pieces[PARTS_MAX:]) or beyond
            texts = [text for text in map(trimmed, pieces[:PARTS_MAX]) if text]
            rule = Rule.NUL if len(pieces) > 1 else Rule.DELIVERED
            if len(texts) > 1:
                self._step(Rule.NUL, value, texts, "NUL separates values")
            delivered += [self._decoded(text, rule) for text in texts]
        beyond = beyond or "".join(each.text for each in delivered[PARTS_MAX : PARTS_MAX + 1])
        return delivered[:PARTS_MAX], beyond

    def _decoded(self, text: str, rule: Rule) -> _Delivered:
        plain = without_entities(text)
        if plain != text:
            self._step(Rule.ENTITY, text, [plain], "HTML entities are decoded")
        found = decode(plain, self._knowledge.numbers, is_id3=self._is_id3)
        self._decoded_texts.add(trimmed(found.rest))
        return _Delivered(plain, found.references[: PARTS_MAX + 1], trimmed(found.rest), rule)

    def _keys(self, delivered: _Delivered) -> tuple[str, ...]:
        """Return the keys of what would be a genre if nothing were split further."""
        texts = [name for _, name in delivered.references if name] + [delivered.rest]
        spellings = [spelling for spelling in map(self._spelling, texts) if spelling]
        return tuple(
            spelling.fold
            for spelling in spellings
            if says_something(spelling.text) and spelling.fold not in self._knowledge.placeholders
        )

    def _name_references(self, delivered: _Delivered) -> None:
        if not delivered.references:
            return
        names = [name for _, name in delivered.references if name]
        parts = [*names, *([delivered.rest] if delivered.rest else [])]
        self._step(Rule.NUMBER, delivered.text, parts, "ID3 numbers stand for names")
        for reference, name in delivered.references:
            if name is None:
                self._drop(reference, ID3_NUMBER_UNNAMED)
            else:
                self._part(name, Rule.NUMBER)

    def _cut_hard(self, text: str, rule: Rule) -> None:
        if self._looked_at == PARTS_MAX or not self._segments_left:
            self._too_many(text)
            return
        segments = cut(text, _HARD, segments_max=PARTS_MAX + 1)
        texts = self._texts(segments, may_be_joined=False)
        if len(texts) < 2:
            for each in texts:
                self._cut_commas(each, Rule.BRACKETS if segments.shielded else rule)
            return
        self._step(Rule.SEPARATOR, text, texts, "; | // \\\\ and line breaks always separate")
        for each in texts:
            again = self._decoded(each, Rule.SEPARATOR)
            self._name_references(again)
            if again.rest:
                self._cut_commas(again.rest, Rule.NUMBER if again.references else Rule.SEPARATOR)

    def _cut_commas(self, text: str, rule: Rule) -> None:
        segments = cut(text, _COMMA, segments_max=PARTS_MAX + 1)
        if self._is_kept(text, segments):
            return
        texts = self._texts(segments)
        if len(texts) < 2:
            for each in texts:
                self._cut_spaced_slashes(each, Rule.BRACKETS if segments.shielded else rule)
        elif self._is_enumeration(texts):
            note = "an enumeration ending in an unknown text may be one genre or several"
            self._keep_undecided(text, Rule.COMMA, note)
        else:
            self._step(Rule.COMMA, text, texts, "a comma separates")
            for each in texts:
                self._cut_spaced_slashes(each, Rule.COMMA)

    def _cut_spaced_slashes(self, text: str, rule: Rule) -> None:
        segments = cut(text, _SPACED_SLASH, segments_max=PARTS_MAX + 1)
        if self._is_kept(text, segments):
            return
        texts = self._texts(segments)
        if len(texts) > 1:
            self._step(Rule.SLASH, text, texts, "a slash between spaces separates")
            rule = Rule.SLASH
        for each in texts:
            self._cut_slashes(each, Rule.BRACKETS if segments.shielded else rule)

    def _cut_slashes(self, text: str, rule: Rule) -> None:
        segments = cut(text, _SLASH, segments_max=PARTS_MAX + 1)
        if self._is_kept(text, segments):
            return
        texts = self._texts(segments)
        if len(texts) < 2:
            for each in texts:
                self._part(each, Rule.BRACKETS if segments.shielded else rule)
            return
        known = [self._known_packs(each) for each in texts]
        if all(known):
            packs = [pack for packs in known for pack in packs]
            self._step(Rule.SLASH, text, texts, "every part of the slash is known", packs)
            for each in texts:
                self._part(each, Rule.SLASH)
        elif any(known):
            unknown = ", ".join(each for each, packs in zip(texts, known, strict=True) if not packs)
            self._keep_undecided(text, Rule.SLASH, f"left whole: {unknown} is not known")
        else:
            self._step(Rule.SLASH, text, [text], "left whole: no part of the slash is known")
            self._part(text, Rule.SLASH)

    def _is_kept(self, text: str, segments: Segments) -> bool:
        """
        Take *text* as one part if it has separators and the packs know it as a whole; loosely
        only if something stands on either side of each.
        """
        if len(segments.spans) < 2 or (spelling := self._spelling(text)) is None:
            return False
        if self._knowledge.curated.knows(spelling.fold):
            self._step(Rule.KNOWN, text, [text], "known as a whole", [CURATOR])
            self._part(text, Rule.KNOWN)
            return True
        known = self._knowledge.meaning(spelling)
        if known is None or (known.key != spelling.fold and not all(map(says_something, segments))):
            return False
        self._step(Rule.KNOWN, text, [text], "known as a whole", [known.origin.pack])
        self._part(text, Rule.KNOWN)
        return True

    def _keep_undecided(self, text: str, rule: Rule, note: str) -> None:
        self._step(rule, text, [text], note)
        spelling = self._part(text, rule)
        if spelling is not None:
            self.review.setdefault(spelling.fold, Undecided(spelling, rule))

    def _texts(self, segments: Segments, *, may_be_joined: bool = True) -> list[str]:
        """Return the segments that are not blank, with those joined that are one known genre."""
        spans = segments.spans
        if len(spans) > 1:
            room = min(PARTS_MAX, self._segments_left)
            if len(spans) > room:
                self._too_many(segments.text[spans[room][0] :])
                spans = spans[:room]
            self._segments_left -= len(spans)
        texts = []
        at = 0
        while at < len(spans):
            text = trimmed(segments.text[slice(*spans[at])])
            end = at + 1
            if text and may_be_joined:
                end = self._end_of_known(segments.text, spans, at)
                text = trimmed(segments.text[spans[at][0] : spans[end - 1][1]])
            if text:
                texts.append(text)
            at = end
        return texts

    def _end_of_known(self, text: str, spans: Sequence[tuple[int, int]], at: int) -> int:
        """Return where the longest run of segments from *at* ends that is known as one."""
        if at + 1 < len(spans) and self._opens_compound(text[slice(*spans[at])]):
            for end in range(min(at + _RUN_MAX, len(spans)), at + 1, -1):
                start, stop = spans[at][0], spans[end - 1][1]
                spelling = (
                    self._spelling(text[start:stop]) if stop - start <= NAME_LENGTH_MAX else None
                )
                if spelling and self._knowledge.knows_whole(spelling.fold):
                    return end
        return at + 1

    def _opens_compound(self, text: str) -> bool:
        spelling = self._spelling(text)
        return spelling is not None and self._knowledge.opens(spelling.fold)

    def _is_enumeration(self, texts: list[str]) -> bool:
        """Whether *texts* end as "B, and C" or "B & C" do, with a tail that is not known."""
        tail = texts[-1]
        if _LEADING_AND.match(tail):
            return True
        return _INNER_AND.search(tail) is not None and not self._is_known(tail)

    def _is_known(self, text: str) -> bool:
        spelling = self._spelling(text)
        return spelling is not None and (
            self._knowledge.curated.knows(spelling.fold)
            or self._knowledge.meaning(spelling) is not None
        )

    def _spelling(self, text: str) -> Spelling | None:
        """Return the spelling that *text* is, asked for on several steps; None if it is none."""
        if text not in self._spellings:
            try:
                self._spellings[text] = self._knowledge.spelling(on_one_line(text))
            except InvalidName:
                self._spellings[text] = None
        return self._spellings[text]

    def _known_packs(self, text: str) -> list[str]:
        """Return who knows *text*: packs, or what tells that it is dropped or decoded."""
        if not says_something(text):
            return ["punctuation"]
        spelling = self._spelling(text)
        if spelling is None:
            return []
        if spelling.fold in self._knowledge.placeholders:
            return ["placeholders"]
        if decode(text, self._knowledge.numbers, is_id3=self._is_id3).references:
            return ["id3v1"]
        if self._knowledge.curated.knows(spelling.fold):
            return [CURATOR]
        meaning = self._knowledge.meaning(spelling)
        if meaning is None:
            return []
        # "AltRock" for the abbreviation "Alt. Rock" would be a guess upon a guess.
        is_guess = meaning.key != spelling.fold and meaning.origin.kind is Kind.SYNONYM
        return [] if is_guess else [meaning.origin.pack]

    def _part(self, text: str, rule: Rule) -> Spelling | None:
        """Take *text* as a part, or drop it with the reason why it names no genre."""
        if self._looked_at == PARTS_MAX:
            self._too_many(text)
            return None
        self._looked_at += 1
        if text not in self._decoded_texts:
            again = self._decoded(text, rule)
            self._name_references(again)
            rule = Rule.NUMBER if again.references else rule
            text = again.rest
        if not text:
            return None
        try:
            spelling = self._knowledge.spelling(on_one_line(text))
        except InvalidName as refusal:
            self._drop(text, refusal.reason)
            return None
        if names := self._knowledge.curated.names(spelling.fold):
            self._expand(spelling, names)
            return None
        if not says_something(spelling.text):
            self._drop(text, NO_WORD)
            return None
        if spelling.fold in self._knowledge.placeholders:
            self._drop(text, PLACEHOLDER)
            return None
        self.parts.setdefault(spelling.fold, Part(spelling, rule))
        return spelling

    def _expand(self, compound: Spelling, names: Sequence[str]) -> None:
        """Take what a curator said that *compound* means."""
        self._step(Rule.WHOLE, compound.text, names, "a curator expanded it", [CURATOR])
        for name in names:
            spelling = self._knowledge.spelling(name)
            self.parts.setdefault(spelling.fold, Part(spelling, Rule.WHOLE))

    def _too_many(self, text: str) -> None:
        if not self._overflowed:
            self._overflowed = True
            self._drop(trimmed(text), TOO_MANY_PARTS)

    def _drop(self, text: str, reason: str) -> None:
        self.dropped.append(Dropped(text[:NAME_LENGTH_MAX], reason))
        self._step(Rule.TIDY, text, (), f"dropped: {reason}")

    def _step(
        self, rule: Rule, text: str, parts: Sequence[str], note: str, packs: Sequence[str] = ()
    ) -> None:
        self.steps.append(Step(rule, text, tuple(parts), note, tuple(dict.fromkeys(packs))))
