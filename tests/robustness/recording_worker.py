"""
A worker process as applications have them, on the worker client, that writes down each answer
and each change it watches: one JSON line each, joined to a history afterwards.
"""

import argparse
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from history import NOT_FOUND, Asked, History, Watched
from made_up import Names, key_of

from worker_client import (
    ChangeType,
    Deadlines,
    GenreNotFound,
    GenreRegistryClient,
    RegistryError,
    TagSet,
)

DEADLINES = Deadlines(read_s=10, write_s=10, batch_s=10)
PAUSE_S = 0.05
CAUGHT_UP_S = 30


class Worker:
    """Asks for what everybody asks for, in two threads that share a client, until told to stop."""

    def __init__(self, client: GenreRegistryClient, chosen: Any, output: TextIO) -> None:
        self._client = client
        self._names = Names(chosen.seed, chosen.began_s, chosen.rate)
        self._number = chosen.number
        self._remembers = chosen.cache_size > 0
        self._dice = random.Random(chosen.seed * 1000 + chosen.number)
        self._calls = count(chosen.number << 40)
        self._output = output
        self._noting = threading.Lock()
        self._seen = 0
        self.stopping = threading.Event()

    def work(self) -> None:
        while not self.stopping.wait(self._dice.uniform(0, PAUSE_S)):
            self._dice.choices((self._one, self._batch, self._tags, self._look_up), (5, 3, 2, 1))[
                0
            ]()

    def watch(self) -> None:
        """Watch until the client is closed."""
        try:
            for change in self._client.watch_genres():
                if change.type is not ChangeType.HEARTBEAT:
                    genre = change.genre
                    kind = f"CHANGE_TYPE_{change.type.name}"
                    seen = (genre.id, genre.name) if genre else (0, "")
                    self._note({"watched": [change.revision, kind, *seen]})
                    self._seen = change.revision
        except RegistryError as error:
            if not self.stopping.is_set():
                self._note({"unexpected": f"a worker's watch: {error!r}"})

    def see_up_to(self, revision: int) -> None:
        """Return when the watch has seen *revision*, or will not."""
        end_s = time.monotonic() + CAUGHT_UP_S
        while self._seen < revision and time.monotonic() < end_s:
            time.sleep(0.01)

    def _one(self) -> None:
        name, request_id = self._names.now(self._dice), self._request_id()

        def ask() -> Iterable[tuple[str, Any]]:
            yield name, self._client.get_or_create(name, request_id=request_id or None)

        self._ask("GetOrCreate", [name], request_id, ask)

    def _batch(self) -> None:
        names = [self._names.now(self._dice) for _ in range(self._dice.randrange(2, 30))]
        request_id = self._request_id()

        def ask() -> Iterable[tuple[str, Any]]:
            answers = self._client.batch_get_or_create(names, request_id=request_id or None)
            return zip(names, answers, strict=True)

        self._ask("BatchGetOrCreate", names, request_id, ask)

    def _tags(self) -> None:
        names = [self._names.now(self._dice) for _ in range(self._dice.randrange(1, 8))]
        request_id = self._request_id()

        def ask() -> Iterable[tuple[str, Any]]:
            sets = [TagSet(("; ".join(names),)), TagSet(tuple(names))]
            for tags in self._client.resolve_tags(sets, request_id=request_id or None):
                yield from ((part.spelling, part) for part in tags.genres)

        self._ask("ResolveTags", names, request_id, ask)

    def _look_up(self) -> None:
        name = self._names.before(self._dice)

        def ask() -> Iterable[tuple[str, Any]]:
            yield name, _Found(self._client.lookup_genre(name))

        self._ask("LookupGenre", [name], "", ask)

    def _request_id(self) -> str:
        """Return one of this worker's own, or "", for which the client makes one up."""
        return f"{self._number}-{next(self._calls)}" if self._dice.random() < 0.5 else ""

    def _ask(self, rpc: str, names: list[str], request_id: str, ask: Any) -> None:
        for _ in range(3 if request_id else 1):
            call, start_s = next(self._calls), time.monotonic()
            try:
                answers = list(ask())
            except RegistryError as error:
                # Which of its tries it was that failed so, the client does not say: no reason.
                # One that remembers also shares requests that other threads made a little before.
                is_news = isinstance(error, GenreNotFound) and not self._remembers
                said = NOT_FOUND if is_news else type(error).__name__
                self._note_all(rpc, call, request_id, start_s, [(n, None) for n in names], said)
                continue
            self._note_all(rpc, call, request_id, start_s, answers)
            return

    def _note_all(
        self,
        rpc: str,
        call: int,
        request_id: str,
        start_s: float,
        answers: list[tuple[str, Any]],
        said: str = "",
    ) -> None:
        end_s = time.monotonic()
        for name, answer in answers:
            note = [rpc, call, name, key_of(name), request_id, start_s, end_s]
            if answer is None or isinstance(answer, RegistryError):
                note += [0, False, 0, said or type(answer).__name__]
            else:
                # What was remembered may be a little old.
                revision = 0 if self._remembers and not request_id else answer.genre.revision
                note += [answer.genre.id, answer.created, revision]
            self._note({"asked": note})

    def _note(self, what: dict[str, object]) -> None:
        with self._noting:
            self._output.write(json.dumps(what) + "\n")


class _Found:
    """What was found, as what was resolved."""

    created = False

    def __init__(self, genre: Any) -> None:
        self.genre = genre


def join(history: History, notes: Path, watcher: str) -> list[str]:
    """Add what a worker noted to *history*; return what it did not expect."""
    unexpected = []
    watched = history.watched.setdefault(watcher, [])
    for line in notes.read_text(encoding="utf-8").splitlines():
        [(what, values)] = json.loads(line).items()
        if what == "asked":
            history.asked.append(Asked(*values))
        elif what == "watched":
            watched.append(Watched(*values))
        else:
            unexpected.append(values)
    return unexpected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--output", type=Path, required=True)
    for name, kind in (("seed", int), ("began-s", float), ("rate", float), ("number", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--cache-size", type=int, required=True)
    chosen = parser.parse_args()
    # Closed in this order: the watch ends with the client, the file after both.
    with chosen.output.open("w", encoding="utf-8") as output:
        with GenreRegistryClient(
            chosen.target, deadlines=DEADLINES, cache_size=chosen.cache_size
        ) as client:
            worker = Worker(client, chosen, output)
            signal.signal(signal.SIGTERM, lambda *_: worker.stopping.set())
            watching = threading.Thread(target=worker.watch)
            working = threading.Thread(target=worker.work)
            for thread in (watching, working):
                thread.start()
            worker.work()
            working.join()
            print("asks no more", flush=True)
            worker.see_up_to(int(sys.stdin.readline()))
        watching.join()


if __name__ == "__main__":
    main()
