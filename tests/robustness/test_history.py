"""The checker finds each rule that a history breaks, and accuses none that a registry can show."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from history import Asked, Fault, History, Kept, Watched, faults_of
from trial import Trial

ROCK, FUNK, DUB = "rock", "funk", "dub"


def asked(
    call: int,
    key: str,
    start_s: float,
    end_s: float,
    genre_id: int = 0,
    *,
    rpc: str = "GetOrCreate",
    name: str = "",
    request_id: str = "",
    created: bool = False,
    revision: int = 0,
    error: str = "",
) -> Asked:
    """One name asked for; a genre's revision is its id, unless it says otherwise."""
    return Asked(
        rpc, call, name or key, key, request_id, start_s, end_s, genre_id, created,
        revision or genre_id, error,
    )  # fmt: skip


def created(revision: int, genre_id: int = 0) -> Watched:
    return Watched(revision, "CREATED", genre_id or revision, f"genre {genre_id or revision}")


LINKED = Watched(2, "LINKED", 1, "genre 1")
CHANGES = (
    *map(created, range(1, 8)),
    Watched(8, "LINKED", 1, "genre 1"),
    Watched(9, "UPDATED", 3, "genre 3"),
    Watched(10, "UPDATED", 2, "genre 2"),
)


def right_history() -> History:
    """
    Two servers' lives, as one registry can have shown them: races, retries, batches of many
    spellings, calls that were cut off, deadlines, watchers that left and came back.
    """
    return History(
        asked=[
            # A race of two, one of whom is told; both spellings are one genre.
            asked(1, ROCK, 0.0, 1.0, 1, created=True),
            asked(2, ROCK, 0.1, 1.1, 1, name="ROCK"),
            # A batch with several spellings of one key: the first is told, a retry again.
            asked(3, FUNK, 1.2, 2.0, 2, rpc="BatchGetOrCreate", request_id="b", created=True),
            asked(3, FUNK, 1.2, 2.0, 2, rpc="BatchGetOrCreate", request_id="b", name="Funk"),
            asked(3, ROCK, 1.2, 2.0, 1, rpc="BatchGetOrCreate", request_id="b"),
            asked(4, FUNK, 2.1, 2.2, 2, rpc="BatchGetOrCreate", request_id="b", created=True),
            asked(4, FUNK, 2.1, 2.2, 2, rpc="BatchGetOrCreate", request_id="b", name="Funk"),
            # A lookup before there is anything, another while it is made.
            asked(5, DUB, 2.0, 2.5, rpc="LookupGenre", error="NOT_FOUND GENRE_NOT_FOUND"),
            asked(6, DUB, 2.9, 3.9, rpc="LookupGenre", error="NOT_FOUND GENRE_NOT_FOUND"),
            # Cut off by the kill, carried out for all that, and others were created meanwhile:
            # the retry is told of what is old by then.
            asked(7, DUB, 3.0, 3.2, request_id="r", error="UNAVAILABLE"),
            asked(8, "ska", 3.5, 4.0, 4, created=True),
            asked(9, DUB, 5.0, 6.0, 3, request_id="r", created=True),
            # Given up, and carried out later: somebody else finds it, and nobody was told.
            asked(10, "zouk", 6.0, 6.1, error="DEADLINE_EXCEEDED"),
            asked(11, "zouk", 6.2, 6.3, rpc="LookupGenre", error="NOT_FOUND GENRE_NOT_FOUND"),
            asked(12, "zouk", 6.4, 6.5, 5),
            # Given up, and carried out when nobody asked any more; and never.
            asked(13, "fado", 6.6, 6.7, error="CANCELLED"),
            asked(14, "mambo", 6.6, 6.7, error="UNAVAILABLE"),
            # Refused, and never created; refused, and created by the retry.
            asked(15, "polka", 6.8, 6.9, error="UNAVAILABLE OVERLOADED"),
            asked(16, "salsa", 6.8, 6.9, request_id="s", error="UNAVAILABLE OVERLOADED"),
            asked(17, "salsa", 7.0, 7.1, 7, request_id="s", created=True),
            # A parent came to it since; and a client's memory need not know that.
            asked(18, ROCK, 8.0, 8.1, 1, rpc="GetGenre", revision=8),
            Asked("GetOrCreate", 19, "rock", ROCK, "", 8.2, 8.3, 1),
            # Read by id; described by a curator, in an order that nobody was told.
            asked(20, FUNK, 8.2, 8.3, 2, rpc="GetGenre"),
            asked(21, FUNK, 8.4, 8.6, 2, rpc="UpdateGenre", revision=10),
            asked(22, DUB, 8.4, 8.7, 3, rpc="UpdateGenre", revision=9),
        ],
        watched={"steady": list(CHANGES), "restarted": list(CHANGES)},
        kept=[
            *(Kept(1, ROCK, 8), Kept(2, FUNK, 10), Kept(3, DUB, 9), Kept(4, "ska", 4)),
            *(Kept(5, "zouk", 5), Kept(6, "fado", 6), Kept(7, "salsa", 7)),
        ],
        revision=10,
    )


