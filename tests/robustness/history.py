"""
What many clients saw of one registry, and whether one registry can have shown it.

Every client writes down what it asked and what it was answered, by one clock; the rules are
looked up afterwards, over all of it, whoever was killed or cut off meanwhile.
"""

import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

CREATING = frozenset({"GetOrCreate", "BatchGetOrCreate", "ResolveTags"})
"""The RPCs that make a genre where there is none."""
NOT_FOUND = "NOT_FOUND"
"""The one error that says something of the registry: there is no such genre."""


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One name that one call asked for, and what came back.

    Attributes:
        call: Which call; the names of a batch share one.
        key: What the name's spellings have in common: those of one key are one genre.
        start_s: When the call was made, by a clock that all clients of a history share.
        end_s: When it was answered, or given up.
        genre_id: The genre that was answered; 0 if none was.
        revision: That genre's.
        error: Why none was answered: a status code's name, and a reason if it has one.
    """

    rpc: str
    call: int
    name: str
    key: Hashable
    request_id: str
    start_s: float
    end_s: float
    genre_id: int = 0
    created: bool = False
    revision: int = 0
    error: str = ""

    @property
    def may_create(self) -> bool:
        return self.rpc in CREATING

    @property
    def request(self) -> Hashable:
        """What a retry has in common with the first try: an empty request id matches none."""
        return self.request_id or self.call


@dataclass(frozen=True, slots=True)
class Watched:
    """One change that a watcher was shown."""

    revision: int
    kind: str
    genre_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """One genre that the registry holds at the end, by its own listing."""

    genre_id: int
    key: Hashable
    revision: int


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A rule that was broken, in a sentence; of *kind* "lost", "doubled", "wrong" (an id, or an
    order), or whatever else a suite tells apart.
    """

    kind: str
    sentence: str


@dataclass
class History:
    """
    All that was asked and answered.

    Attributes:
        watched: Each watcher's changes, as it saw them, across its reconnects, from revision
            `watched_from` on.
        kept: What the registry holds once all is over; None if nobody looked.
        known: Keys whose genres were there before.
    """

    asked: list[Asked] = field(default_factory=list)
    watched: dict[str, list[Watched]] = field(default_factory=dict)
    watched_from: int = 0
    kept: list[Kept] | None = None
    known: set[Hashable] = field(default_factory=set)

    @property
    def acknowledged(self) -> list[Asked]:
        """What was answered with a genre."""
        return [each for each in self.asked if each.genre_id]

    @property
    def creations(self) -> list[Asked]:
        """What was told that it created."""
        return [each for each in self.asked if each.created]


def faults_of(history: History) -> list[Fault]:
    """Return each rule that *history* breaks; none if one registry can have shown it."""
    by_key: dict[Hashable, list[Asked]] = defaultdict(list)
    for each in history.asked:
        by_key[each.key].append(each)
    return [
        *(fault for key, asked in by_key.items() for fault in _of_key(key, asked, history)),
        *_ids_are_of_one_key(history.acknowledged),
        *_revisions_rise(history),
        *(
            fault
            for watcher, changes in history.watched.items()
            for fault in _of_watcher(watcher, changes, history)
        ),
        *_all_is_kept(history),
    ]


def _of_key(key: Hashable, asked: Sequence[Asked], history: History) -> Iterator[Fault]:
    """The rules of one genre: one id, one creator, seen by all who ask later."""
    answered = [each for each in asked if each.genre_id]
    ids = {each.genre_id for each in answered}
    if len(ids) > 1:
        yield Fault("doubled", f"{key} is {len(ids)} genres: {sorted(ids)}")
    creations = [each for each in answered if each.created]
    creators = {each.request for each in creations}
    if len(creators) > 1:
        yield Fault("doubled", f"{key} was created for {len(creators)} requests")
    if len({each.call for each in creations}) < len(creations):
        yield Fault("doubled", f"{key} was created twice within one batch")
    for each in answered:
        retries = each.may_create and not each.created and each.request in creators
        if retries and all(each.call != other.call for other in creations):
            yield Fault("wrong", f"{key}: a retry of what created it was told that it did not")
    if not answered:
        return
    seen_s = min(each.end_s for each in answered)
    for each in asked:
        if each.error == NOT_FOUND and each.start_s > seen_s:
            yield Fault("lost", f"{key} was answered, and {each.rpc} {each.start_s - seen_s:.3f} s "
                        "later did not find it")  # fmt: skip
    tried = any(each.may_create and not each.genre_id and each.start_s < seen_s for each in asked)
    if not creations and not tried and key not in history.known:
        yield Fault("lost", f"{key} is there, and nobody was told of having created it")


