"""Finding separators in a text, but for those that brackets or quotation marks shield."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

_PAIRS = dict(zip("([{（［【「『“«„", ")]}）］】」』”»“", strict=True))
_MARK = re.compile("[" + re.escape("".join({*_PAIRS, *_PAIRS.values(), '"'})) + "]")
# A quotation mark opens at a word's beginning and closes at its end: 7" and 12" are sizes.
_OPENS = re.compile(r'(?:^|[\s;,/|(\[])"(?=\S)')
_CLOSES = re.compile(r'"(?=$|[\s;,/|)\]])')


@dataclass(frozen=True, slots=True)
class Shields:
    """The stretches of a text that lie within brackets or quotation marks: starts and ends."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> "Shields":
        """
        Return what is shielded in *text*. Each kind of bracket pairs by itself, and one without
        its partner shields nothing.
        """
        if _MARK.search(text) is None:
            return _NONE
        pairs: list[tuple[int, int]] = []
        opened: dict[str, list[int]] = {}
        for found in _MARK.finditer(text):
            mark, at = found.group(), found.start()
            if opened.get(mark) and _may_close(text, mark, at):
                pairs.append((opened[mark].pop(), at))
            elif mark in _PAIRS or (mark == '"' and _OPENS.match(text, max(at - 1, 0))):
                opened.setdefault(_PAIRS.get(mark, mark), []).append(at)
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(pairs):
            if ends and start < ends[-1]:
                ends[-1] = max(end, ends[-1])
            else:
                starts.append(start)
                ends.append(end)
        return cls(tuple(starts), tuple(ends))

    def shield(self, at: int) -> bool:
        """Whether the character at *at* is shielded."""
        index = bisect_right(self.starts, at) - 1
        return index >= 0 and at < self.ends[index]


_NONE = Shields((), ())


def _may_close(text: str, mark: str, at: int) -> bool:
    return mark != '"' or _CLOSES.match(text, at) is not None


@dataclass(frozen=True, slots=True)
class Segments:
    """A text cut at separators: each segment's start and end; `shielded`: one was not cut at."""

    text: str
    spans: tuple[tuple[int, int], ...]
    shielded: bool

    def __iter__(self) -> Iterator[str]:
        return (self.text[start:end] for start, end in self.spans)


def cut(text: str, separator: re.Pattern[str], *, segments_max: int) -> Segments:
    """
    Return *text* cut at each *separator* that nothing shields, into *segments_max* at most:
    the last holds what was not cut any more. In time linear in the text's length.
    """
    if separator.search(text) is None:
        return Segments(text, ((0, len(text)),), shielded=False)
    shields = Shields.of(text)
    spans: list[tuple[int, int]] = []
    start = 0
    shielded = False
    for found in separator.finditer(text):
        if shields.starts and shields.shield(found.start()):
            shielded = True
        else:
            spans.append((start, found.start()))
            start = found.end()
            if len(spans) + 1 == segments_max:
                break
    spans.append((start, len(text)))
    return Segments(text, tuple(spans), shielded)
