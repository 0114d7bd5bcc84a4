"""
The campaign behind `scripts/scan-campaign`: scanners at work while a curator mends and the
server is killed.

What each scanner wrote is held against what the registry says at the end: every track is
there once, every id answers with the genre that its raw values name now, and no genre is
there twice.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restarted_server import BIN, Server
from sample_library import make_library

from registry_server.vocabulary.identity import Spelling
from worker_client import (
    Genre,
    GenreRegistryClient,
    GenreState,
    RegistryError,
    TagContainer,
    TagSet,
)

SCANNING_S = 1800
"""How long the scanners may take in all."""
MENDED_FIRST = 3
"""Genres that have to be there before the curator begins."""


@dataclass
class Scanner:
    """A `genrectl scan` of the whole library, in a process of its own."""

    output: Path
    process: "subprocess.Popen[str]"
    lines_seen: int = 0
    _offset: int = 0

    def lines_so_far(self) -> int:
        """Return how many tracks it has written."""
        with suppress(FileNotFoundError), self.output.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
            self._offset += len(fresh)
            self.lines_seen += fresh.count(b"\n")
        return self.lines_seen

    def end(self) -> tuple[int, str]:
        """Return its exit code, and what it said, once it has ended."""
        _, said = self.process.communicate(timeout=SCANNING_S)
        return self.process.returncode, said


@dataclass
class Curator:
    """Renames, merges and deletes genres that scanners made, one after the other."""

    target: str
    dice: random.Random
    pause_s: float
    deeds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Mend until it is over."""
        with GenreRegistryClient(self.target, cache_size=0) as registry:
            while not self.over.wait(self.pause_s):
                try:
                    self._mend(registry)
                except RegistryError as error:
                    self.refused[error.reason or type(error).__name__] += 1

    def _mend(self, registry: GenreRegistryClient) -> None:
        genres = list(registry.list_genres())
        if len(genres) < MENDED_FIRST:
            return
        one, other = self.dice.sample(genres, 2)
        deed = self.dice.choices(("rename", "merge", "delete"), (6, 3, 1))[0]
        if deed == "rename":
            registry.update_genre(one.id, name=f"{one.name[:150]} {self.deeds.total()}")
        elif deed == "merge":
            registry.merge_genres([one.id], other.id)
        else:
            registry.delete_genre(one.id)
        self.deeds[deed] += 1