def _ids_are_of_one_key(answered: Sequence[Asked]) -> Iterator[Fault]:
    keys: dict[int, set[Hashable]] = defaultdict(set)
    for each in answered:
        keys[each.genre_id].add(each.key)
    for genre_id, shared in keys.items():
        if len(shared) > 1:
            yield Fault("wrong", f"id {genre_id} was answered for {sorted(map(str, shared))}")


def _revisions_rise(history: History) -> Iterator[Fault]:
    """
    Each creation has a revision of its own, above those of all that ended before it began: with
    the first try of its request, which may have created what a later one was told of.
    """
    creations = history.creations
    began_s: dict[Hashable, float] = {}
    for each in history.asked:
        at = (each.key, each.request)
        began_s[at] = min(each.start_s, began_s.get(at, each.start_s))
    owner: dict[int, Asked] = {}
    for each in creations:
        other = owner.setdefault(each.revision, each)
        if other.genre_id != each.genre_id:
            yield Fault("wrong", f"{other.key} and {each.key} share revision {each.revision}")
    first = {each.genre_id: each for each in sorted(creations, key=lambda each: -each.end_s)}
    ended: list[tuple[float, int]] = []
    highest = 0
    for each in sorted(first.values(), key=lambda each: began_s[each.key, each.request]):
        while ended and ended[0][0] < began_s[each.key, each.request]:
            highest = max(highest, heapq.heappop(ended)[1])
        if each.revision < highest:
            yield Fault(
                "wrong", f"{each.key} came after revision {highest}, and has {each.revision}"
            )
        heapq.heappush(ended, (each.end_s, each.revision))


def _of_watcher(watcher: str, changes: Sequence[Watched], history: History) -> Iterator[Fault]:
    """Each change once, in order, and none left out."""
    before = history.watched_from
    for change in changes:
        if change.revision != before + 1:
            what = "again, or out of order" if change.revision <= before else "with a gap"
            yield Fault("wrong", f"{watcher} saw revision {change.revision} after {before}: {what}")
        before = change.revision
    seen = {change.revision: change for change in changes}
    for each in history.creations:
        if history.watched_from < each.revision <= before:
            change = seen.get(each.revision)
            if change is None or change.genre_id != each.genre_id:
                yield Fault("lost", f"{watcher} did not see {each.key} created in {each.revision}")


def _all_is_kept(history: History) -> Iterator[Fault]:
    """What was acknowledged is there at the end, as it was, and nothing is there twice."""
    if history.kept is None:
        return
    kept = {each.genre_id: each for each in history.kept}
    if len(kept) < len(history.kept):
        yield Fault("doubled", "an id is listed twice")
    by_key: dict[Hashable, int] = {}
    for one in history.kept:
        if by_key.setdefault(one.key, one.genre_id) != one.genre_id:
            yield Fault("doubled", f"{one.key} is kept as {by_key[one.key]} and {one.genre_id}")
    for genre_id, key in {each.genre_id: each.key for each in history.acknowledged}.items():
        found = kept.get(genre_id)
        if found is None:
            yield Fault("lost", f"{key} was acknowledged as {genre_id}, and is gone")
        elif found.key != key:
            yield Fault("wrong", f"{genre_id} was acknowledged for {key}, and is {found.key} now")
