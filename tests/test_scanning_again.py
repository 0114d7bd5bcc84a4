"""`genrectl scan --state`: a second scan reads what has changed, and loses no track."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, StartServer, run_installed, running_server
from mutagen.flac import FLAC
from sample_library import SEEDS, make_library

from worker_client import GenreRegistryClient, TagSet
from worker_client.scan.output import Output
from worker_client.scan.reporting import track_line
from worker_client.scan.state import APPLICATION_ID, VERSION, ScanState
from worker_client.scan.tracks import Outcome, Track
from worker_client.scan.walking import audio_files


def scan(server: Server, folder: Path, state: Path, *more: str) -> tuple[int, list[str], str]:
    """Scan *folder* with *state*; return the exit code, the paths told and what was said."""
    done = run_installed(
        *("genrectl", "--target", server.target, "scan", str(folder)),
        *("--state", str(state), *more),
    )
    return done.returncode, paths_of(done.stdout), done.stderr


def paths_of(lines: str) -> list[str]:
    return [json.loads(line)["path"] for line in lines.splitlines()]


def tag(path: Path, *values: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SEEDS / "silence.flac", path)
    audio = FLAC(path)
    audio["genre"] = list(values)
    audio.save()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: what a test needs of it is only that it answers."""
    with running_server(tmp_path_factory.mktemp("registry") / "registry.db") as running:
        yield running


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return tmp_path / "music"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "scan.state"


def test_only_what_changed_is_read_again(server: Server, music: Path, state: Path) -> None:
    """New, changed and failed files; unchanged ones are counted, and gone ones forgotten."""
    make_library(music, 40)
    odd = os.fsdecode(os.fsencode(music) + b"/caf\xe9.flac")
    shutil.copyfile(SEEDS / "silence.flac", odd)
    (music / "broken.flac").write_bytes(b"fLaC" + bytes(40))
    everything = list(audio_files(music))

    code, told, said = scan(server, music, state)
    assert (code, told) == (1, everything)
    assert "unchanged" not in said

    code, told, said = scan(server, music, state)
    assert (code, told) == (1, [str(music / "broken.flac")])
    assert "41 files are unchanged" in said

    tag(music / "broken.flac", "Dub")
    changed, gone, *_ = (Path(path) for path in everything if "Artist" in path)
    tag(music / "Artist 99" / "new.flac", "Ska")
    with changed.open("ab") as file:
        file.write(bytes(1))
    gone.unlink()
    code, told, said = scan(server, music, state)
    assert code == 0
    assert set(told) == {
        *map(str, (changed, music / "Artist 99" / "new.flac", music / "broken.flac"))
    }
    assert "39 files are unchanged" in said
    assert "1 files are gone" in said

    code, told, said = scan(server, music, state)
    assert (code, told) == (0, [])
    assert "42 files are unchanged" in said
    assert "gone" not in said


