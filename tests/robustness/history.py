"""
What many clients saw of one registry, and whether one registry can have shown it.

Every client writes down what it asked and what it was answered, by one clock; the rules are
looked up afterwards, over all of it, whoever was killed or cut off meanwhile. A call that was
never answered may have been carried out at any time after it was made, or never.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

CREATING = frozenset({"GetOrCreate", "BatchGetOrCreate", "ResolveTags"})
"""The RPCs that make a genre where there is none."""
NOT_FOUND = "NOT_FOUND"
"""The one error that says something of the registry: there is no such genre."""
REFUSED = frozenset(
    {
        *("INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "PERMISSION_DENIED"),
        *("OVERLOADED", "SHUTTING_DOWN", "STORAGE_FULL", "DEADLINE_PASSED"),
    }
)
"""Status codes and reasons that promise that nothing was written."""
CREATED = "CREATED"
"""What the name of a change ends with that made a genre."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One name that one call asked for, and what came back.

    Attributes:
        call: Which call; the names of a batch share one, and are noted in their order.
        key: What the name's spellings have in common: those of one key are one genre.
        start_s: When the call was made, by a clock that all clients of a history share.
        end_s: When it was answered, or given up.
        genre_id: The genre that was answered; 0 if none was.
        revision: That genre's; 0 if it was answered from memory, which may be a little old.
        error: Why none was answered: a status code's name, and after a space a reason, if it
            has one and the call was one attempt, rather than several of which it is the last.
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
    def may_have_created(self) -> bool:
        """Whether it was not answered, and may have been carried out for all that."""
        return self.may_create and not self.genre_id and REFUSED.isdisjoint(self.error.split())

    @property
    def is_not_found(self) -> bool:
        return self.error.startswith(NOT_FOUND)

    @property
    def request(self) -> Hashable:
        """What a retry has in common with the first try: an empty request id matches none."""
        return self.request_id or self.call


