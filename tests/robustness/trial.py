"""What a suite of the torture is given, and where it writes down what it saw."""

import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from history import Fault, History, faults_of

RULES = ("lost", "doubled", "wrong")
"""Kinds of faults that no run may have."""


@dataclass
class Trial:
    """
    One run of one suite.

    Attributes:
        folder: The suite's own; nothing else writes there.
        seconds: How long it should go on. It ends what it has begun, and always does its least.
        seed: What its dice are thrown by: the same seed, the same trial, but for what the
            machine's own timing decides.
        counts: What was tried and how often, in the order in which the table shows it.
    """

    folder: Path
    seconds: float
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self._end_s = time.monotonic() + self.seconds

    def goes_on(self) -> bool:
        """Whether there is time for another round."""
        return time.monotonic() < self._end_s

    def count(self, what: str, number: int = 1) -> None:
        """Add to what was tried; counting nothing gives it its row."""
        self.counts[what] += number

    def figure(self, what: str, value: str) -> None:
        """Write down what was measured, with its unit."""
        self.figures[what] = value

    def fault(self, kind: str, sentence: str) -> None:
        """Write down what should not have been."""
        self.faults.append(Fault(kind, sentence))

    def judge(self, history: History) -> None:
        """Count what a history holds, and write down each rule that it breaks."""
        self.count("names asked for", len(history.asked))
        self.count("acknowledged", len(history.acknowledged))
        self.count("acknowledged creates", len({each.genre_id for each in history.creations}))
        self.count("changes watched", sum(map(len, history.watched.values())))
        self.faults += faults_of(history)

    def faults_of(self, kinds: Iterable[str]) -> int:
        return sum(fault.kind in set(kinds) for fault in self.faults)
