"""`genrectl scan` of a large or an odd library: memory, links, stopping, what it says."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import BIN, ENDING_S, Server, run_installed, running_server
from sample_library import SEEDS, make_library

from worker_client.scan.walking import audio_files

HELD_FILES = 800
"""Of which the lines fill the pipe to who does not read them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: what a test needs of it is only that it answers."""
    with running_server(tmp_path_factory.mktemp("registry") / "registry.db") as running:
        yield running


def fill(folder: Path, files: int) -> None:
    """Fill *folder* with links to the files of a small library."""
    make_library(folder.with_name(folder.name + " seeds"), 50)
    seeds = [Path(path) for path in audio_files(folder.with_name(folder.name + " seeds"))]
    folder.mkdir()
    for number in range(files):
        seed = seeds[number % len(seeds)]
        os.link(seed, folder / f"{number:05}{seed.suffix}")


@contextmanager
def held_scan(server: Server, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Scan *folder*; its first lines are there, and it waits for them to be read."""
    scanning = subprocess.Popen(
        [BIN / "genrectl", "--target", server.target, "scan", folder, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert scanning.stdout is not None
        assert select.select([scanning.stdout], [], [], ENDING_S)[0]
        yield scanning
    finally:
        scanning.kill()
        scanning.communicate()


def children_of(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in listed.split()]


def test_reading_processes_load_no_grpc(server: Server, tmp_path: Path) -> None:
    """Seen from outside, while they live."""
    fill(tmp_path / "music", HELD_FILES)
    with held_scan(server, tmp_path / "music", "--jobs", "3") as scanning:
        maps = [Path(f"/proc/{child}/maps").read_text() for child in children_of(scanning)]

        assert sum("_multiprocessing" in each for each in maps) >= 3
        assert not any("cygrpc" in each for each in maps)
        assert "cygrpc" in Path(f"/proc/{scanning.pid}/maps").read_text()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_scan_keeps_what_is_done(
    server: Server, tmp_path: Path, stop: signal.Signals
) -> None:
    """Its processes end without a word; the next does the rest, and no track twice."""
    music, state = tmp_path / "music", str(tmp_path / "state")
    fill(music, HELD_FILES)
    with held_scan(server, music, "--state", state) as scanning:
        ends = [os.pidfd_open(child) for child in children_of(scanning)]

        os.killpg(scanning.pid, stop)
        lines, said = scanning.communicate(timeout=ENDING_S)

        assert scanning.returncode == 128 + stop
        for end in ends:
            assert select.select([end], [], [], ENDING_S)[0], "a child outlived the scan"
            os.close(end)
    done = [json.loads(line)["path"] for line in lines.splitlines()]
    assert 0 < len(done) < HELD_FILES
    told = said.splitlines()
    assert told[0].startswith(f"{len(done)} tracks, ")
    assert told[1:] == [f"stopped early by {stop.name}; what was done is kept"]

    rest = run_installed(
        "genrectl", "--target", server.target, "scan", str(music), "--state", state
    )

    assert rest.returncode == 0
    done += [json.loads(line)["path"] for line in rest.stdout.splitlines()]
    assert sorted(done) == list(audio_files(music))


def test_a_stop_does_not_wait_for_a_registry_that_hangs(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C has waited long enough."""
    make_library(tmp_path / "music", 40)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        hangs.settimeout(ENDING_S)
        port = hangs.getsockname()[1]
        scanning = subprocess.Popen(
            [
                *(BIN / "genrectl", "--target", f"127.0.0.1:{port}", "--deadline-s", "3600"),
                *("scan", tmp_path / "music"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        called, _ = hangs.accept()
        with called:
            scanning.send_signal(signal.SIGINT)
            lines, said = scanning.communicate(timeout=ENDING_S)

    assert (scanning.returncode, lines) == (130, "")
    assert said.endswith("stopped early by SIGINT; what was done is kept\n")
    assert "Traceback" not in said


def test_a_second_signal_ends_a_scan_at_once(server: Server, tmp_path: Path) -> None:
    """Whatever it waits for; here for its lines to be read."""
    fill(tmp_path / "music", HELD_FILES)
    with held_scan(server, tmp_path / "music") as scanning:
        scanning.send_signal(signal.SIGINT)
        scanning.send_signal(signal.SIGTERM)
        scanning.send_signal(signal.SIGHUP)

        assert -scanning.wait(ENDING_S) in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def peak_mib(server: Server, folder: Path) -> float:
    """Return how much memory the scan of *folder* had resident, its processes apart."""
    scanning = subprocess.Popen(
        [BIN / "genrectl", "--target", server.target, "scan", folder, "--output", os.devnull],
        stderr=subprocess.DEVNULL,
    )
    peak_kib = 0
    end = os.pidfd_open(scanning.pid)
    # Not what `wait4` says, which begins with the memory of who started it.
    while not select.select([end], [], [], 0.01)[0]:
        status = Path(f"/proc/{scanning.pid}/status").read_text()
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            peak_kib = max(peak_kib, int(found[1]))
    os.close(end)
    assert scanning.wait() == 1
    return peak_kib / 1024


def test_memory_does_not_grow_with_the_library(server: Server, tmp_path: Path) -> None:
    """Neither with the files nor with those that fail; their paths alone would be 6 MiB."""
    deep = tmp_path / "music" / ("x" * 250) / ("y" * 250) / ("z" * 250) / ("v" * 250)
    deep.mkdir(parents=True)
    (deep / "seed").write_bytes(b"")
    os.link(deep / "seed", deep / "00000.mp3")
    small = peak_mib(server, tmp_path / "music")
    for number in range(1, 6_000):
        os.link(deep / "seed", deep / f"{number:05}.mp3")

    assert peak_mib(server, tmp_path / "music") - small < 4


# Links


def names(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in audio_files(folder)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    """After what is really there, whose names they do not change; loops end."""
    music, elsewhere = tmp_path / "music", tmp_path / "elsewhere"
    touch(music / "b" / "1.mp3", music / "c" / "2.mp3", elsewhere / "deep" / "3.mp3")
    before = names(music)
    (music / "a").symlink_to(music / "c")
    (music / "b" / "loop").symlink_to(music)
    (music / "d").symlink_to(elsewhere)
    (music / "e").symlink_to(elsewhere / "deep")
    (elsewhere / "back").symlink_to(music)
    (music / "nowhere").symlink_to(tmp_path / "missing")

    assert before == ["b/1.mp3", "c/2.mp3"]
    assert names(music) == [*before, "d/deep/3.mp3"]


def test_a_library_that_is_a_link_is_walked(tmp_path: Path) -> None:
    """It is what was asked for."""
    touch(tmp_path / "disk" / "1.mp3")
    (tmp_path / "music").symlink_to(tmp_path / "disk")

    assert names(tmp_path / "music") == ["1.mp3"]


def test_a_loop_of_file_links_is_an_unreadable_file(server: Server, tmp_path: Path) -> None:
    """With its reason; a link to a file is read as the file."""
    music = tmp_path / "music"
    music.mkdir()
    shutil.copyfile(SEEDS / "silence.flac", music / "a.flac")
    (music / "b.flac").symlink_to("a.flac")
    (music / "loop.mp3").symlink_to("loop.mp3")
    (music / "nowhere.mp3").symlink_to("missing.mp3")

    done = run_installed("genrectl", "--target", server.target, "scan", str(music))

    assert done.returncode == 1
    assert [json.loads(line).get("error") for line in done.stdout.splitlines()] == [
        *(None, None, "Too many levels of symbolic links", "No such file or directory")
    ]


# What is said


def test_quiet_says_what_went_wrong_and_nothing_else(server: Server, tmp_path: Path) -> None:
    """Mail from cron means something."""
    music = tmp_path / "music"
    make_library(music, 5)
    scan = ("genrectl", "--target", server.target, "scan", str(music), "-q")
    assert run_installed(*scan).stderr == ""

    (music / "empty.mp3").write_bytes(b"")

    assert run_installed(*scan).stderr.splitlines()[0] == "1 files could not be read:"


def test_the_summary_for_scripts_is_one_object(server: Server, tmp_path: Path) -> None:
    """Counts, and the first of what failed, though a name is no UTF-8; lines are as ever."""
    music = tmp_path / "music"
    make_library(music, 30)
    odd = os.fsencode(music) + b"/caf\xe9.mp3"
    Path(os.fsdecode(odd)).write_bytes(b"")

    done = run_installed("genrectl", "--target", server.target, "--json", "scan", str(music))

    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == list(audio_files(music))
    summary = json.loads(done.stderr)
    [failed] = summary.pop("failed")
    assert os.fsencode(failed["path"]) == odd
    assert summary == {
        "tracks": 31,
        "tagged": 30,
        "raw_values": sum(len(line["raw_values"]) for line in lines),
        "genres": len({genre["id"] for line in lines for genre in line["genres"]}),
        "created": sum(genre["created"] for line in lines for genre in line["genres"]),
        "unchanged": 0,
        "gone": 0,
        "dropped": {},
        "review": 0,
        "unread": 1,
        "unresolved": 0,
        "stopped_by": None,
        "other_registry": False,
    }


def test_a_terminal_shows_how_far_it_is(server: Server, tmp_path: Path) -> None:
    """Tracks done and in all, rate and time left."""
    make_library(tmp_path / "music", 60)
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    scanning = subprocess.Popen(
        [
            *(BIN / "genrectl", "--target", server.target),
            *("scan", tmp_path / "music", "--output", os.devnull),
        ],
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while select.select([ours], [], [], ENDING_S)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # how a terminal says that nobody writes to it any more
            break
    os.close(ours)

    assert scanning.wait(ENDING_S) == 0
    assert re.search(rb"60/60 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ ?tracks/s\]", shown), shown
    assert b"60 tracks, 59 with genre tags" in shown


def test_a_reader_that_goes_away_is_said(server: Server, tmp_path: Path) -> None:
    """`genrectl scan | head` ends with a sentence, not a traceback."""
    fill(tmp_path / "music", HELD_FILES)
    with held_scan(server, tmp_path / "music") as scanning:
        assert scanning.stdout is not None
        assert scanning.stderr is not None
        scanning.stdout.close()
        said = scanning.stderr.read()
        scanning.stdout = None

        assert scanning.wait(ENDING_S) == 1
        assert said == "genrectl: standard output: Broken pipe; what was written before is kept\n"