def test_a_right_history_is_not_accused() -> None:
    """Retries, batches, unknown outcomes, races, restarts: all of it one registry can show."""
    assert faults_of(right_history()) == []


def test_the_order_of_the_notes_does_not_count() -> None:
    """Clients' notes are joined one client after another; only a batch is in its own order."""
    history = right_history()
    calls = sorted({each.call for each in history.asked})
    Random(1).shuffle(calls)
    history.asked = [each for call in calls for each in right_history().asked if each.call == call]

    assert faults_of(history) == []


def test_a_trial_counts_each_genre_once(trial: Trial) -> None:
    """A retry that is told again of what it created is no second creation."""
    trial.judge(right_history())

    assert trial.counts["acknowledged creates"] == 5
    assert trial.counts["changes watched"] == 20
    assert not trial.faults


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path, 0, seed=1)


BROKEN: dict[str, tuple[str, History]] = {
    "two ids for one key": (
        "doubled",
        History([asked(1, ROCK, 0, 1, 1, created=True), asked(2, ROCK, 2, 3, 2)]),
    ),
    "two ids within one batch": (
        "doubled",
        History(
            [
                asked(1, ROCK, 0, 1, 1, rpc="BatchGetOrCreate", created=True),
                asked(1, ROCK, 0, 1, 2, rpc="BatchGetOrCreate", name="Rock"),
            ]
        ),
    ),
    "two creators": (
        "doubled",
        History([asked(1, ROCK, 0, 1, 1, created=True), asked(2, ROCK, 0, 1, 1, created=True)]),
    ),
    "two creators, each with a request id": (
        "doubled",
        History(
            [
                asked(1, ROCK, 0, 1, 1, request_id="a", created=True),
                asked(2, ROCK, 0, 1, 1, request_id="b", created=True),
            ]
        ),
    ),
    "created twice within one batch": (
        "doubled",
        History(
            [
                asked(1, ROCK, 0, 1, 1, rpc="BatchGetOrCreate", created=True),
                asked(1, ROCK, 0, 1, 1, rpc="BatchGetOrCreate", name="Rock", created=True),
            ]
        ),
    ),
    "the second of a batch is told": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, rpc="ResolveTags"),
                asked(1, ROCK, 0, 1, 1, rpc="ResolveTags", name="Rock", created=True),
            ]
        ),
    ),
    "created, and there before": (
        "doubled",
        History([asked(1, ROCK, 0, 1, 1, created=True)], known={ROCK}),
    ),
    "a retry that is not told": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, request_id="a", created=True),
                asked(2, ROCK, 2, 3, 1, request_id="a"),
            ]
        ),
    ),
    "a retry that is not told of what its first try, cut off, must have created": (
        "lost",
        History(
            [
                asked(1, ROCK, 0, 1, request_id="a", error="UNAVAILABLE"),
                asked(2, ROCK, 2, 3, 1, request_id="a"),
            ]
        ),
    ),
    "seen before the call began that created it": (
        "wrong",
        History([asked(1, ROCK, 0, 1, 1), asked(2, ROCK, 2, 3, 1, created=True)]),
    ),
    "created by nobody": ("lost", History([asked(1, ROCK, 0, 1, 1)])),
    "created by a call that was made too late": (
        "lost",
        History([asked(1, ROCK, 0, 1, 1), asked(2, ROCK, 2, 3, error="UNAVAILABLE")]),
    ),
    "created by a call that was refused": (
        "lost",
        History([asked(1, ROCK, 0, 1, error="UNAVAILABLE OVERLOADED"), asked(2, ROCK, 2, 3, 1)]),
    ),
    "created by a look-up": (
        "lost",
        History(
            [asked(1, ROCK, 0, 1, rpc="LookupGenre", error="CANCELLED"), asked(2, ROCK, 2, 3, 1)]
        ),
    ),
    "not found after it was answered": (
        "lost",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True),
                asked(2, ROCK, 2, 3, rpc="LookupGenre", error="NOT_FOUND GENRE_NOT_FOUND"),
            ]
        ),
    ),
    "an id not found after it was answered": (
        "lost",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True),
                asked(2, ROCK, 2, 3, rpc="GetGenre", error="NOT_FOUND"),
            ]
        ),
    ),
    "not found, and there before": (
        "lost",
        History([asked(1, ROCK, 2, 3, rpc="LookupGenre", error="NOT_FOUND")], known={ROCK}),
    ),
    "one id for two keys": (
        "wrong",
        History([asked(1, ROCK, 0, 1, 1, created=True), asked(2, FUNK, 0, 1, 1, created=True)]),
    ),
    "one revision for two genres": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True, revision=5),
                asked(2, FUNK, 0, 1, 2, created=True, revision=5),
            ]
        ),
    ),
    "a later creation of an earlier revision": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True, revision=5),
                asked(2, FUNK, 2, 3, 2, created=True, revision=4),
            ]
        ),
    ),
    "a creation below a revision that was read before": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True, revision=1),
                asked(2, ROCK, 2, 3, 1, rpc="GetGenre", revision=9),
                asked(3, FUNK, 4, 5, 2, created=True, revision=8),
            ]
        ),
    ),
    "a genre as it was, after it changed": (
        "wrong",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True, revision=1),
                asked(2, ROCK, 2, 3, 1, revision=9),
                asked(3, ROCK, 4, 5, 1, revision=1),
            ]
        ),
    ),
    "watched with a gap": ("wrong", History(watched={"w": [created(1), created(3)]})),
    "watched with a gap at its start": (
        "wrong",
        History(watched={"w": [created(7)]}, watched_from=5),
    ),
    "watched again after a restart": (
        "wrong",
        History(watched={"w": [created(1), LINKED, LINKED]}),
    ),
    "watched out of order": ("wrong", History(watched={"w": [created(2), created(1)]})),
    "watched as another genre": (
        "lost",
        History([asked(1, ROCK, 0, 1, 1, created=True)], watched={"w": [created(1, 2)]}),
    ),
    "watched as another genre than the one that was read of that revision": (
        "lost",
        History(
            [
                asked(1, ROCK, 0, 1, 1, created=True, revision=1),
                asked(2, ROCK, 2, 3, 1, rpc="GetGenre", revision=3),
            ],
            watched={"w": [created(1), created(2), Watched(3, "LINKED", 2, "genre 2")]},
        ),
    ),
    "watched under another's name": (
        "wrong",
        History(
            [asked(1, ROCK, 0, 1, 1, created=True)],
            watched={"w": [Watched(1, "CREATED", 1, FUNK)]},
            key_of=str,
        ),
    ),
    "watched as created twice": (
        "doubled",
        History(watched={"w": [created(1, 1), created(2, 1)]}),
    ),
    "watched as changed before it was created": (
        "wrong",
        History(watched={"w": [Watched(1, "LINKED", 1, "rock")]}),
    ),
    "a revision that was another change before the crash": (
        "wrong",
        History(watched={"w": [created(1)], "v": [replace(created(1), name="another")]}),
    ),
    "a watcher that was never told the last change": (
        "lost",
        History(watched={"w": [created(1)]}, revision=2),
    ),
    "a watcher that was told more than the registry holds": (
        "lost",
        History(watched={"w": [created(1), created(2)]}, revision=1),
    ),
    "watched as created, and gone": ("lost", History(watched={"w": [created(1)]}, kept=[])),
    "acknowledged, and gone": (
        "lost",
        History([asked(1, ROCK, 0, 1, 1, created=True)], kept=[]),
    ),
    "acknowledged as of a change that is gone": (
        "lost",
        History([asked(1, ROCK, 0, 1, 1, created=True, revision=9)], kept=[Kept(1, ROCK, 1)]),
    ),
    "acknowledged for another key": (
        "wrong",
        History([asked(1, ROCK, 0, 1, 1, created=True)], kept=[Kept(1, FUNK, 1)]),
    ),
    "one key kept twice": (
        "doubled",
        History([asked(1, ROCK, 0, 1, 1, created=True)], kept=[Kept(1, ROCK, 1), Kept(2, ROCK, 2)]),
    ),
    "one id kept twice": (
        "doubled",
        History([asked(1, ROCK, 0, 1, 1, created=True)], kept=[Kept(1, ROCK, 1), Kept(1, ROCK, 1)]),
    ),
    "kept, and never asked for": ("wrong", History(kept=[Kept(1, ROCK, 1)])),
    "kept, and refused": (
        "wrong",
        History(
            [asked(1, ROCK, 0, 1, error="RESOURCE_EXHAUSTED STORAGE_FULL")], kept=[Kept(1, ROCK, 1)]
        ),
    ),
    "kept as of a revision that the registry has not reached": (
        "wrong",
        History(kept=[Kept(1, ROCK, 2)], known={ROCK}, revision=1),
    ),
}
"""A history that breaks one rule, and the kind of fault that it is, by what happened."""


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_is_found(what: str) -> None:
    """Each rule alone, with nothing else wrong."""
    kind, history = BROKEN[what]

    assert {fault.kind for fault in faults_of(history)} == {kind}