@dataclass(frozen=True, slots=True)
class Watched:
    """One change that a watcher was shown; *genre_id* is 0 where no genre was concerned."""

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
    All that was asked and answered, while nobody took genres or their spellings away.

    Attributes:
        watched: Each watcher's changes, as it saw them, across its reconnects, from revision
            `watched_from` on.
        kept: What the registry holds once all is over; None if nobody looked.
        known: Keys whose genres were there before, or were made by others than those asked.
        revision: Where the registry stands once all is over and every watcher had time to
            get there; None if nobody waited.
        key_of: Returns the key of a name as it was watched; None if that can't be told.
    """

    asked: list[Asked] = field(default_factory=list)
    watched: dict[str, list[Watched]] = field(default_factory=dict)
    watched_from: int = 0
    kept: list[Kept] | None = None
    known: set[Hashable] = field(default_factory=set)
    revision: int | None = None
    key_of: Callable[[str], Hashable] | None = None

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
        *_revisions_are_of_one_genre(history.acknowledged),
        *_revisions_rise(by_key, history),
        *(
            fault
            for watcher, changes in history.watched.items()
            for fault in _of_watcher(watcher, changes, history)
        ),
        *_watchers_agree(history),
        *_all_is_kept(by_key, history),
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
    if creations and key in history.known:
        yield Fault("doubled", f"{key} was there before, and was created")
    yield from _told_once(key, answered, creators)
    seen_s = min((each.end_s for each in answered), default=float("inf"))
    begun_s = _begun_s(asked)
    for creator in creators:
        if begun_s[creator] > seen_s:
            yield Fault("wrong", f"{key} was seen before the call began that created it")
    for each in asked:
        if each.is_not_found and (each.start_s > seen_s or key in history.known):
            yield Fault("lost", f"{key} was there, and {each.rpc} did not find it")
    if answered and not creations and key not in history.known:
        possible = [each for each in _possible_creators(asked) if each.start_s < seen_s]
        if not possible:
            yield Fault("lost", f"{key} is there, and nobody was told of having created it")


def _told_once(
    key: Hashable, answered: Sequence[Asked], creators: set[Hashable]
) -> Iterator[Fault]:
    """Every call of the request that created a genre is told so: once, at its first mention."""
    mentions: dict[int, list[Asked]] = defaultdict(list)
    for each in answered:
        if each.may_create:
            mentions[each.call].append(each)
    for said in mentions.values():
        told = [each.created for each in said]
        if sum(told) > 1:
            yield Fault("doubled", f"{key} was created twice within one batch")
        elif any(told) and not told[0]:
            yield Fault("wrong", f"{key}: not the first of a batch was told of having created it")
        elif not any(told) and said[0].request in creators:
            yield Fault("wrong", f"{key}: a retry of what created it was told that it did not")


def _possible_creators(asked: Sequence[Asked]) -> list[Asked]:
    """
    Return the calls that may have created a genre without being told: never answered, nor was
    any retry of theirs, which would have been told.
    """
    told = {each.request for each in asked if each.may_create and each.genre_id}
    return [each for each in asked if each.may_have_created and each.request not in told]


def _begun_s(asked: Iterable[Asked]) -> dict[Hashable, float]:
    """Return when each request was made for the first time: what a retry is told may be old."""
    begun_s: dict[Hashable, float] = {}
    for each in asked:
        begun_s[each.request] = min(begun_s.get(each.request, each.start_s), each.start_s)
    return begun_s


def _ids_are_of_one_key(answered: Sequence[Asked]) -> Iterator[Fault]:
    keys: dict[int, set[Hashable]] = defaultdict(set)
    for each in answered:
        keys[each.genre_id].add(each.key)
    for genre_id, shared in keys.items():
        if len(shared) > 1:
            yield Fault("wrong", f"id {genre_id} was answered for {sorted(map(str, shared))}")


def _revisions_are_of_one_genre(answered: Sequence[Asked]) -> Iterator[Fault]:
    """Each change has a revision of its own."""
    owners: dict[int, Asked] = {}
    for each in answered:
        owner = owners.setdefault(each.revision, each)
        if each.revision and owner.genre_id != each.genre_id:
            yield Fault("wrong", f"{owner.key} and {each.key} share revision {each.revision}")


def _revisions_rise(
    by_key: Mapping[Hashable, Sequence[Asked]], history: History
) -> Iterator[Fault]:
    """
    What is created has a revision above all that were answered before it was first asked for,
    and a genre's own never falls.
    """
    begun = []
    for asked in by_key.values():
        created = [each for each in asked if each.created and each.revision]
        if created:
            begun_s = _begun_s(asked)
            first = min(created, key=lambda each: each.end_s)
            begun.append((begun_s[first.request], first))
    for each, highest in _with_highest_before(begun, history.acknowledged):
        if each.revision <= highest:
            yield Fault(
                "wrong", f"{each.key} came after revision {highest}, and has {each.revision}"
            )
    for asked in by_key.values():
        answered = [each for each in asked if each.genre_id and each.revision]
        for each, highest in _with_highest_before(
            [(each.start_s, each) for each in answered], answered
        ):
            if each.revision < highest:
                yield Fault(
                    "wrong", f"{each.key} was of revision {highest}, and later of {each.revision}"
                )


def _with_highest_before(
    begun: Iterable[tuple[float, Item]], answered: Iterable[Asked]
) -> Iterator[tuple[Item, int]]:
    """Give each of *begun*, and the highest revision that was answered before it began."""
    ended = sorted((each.end_s, each.revision) for each in answered)
    at = highest = 0
    for start_s, item in sorted(begun, key=lambda each: each[0]):
        while at < len(ended) and ended[at][0] < start_s:
            highest = max(highest, ended[at][1])
            at += 1
        yield item, highest


def _of_watcher(watcher: str, changes: Sequence[Watched], history: History) -> Iterator[Fault]:
    """Each change once, in order, and none left out."""
    before = history.watched_from
    made: set[int] = set()
    for change in changes:
        if change.revision != before + 1:
            what = "again, or out of order" if change.revision <= before else "with a gap"
            yield Fault("wrong", f"{watcher} saw revision {change.revision} after {before}: {what}")
        before = change.revision
        if change.kind.endswith(CREATED):
            if change.genre_id in made:
                yield Fault("doubled", f"{watcher} saw {change.genre_id} created twice")
            made.add(change.genre_id)
        elif change.genre_id and not history.watched_from and change.genre_id not in made:
            yield Fault("wrong", f"{watcher} saw {change.genre_id} change before it was created")
    seen = {change.revision: change.genre_id for change in changes}
    answered = {(each.revision, each.genre_id): each for each in history.acknowledged}
    for (revision, genre_id), each in answered.items():
        if history.watched_from < revision <= before and seen.get(revision) != genre_id:
            yield Fault("lost", f"{watcher} did not see revision {revision}, of {each.key}")
    key_of = history.key_of
    keys = {each.genre_id: each.key for each in history.acknowledged}
    for change in changes:
        key = keys.get(change.genre_id)
        if key_of is not None and key is not None and key_of(change.name) != key:
            yield Fault(
                "wrong", f"{watcher} saw {change.genre_id} as {change.name}, and it is {key}"
            )
    if history.revision is not None and before != history.revision:
        yield Fault("lost", f"{watcher} got to revision {before}, the registry to "
                    f"{history.revision}")  # fmt: skip
    if history.kept is not None:
        for genre_id in made - {each.genre_id for each in history.kept}:
            yield Fault("lost", f"{watcher} saw {genre_id} created, and it is gone")


def _watchers_agree(history: History) -> Iterator[Fault]:
    """A revision is the same change to whoever sees it, before a crash or after."""
    first: dict[int, tuple[str, Watched]] = {}
    for watcher, changes in history.watched.items():
        for change in changes:
            other, seen = first.setdefault(change.revision, (watcher, change))
            if seen != change:
                yield Fault("wrong", f"{other} and {watcher} saw revision {change.revision} "
                            "differently")  # fmt: skip


def _all_is_kept(by_key: Mapping[Hashable, Sequence[Asked]], history: History) -> Iterator[Fault]:
    """
    What was acknowledged is there at the end, as it was; nothing is there twice, or that
    nobody can have made.
    """
    if history.kept is None:
        return
    kept = {each.genre_id: each for each in history.kept}
    if len(kept) < len(history.kept):
        yield Fault("doubled", "an id is listed twice")
    kept_as: dict[Hashable, int] = {}
    for one in history.kept:
        if kept_as.setdefault(one.key, one.genre_id) != one.genre_id:
            yield Fault("doubled", f"{one.key} is kept as {kept_as[one.key]} and {one.genre_id}")
        asked = by_key.get(one.key, ())
        made = any(each.genre_id or each.may_have_created for each in asked)
        if not made and one.key not in history.known:
            what = "was refused" if asked else "was never asked for"
            yield Fault("wrong", f"{one.key} {what}, and is kept as {one.genre_id}")
        if history.revision is not None and one.revision > history.revision:
            yield Fault("wrong", f"{one.key} is of revision {one.revision}, the registry of "
                        f"{history.revision}")  # fmt: skip
    told: dict[int, Asked] = {}
    for each in history.acknowledged:
        other = told.setdefault(each.genre_id, each)
        if each.revision > other.revision:
            told[each.genre_id] = each
    for genre_id, each in told.items():
        found = kept.get(genre_id)
        if found is None:
            yield Fault("lost", f"{each.key} was acknowledged as {genre_id}, and is gone")
        elif found.key != each.key:
            yield Fault(
                "wrong", f"{genre_id} was acknowledged for {each.key}, and is {found.key} now"
            )
        elif found.revision < each.revision:
            yield Fault("lost", f"{each.key} was answered as of revision {each.revision}, and is "
                        f"kept as of {found.revision}")  # fmt: skip