@dataclass
class Report:
    """What a campaign came to; *faults* are empty if everything held."""

    tracks: int = 0
    ids: int = 0
    genres: int = 0
    kills: int = 0
    took_s: float = 0.0
    deeds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def campaign(
    folder: Path,
    *,
    scanners: int,
    files: int,
    kills: int,
    curator_pause_s: float,
    seed: int,
) -> Report:
    """Run the campaign in *folder*, which is empty, and return what it came to."""
    report = Report()
    library = folder / "music"
    make_library(library, files)
    server = Server(folder / "registry.db")
    server.start()
    began_s = time.monotonic()
    curator = Curator(server.target, random.Random(seed), curator_pause_s)
    curating = threading.Thread(target=curator.work)
    running = [
        _scanner(library, folder / f"tracks-{n}.jsonl", server.target) for n in range(scanners)
    ]
    try:
        curating.start()
        # Spread over the scan, and all of it while scanners are at work.
        for kill in range(1, kills + 1):
            _wait_for(running, scanners * files * kill // (kills + 1), report)
            server.restart(signal.SIGKILL)
            report.kills += 1
        outputs = []
        for scanner in running:
            code, said = scanner.end()
            if code:
                report.faults.append(f"a scanner ended with {code}: {said[-500:]}")
            outputs.append(scanner.output)
        curator.over.set()
        curating.join()
        report.took_s = time.monotonic() - began_s
        report.deeds, report.refused = curator.deeds, curator.refused
        with GenreRegistryClient(server.target, cache_size=0) as registry:
            _hold_against(registry, outputs, files, report)
    finally:
        curator.over.set()
        for scanner in running:
            scanner.process.kill()
            scanner.process.communicate()
        server.end(signal.SIGTERM)
    return report


def _scanner(library: Path, output: Path, target: str) -> Scanner:
    command = ("genrectl", "--target", target, "scan", library, "--jobs", "1", "--output", output)
    process = subprocess.Popen([BIN / command[0], *command[1:]], stderr=subprocess.PIPE, text=True)
    return Scanner(output, process)


def _wait_for(running: list[Scanner], lines: int, report: Report) -> None:
    """Wait until the scanners have written so many lines all in all."""
    pausing = threading.Event()
    ends_s = time.monotonic() + SCANNING_S
    while sum(scanner.lines_so_far() for scanner in running) < lines:
        if all(scanner.process.poll() is not None for scanner in running):
            report.faults.append("the scanners ended before the server was killed often enough")
            return
        if time.monotonic() > ends_s:
            report.faults.append("the scanners came to a halt")
            return
        pausing.wait(0.02)


def _hold_against(
    registry: GenreRegistryClient, outputs: list[Path], files: int, report: Report
) -> None:
    genres = {genre.id: genre for genre in registry.list_genres(show_deleted=True)}
    report.genres = len(genres)
    report.faults += _doubled(genres)
    named: dict[TagSet, frozenset[int]] = {}
    led: dict[int, Genre] = {}
    for output in outputs:
        tracks = [json.loads(line) for line in output.read_text().splitlines()]
        paths = Counter(track["path"] for track in tracks)
        if len(paths) != files or paths.total() != files:
            report.faults.append(
                f"{output.name}: {len(paths)} tracks of {files}, {paths.total()} lines"
            )
        report.faults += [f"{output.name}: {each['error']}" for each in tracks if "error" in each]
        report.tracks += len(tracks)
        ids = {genre["id"] for track in tracks for genre in track["genres"]}
        report.ids += len(ids)
        _lead(registry, ids - led.keys(), led, report)
        tag_sets = {_tag_set(track) for track in tracks}
        _name(registry, tag_sets - named.keys(), named)
        for track in tracks:
            meant = named[_tag_set(track)]
            found = {
                led[genre["id"]].id
                for genre in track["genres"]
                if genre["id"] in led and led[genre["id"]].state is GenreState.ACTIVE
            }
            if found != meant:
                report.faults.append(
                    f"{output.name}: {track['raw_values']} was answered {track['genres']}, "
                    f"which is {sorted(found)} now, and means {sorted(meant)}"
                )


def _doubled(genres: dict[int, Genre]) -> Iterator[str]:
    """Tell which identity keys two genres hold."""
    holders: dict[str, int] = {}
    for genre in genres.values():
        for text in {genre.name, *genre.aliases}:
            key = Spelling.of(text).fold
            if holders.setdefault(key, genre.id) != genre.id:
                yield f"{text!r} is spelled so in {holders[key]} and in {genre.id}"


def _lead(
    registry: GenreRegistryClient, ids: set[int], led: dict[int, Genre], report: Report
) -> None:
    """Note which genre each of *ids* leads to."""
    for some in _chunks(sorted(ids)):
        for genre_id, genre in zip(some, registry.batch_get_genres(some), strict=True):
            if isinstance(genre, RegistryError):
                report.faults.append(f"{genre_id} was answered, and is no id: {genre}")
            else:
                led[genre_id] = genre


def _name(
    registry: GenreRegistryClient, tag_sets: set[TagSet], named: dict[TagSet, frozenset[int]]
) -> None:
    """Note which genres each of *tag_sets* names now; one that would be created is 0."""
    for some in _chunks(sorted(tag_sets, key=lambda each: each.values)):
        for tag_set, tags in zip(
            some, registry.resolve_tags(some, validate_only=True), strict=True
        ):
            named[tag_set] = frozenset(each.genre.id for each in tags.genres)


def _tag_set(track: dict[str, Any]) -> TagSet:
    return TagSet(tuple(track["raw_values"]), TagContainer[track["container"]])


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + 1000] for start in range(0, len(items), 1000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scanners", type=int, default=8)
    parser.add_argument("--files", type=int, default=20_000, help="of the library (default 20000)")
    parser.add_argument("--kills", type=int, default=5, help="of the server (default 5)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genre-registry-scan-") as folder:
        report = campaign(
            Path(folder),
            scanners=asked.scanners,
            files=asked.files,
            kills=asked.kills,
            curator_pause_s=0.2,
            seed=asked.seed,
        )
    print(f"{asked.scanners} scanners, {report.tracks} tracks, in {report.took_s:.0f} s")
    print(f"server killed and started {report.kills} times")
    print(f"curator: {dict(report.deeds)}; refused: {dict(report.refused)}")
    print(f"{report.genres} genres; {report.ids} ids in the outputs, each led where it was meant")
    for fault in report.faults[:20]:
        print(f"FAULT  {fault}")
    print("  no " if report.faults else "  yes", "nothing failed, lost, doubled or misled")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