def _without_kept(history: History) -> None:
    assert history.kept is not None
    history.kept.pop(3)


def _reused_id(history: History) -> None:
    history.asked = [
        replace(each, genre_id=1) if each.key == FUNK else each for each in history.asked
    ]


def _unwatched(history: History) -> None:
    history.watched["restarted"].pop(4)


def _lost_by_the_crash(history: History) -> None:
    """What was acknowledged before the kill is created anew after it."""
    history.asked.append(asked(99, "ska", 8.5, 8.6, 9, created=True))


def _told_late(history: History) -> None:
    history.asked.append(asked(99, FUNK, 8.5, 8.6, 2, created=True))


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (_without_kept, {"lost"}),
        (_reused_id, {"wrong", "lost"}),
        (_unwatched, {"wrong", "lost"}),
        (_lost_by_the_crash, {"doubled", "lost", "wrong"}),
        (_told_late, {"doubled", "wrong"}),
    ],
)
def test_a_right_history_that_is_spoiled_is_accused(
    spoil: Callable[[History], None], kinds: Iterable[str]
) -> None:
    """Among all that is right, one thing that is wrong is found."""
    history = right_history()
    spoil(history)

    found: list[Fault] = faults_of(history)

    assert found
    assert {fault.kind for fault in found} <= set(kinds)
