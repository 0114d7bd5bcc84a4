"""`genrectl scan`: every container, every value, every file accounted for."""

import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, ENDING_S, Server, run_installed
from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TCON
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from sample_library import SEEDS, make_library

from worker_client import GenreRegistryClient, TagContainer, TagSet
from worker_client.scan.reading import read_track
from worker_client.scan.resolving import _resolve
from worker_client.scan.tracks import Track
from worker_client.scan.walking import audio_files

VALUES = ["Hip-Hop", "R&B; Soul", "演歌"]


def scan(server: Server, folder: Path, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    """Scan *folder*; return the exit code, the lines and what was said."""
    done = run_installed("genrectl", "--target", server.target, "scan", str(folder), *more)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def id3(version: int, texts: list[str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tags = ID3()
        tags.add(TCON(encoding=1, text=texts))
        tags.save(path, v2_version=version)

    return write


def id3v1(number: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"TAG" + bytes(124) + bytes([number]))

    return write


def fields(kind: Any, name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        audio = kind(path)
        audio[name] = VALUES
        audio.save()

    return write


def ape(path: Path) -> None:
    tags = APEv2()
    tags["Genre"] = VALUES
    tags.save(path)


CONTAINERS = [
    ("mp3", id3v1(17), TagSet(("Rock",), TagContainer.ID3V1)),
    ("mp3", id3(3, ["(17)Rock; Pop"]), TagSet(("(17)Rock; Pop",), TagContainer.ID3V23)),
    ("mp3", id3(4, VALUES), TagSet(tuple(VALUES), TagContainer.ID3V24)),
    ("mp3", ape, TagSet(tuple(VALUES), TagContainer.APE)),
    ("flac", fields(FLAC, "genre"), TagSet(tuple(VALUES), TagContainer.VORBIS)),
    ("ogg", fields(OggVorbis, "genre"), TagSet(tuple(VALUES), TagContainer.VORBIS)),
    ("opus", fields(OggOpus, "genre"), TagSet(tuple(VALUES), TagContainer.VORBIS)),
    ("m4a", fields(MP4, "\xa9gen"), TagSet(tuple(VALUES), TagContainer.MP4)),
    ("wv", ape, TagSet(tuple(VALUES), TagContainer.APE)),
    ("wma", fields(ASF, "WM/Genre"), TagSet(tuple(VALUES), TagContainer.ASF)),
]


@pytest.mark.parametrize(("suffix", "write", "expected"), CONTAINERS)
def test_every_container_gives_all_its_values(
    tmp_path: Path, suffix: str, write: Callable[[Path], None], expected: TagSet
) -> None:
    """All values as the file holds them, not just the first, with where they come from."""
    path = tmp_path / f"track.{suffix}"
    shutil.copyfile(SEEDS / f"silence.{suffix}", path)
    write(path)

    track = read_track(str(path))

    assert (track.error, track.tags) == (None, expected)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "opus", "m4a", "wv", "wma"])
def test_a_file_without_a_genre_is_read(tmp_path: Path, suffix: str) -> None:
    """No tag is no error."""
    path = tmp_path / f"track.{suffix}"
    shutil.copyfile(SEEDS / f"silence.{suffix}", path)

    track = read_track(str(path))

    assert (track.error, track.tags.values) == (None, ())


def test_a_scan_writes_a_line_a_track(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Path, raw values, genres with id and name; the summary on standard error."""
    make_library(tmp_path, 60)

    code, lines, said = scan(server, tmp_path, "--jobs", "3")

    assert code == 0
    assert [line["path"] for line in lines] == list(audio_files(tmp_path))
    names = {genre.id: genre.name for genre in registry.list_genres()}
    found = [genre for line in lines for genre in line["genres"]]
    assert {genre["id"] for genre in found} == names.keys()
    assert all(names[genre["id"]] == genre["name"] for genre in found)
    assert sum(genre["created"] for genre in found) == len(names)
    assert "60 tracks, 59 with genre tags" in said
    assert f"{len(names)} of them created by this scan" in said


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(server: Server, tmp_path: Path) -> None:
    """Exit 1, the file named with the reason, and a line for it too."""
    make_library(tmp_path, 5)
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + bytes(40))
    (tmp_path / "empty.mp3").write_bytes(b"")
    (tmp_path / "not audio.ogg").write_text("words")
    (tmp_path / "notes.txt").write_text("not looked at")

    code, lines, said = scan(server, tmp_path)

    assert code == 1
    assert len(lines) == 8
    failed = {Path(line["path"]).name for line in lines if "error" in line}
    assert failed == {"broken.flac", "empty.mp3", "not audio.ogg"}
    assert "3 files could not be read" in said
    assert all(name in said for name in failed)


def test_a_batch_that_fails_is_said(server: Server, tmp_path: Path) -> None:
    """With the registry gone, every tagged track says so, and the exit code too."""
    make_library(tmp_path, 5)
    server.stop()

    done = run_installed(
        *("genrectl", "--target", server.target, "--deadline-s", "0.5", "scan", str(tmp_path))
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [line["genres"] for line in lines] == [[]] * 5
    assert all("could not be reached" in line["error"] for line in lines)
    assert "5 files could not be resolved" in done.stderr


def test_odd_file_names_survive(server: Server, tmp_path: Path) -> None:
    """A name that is no UTF-8 comes back from the JSON as the bytes it was."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9 \n.flac"
    shutil.copyfile(SEEDS / "silence.flac", odd)

    code, [line], _ = scan(server, tmp_path)

    assert code == 0
    assert os.fsencode(line["path"]) == odd


def test_values_that_name_nothing_are_counted(server: Server, tmp_path: Path) -> None:
    """What is dropped is in the line, with its reason, and in the summary."""
    path = tmp_path / "track.flac"
    shutil.copyfile(SEEDS / "silence.flac", path)
    audio = FLAC(path)
    audio["genre"] = ["Rock", "x" * 300]
    audio.save()

    code, [line], said = scan(server, tmp_path)

    assert code == 0
    assert [genre["name"] for genre in line["genres"]] == ["Rock"]
    assert [part["reason"] for part in line["dropped"]] == ["NAME_TOO_LONG"]
    assert "1 parts dropped: NAME_TOO_LONG" in said


def test_an_empty_folder_is_scanned_at_once(server: Server, tmp_path: Path) -> None:
    """Nothing to do is no error."""
    code, lines, said = scan(server, tmp_path)

    assert (code, lines) == (0, [])
    assert said.startswith("0 tracks")


def test_a_pipe_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    """Only regular files are opened; a named pipe would hold the scan for ever."""
    os.mkfifo(tmp_path / "pipe.mp3")

    code, [line], _ = scan(server, tmp_path)

    assert (code, line["error"]) == (1, "not a regular file")


def test_an_output_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    """A sentence, not a traceback."""
    make_library(tmp_path / "music", 40)
    for output, reason in (("/dev/full", "No space left"), ("/nowhere/out", "No such file")):
        code, _, said = scan(server, tmp_path / "music", "--output", output)
        assert code == 1
        assert f"{output}: {reason}" in said
        assert "Traceback" not in said


def test_reading_processes_end_with_a_killed_scan(server: Server, tmp_path: Path) -> None:
    """Whoever kills the scan is not left with its children."""
    make_library(tmp_path / "music", 3000)
    scanning = subprocess.Popen(
        [BIN / "genrectl", "--target", server.target, "scan", tmp_path / "music"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert scanning.stdout is not None
    assert scanning.stdout.readline()
    children = Path(f"/proc/{scanning.pid}/task/{scanning.pid}/children").read_text().split()
    assert len(children) >= 2
    ends = [os.pidfd_open(int(child)) for child in children]

    scanning.kill()

    for end in ends:
        readable, _, _ = select.select([end], [], [], ENDING_S)
        assert readable, "a child outlived the scan"
        os.close(end)
    scanning.stdout.close()
    scanning.wait()


def test_a_value_that_cannot_be_sent_fails_its_track_alone(
    server: Server, registry: GenreRegistryClient
) -> None:
    """Half of a character in one tag of many: the others are resolved."""
    sets = [TagSet((f"Zonk {n}",)) for n in range(9)]
    sets[4] = TagSet(("Zonk \ud800",))
    tracks = [Track(f"{n}.mp3", tag_set) for n, tag_set in enumerate(sets)]

    outcomes = list(_resolve(registry, tracks, validate_only=False))

    assert [outcome.error is None for outcome in outcomes] == [n != 4 for n in range(9)]
    assert "half of a character" in str(outcomes[4].error)