def test_a_folder_is_known_however_it_is_named(
    server: Server, music: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From within, or from elsewhere; and another folder of the same state stays known."""
    tag(music / "a.flac", "Dub")
    tag(music.with_name("music too") / "b.flac", "Ska")
    assert len(scan(server, music, state)[1]) == 1
    assert len(scan(server, music.with_name("music too"), state)[1]) == 1

    monkeypatch.chdir(music)
    assert scan(server, Path(), state)[1] == []
    assert scan(server, Path("../music too"), state)[1] == []


def test_another_registry_is_told_everything(
    server: Server, start_server: StartServer, music: Path, state: Path, tmp_path: Path
) -> None:
    """Its ids are others: everything is read again, and standard error says why."""
    make_library(music, 10)
    scan(server, music, state)
    other = start_server(database=tmp_path / "other.db")

    code, told, said = scan(other, music, state)

    assert (code, told) == (0, list(audio_files(music)))
    assert f"{state} is of another registry: everything is read again" in said
    assert scan(other, music, state)[1] == []


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
        database.execute("CREATE TABLE to_come (x)")


def damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("CREATE TABLE nothing_of_ours (x)")


def test_a_file_of_another_kind_is_refused_and_left_alone(server: Server, tmp_path: Path) -> None:
    """In a sentence; neither the file nor the output is touched."""
    tag(tmp_path / "music" / "a.flac", "Dub")
    output = tmp_path / "tracks.jsonl"
    output.write_text("{}\n")
    song = tmp_path / "song.mp3"
    song.write_bytes((SEEDS / "silence.mp3").read_bytes())
    newer(tmp_path / "newer")
    damaged(tmp_path / "damaged")
    for path, reason in (
        (song, "is no state file of a scan"),
        (server.database, "is no state file of a scan"),
        (tmp_path / "newer", "was written by a newer genrectl"),
        (tmp_path / "damaged", "is damaged"),
        (tmp_path / "nowhere" / "state", "can't be read or written"),
    ):
        before = path.read_bytes() if path.exists() else None

        code, _, said = scan(server, tmp_path / "music", path, "--output", str(output))

        assert code == 1
        assert f"{path} {reason}" in said
        assert "Traceback" not in said
        assert (path.read_bytes() if path.exists() else None) == before
        assert output.read_text() == "{}\n"


@pytest.mark.parametrize(
    ("more", "reason"), [(["--dry-run"], "--dry-run"), (["--output", "{state}"], "one file")]
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, more: list[str], reason: str) -> None:
    """A dry run has nothing to remember, and lines must not go over the state."""
    state = tmp_path / "scan.state"

    done = run_installed(
        *("genrectl", "scan", str(tmp_path), "--state", str(state)),
        *(argument.format(state=state) for argument in more),
    )

    assert done.returncode == 2
    assert reason in done.stderr
    assert not state.exists()


def test_a_state_is_for_one_scan_at_a_time(server: Server, music: Path, state: Path) -> None:
    """The second one says so at once instead of waiting."""
    tag(music / "a.flac", "Dub")
    with ScanState(state, music):
        code, told, said = scan(server, music, state)

    assert (code, told) == (1, [])
    assert f"{state} is in use by another scan" in said
    assert scan(server, music, state)[0] == 0


def test_a_registry_out_of_reach_is_said_before_anything_is_read(music: Path, state: Path) -> None:
    """Nobody knows whether the ids of the state are still those of the registry."""
    tag(music / "a.flac", "Dub")

    done = run_installed(
        *("genrectl", "--target", "127.0.0.1:1", "--deadline-s", "0.5"),
        *("scan", str(music), "--state", str(state)),
    )

    assert (done.returncode, done.stdout) == (5, "")
    assert "could not be reached" in done.stderr


def test_a_killed_scan_is_gone_on_with_in_its_file(
    server: Server, registry: GenreRegistryClient, music: Path, state: Path, tmp_path: Path
) -> None:
    """Lines that the state knows nothing of, and half a line, make way: each track is once."""
    make_library(music, 8)
    everything = list(audio_files(music))
    output_path = tmp_path / "tracks.jsonl"
    outcomes = [Outcome(Track(path, TagSet(()))) for path in everything]
    outcomes[1] = Outcome(outcomes[1].track, error="the registry could not be reached")
    with ScanState(state, music) as killed, Output(output_path) as output:
        assert not killed.is_of_another(registry.list_page(page_size=1).incarnation)
        assert killed.goes_on_in(output_path) is None
        assert list(killed.changed(everything, lambda _: None)) == everything
        for outcome in (outcomes[0], outcomes[2]):
            output.write(track_line(outcome))
            killed.add(outcome)
        killed.add(outcomes[1])
        killed.commit(output.settle())
        output.write(track_line(outcomes[3]))
        output.write('{"path": "half a')

    code, _, said = scan(server, music, state, "--output", str(output_path))

    assert code == 0
    assert "2 files are unchanged" in said
    told = paths_of(output_path.read_text(encoding="utf-8"))
    assert told[:2] == [everything[0], everything[2]]
    assert sorted(told) == sorted(everything)

    # That one came to its end: the lines of the next are all there is.
    scan(server, music, state, "--output", str(output_path))
    assert output_path.read_text() == ""


def test_the_summary_for_scripts_counts_them_too(server: Server, music: Path, state: Path) -> None:
    """What was left out is no track of this scan."""
    make_library(music, 6)
    scan(server, music, state)
    next(music.rglob("*.mp3")).unlink()

    done = run_installed(
        *("genrectl", "--target", server.target, "--json"),
        *("scan", str(music), "--state", str(state)),
    )

    summary: dict[str, Any] = json.loads(done.stderr)
    assert (summary["tracks"], summary["unchanged"], summary["gone"]) == (0, 5, 1)
    assert summary["other_registry"] is False
