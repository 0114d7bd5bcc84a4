"""The demonstration behind `scripts/demo`; exits 1 if a genre was doubled or a track lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from sample_library import make_library

from worker_client import Genre, GenreRegistryClient

SCANNERS = 4
SAMPLE_FILES = 360
SHOWN_GENRES = 8
BIN = Path(sys.executable).parent
SERVICE = "genre_registry.v1.GenreRegistry"


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="genre-registry-demo-"))
    database = folder / "registry.db"
    music = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "music"
    if not music.is_dir():
        if len(sys.argv) > 1:
            print(f"{music} is no folder.", file=sys.stderr)
            return 2
        print(f"Making a sample library of {SAMPLE_FILES} audio files, tagged as people tag ...")
        make_library(music, SAMPLE_FILES)

    print("Starting the registry on a fresh SQLite file ...")
    server = subprocess.Popen(
        [BIN / "genre-registry", "serve", "--listen", "127.0.0.1:0", "--database", database],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        target = json.loads(server.stdout.readline())["listen"]
        print(f"Scanning {music} with {SCANNERS} scanners at the same moment ...")
        complete = scan_at_once(target, music, folder)
        with GenreRegistryClient(target) as registry:
            genres = list(registry.list_genres())
    finally:
        server.send_signal(signal.SIGTERM)
        last = server.stdout.read().splitlines()
        server.wait()
    sound = report(folder, genres, raced=json.loads(last[-1])["claims_raced"])
    return look_for_oneself(database) or int(not (sound and complete))


def scan_at_once(target: str, music: Path, folder: Path) -> bool:
    """Run the scanners side by side; return whether each read and resolved everything."""
    scanners = [
        subprocess.Popen(
            [
                *(BIN / "genrectl", "--target", target, "scan", music),
                *("--jobs", "1", "--output", folder / f"scanner-{number}.jsonl"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(1, SCANNERS + 1)
    ]
    complete = True
    for number, scanner in enumerate(scanners, 1):
        _, said = scanner.communicate()
        print(f"  scanner {number}: " + "\n             ".join(said.strip().splitlines()))
        complete = complete and scanner.returncode == 0
    return complete


def report(folder: Path, genres: list[Genre], *, raced: int) -> bool:
    """Say what happened; return whether every genre exists once and no track was lost."""
    outputs = [
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(folder.glob("scanner-*.jsonl"))
    ]
    created: dict[int, int] = defaultdict(int)
    spellings: dict[int, set[str]] = defaultdict(set)
    answers: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for line in (line for output in outputs for line in output):
        answers[line["path"]].add(tuple(genre["id"] for genre in line["genres"]))
        for genre in line["genres"]:
            created[genre["id"]] += genre["created"]
        if len(line["genres"]) == len(line["raw_values"]):
            for genre, raw in zip(line["genres"], line["raw_values"], strict=True):
                spellings[genre["id"]].add(raw)

    raw_values = [raw for line in outputs[0] for raw in line["raw_values"]]
    print()
    print(
        f"{len(outputs[0])} files, {len(raw_values)} raw values, {len(set(raw_values))} different."
    )
    print(f"{len(genres)} genres, asked for by {SCANNERS} scanners;")
    print(f"{raced} times a caller met another on the same new genre and got the other's id.")
    by_spellings = sorted(genres, key=lambda genre: -len(spellings[genre.id]))
    for genre in by_spellings[:SHOWN_GENRES]:
        print(f"  {genre.id:>4}  {genre.name:<22} from " + ", ".join(sorted(spellings[genre.id])))
    if len(genres) > SHOWN_GENRES:
        print(f"        and {len(genres) - SHOWN_GENRES} more")

    claims = {
        "every scanner wrote a line for every file": len(set(map(len, outputs))) == 1,
        "every scanner got the same ids for the same file": all(
            len(each) == 1 for each in answers.values()
        ),
        "every genre was created exactly once": set(created.values()) <= {1},
        "every id in the output is in the registry, and no other": set(created)
        == {genre.id for genre in genres},
    }
    print()
    for claim, holds in claims.items():
        print(f"  {'yes' if holds else 'NO '}  {claim}")
    return all(claims.values())


def look_for_oneself(database: Path) -> int:
    """Say how to look at the registry by hand; on a terminal, serve it meanwhile."""
    serve = [str(BIN / "genre-registry"), "serve", "--database", str(database)]
    grpcurl = f"grpcurl -plaintext 127.0.0.1:50051 {SERVICE}/ListGenres"
    print()
    if not sys.stdin.isatty():
        print("To look for yourself, serve it again, and in another terminal call it:")
        print(f"  {os.path.relpath(serve[0])} {' '.join(serve[1:])}")
        print(f"  {grpcurl}")
        return 0
    print("Look for yourself in another terminal; Ctrl-C here ends it and removes the sample:")
    print(f"  {grpcurl}")
    print(f"  {os.path.relpath(BIN)}/genrectl list")
    print()
    try:
        return subprocess.run(serve).returncode
    except KeyboardInterrupt:
        return 0
    finally:
        shutil.rmtree(database.parent)


if __name__ == "__main__":
    sys.exit(main())
