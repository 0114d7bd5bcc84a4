"""The examples for other people's workers run as they stand."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ENDING_S, Server

from worker_client import Genre, GenreRegistryClient

EXAMPLES = Path(__file__).parent.parent / "scripts" / "examples"


def run_example(name: str, *arguments: str, folder: Path) -> list[str]:
    """Run an example to its end; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_multiprocessing_worker(server: Server, tmp_path: Path) -> None:
    """A pool of plain processes, made by fork or by spawn, with a client in each."""
    lines = run_example("multiprocessing_worker.py", server.target, folder=tmp_path)

    ids = {line.split()[0]: line.split()[1:] for line in lines}
    assert ids.keys() == {"one.flac", "two.mp3", "three.m4a"}
    assert ids["one.flac"][0] == ids["three.m4a"][0]
    assert ids["two.mp3"] == ids["three.m4a"][1:]


def test_an_asyncio_worker(server: Server, tmp_path: Path) -> None:
    """Many tasks, one client, one deadline around them all; what names nothing has no id."""
    lines = run_example("asyncio_worker.py", server.target, folder=tmp_path)

    found = dict(line.rsplit(maxsplit=1) for line in lines)
    assert found["'Dub'"] == found["'dub'"] != found["'Ska'"]
    assert found["'   '"] == "None"


def test_a_worker_with_the_stubs_alone(server: Server, tmp_path: Path) -> None:
    """Nothing but gRPC and the generated code."""
    lines = run_example("stubs_only_worker.py", server.target, folder=tmp_path)

    assert lines == ["'Trip-Hop' 1", "'trip hop' 1", "' ' None"]
    assert "worker_client" not in (EXAMPLES / "stubs_only_worker.py").read_text()


def test_a_workers_own_unit_test() -> None:
    """With grpc_testing in place of a server, as a worker's author would run it."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("--rootdir", EXAMPLES, "-c", os.devnull, EXAMPLES / "test_stubs_only_worker.py"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_what_used_to_search_and_create(server: Server, tmp_path: Path) -> None:
    """A dict of genres by name; one genre for two spellings, nothing for what names none."""
    names = ("Hip-Hop", "hip hop", "R&B", "  ")

    lines = run_example("resolve_genres.py", server.target, *names, folder=tmp_path)

    assert lines == ["'Hip-Hop' 1 Hip-Hop", "'hip hop' 1 Hip-Hop", "'R&B' 2 R&B"]


@pytest.fixture
def application(server: Server, tmp_path: Path) -> "Application":
    return Application(server.target, tmp_path / "app.db")


class Application:
    """The example that keeps a table of its own, running until the block ends."""

    def __init__(self, target: str, database: Path) -> None:
        self.target = target
        self.database = database

    def __enter__(self) -> "Application":
        self._process = subprocess.Popen(
            [sys.executable, EXAMPLES / "own_table.py", self.target, self.database],
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=ENDING_S)

    def follow(self, revision: int) -> None:
        """Wait until it has followed up to the revision."""
        assert self._process.stdout is not None
        giving_up = threading.Timer(ENDING_S, self._process.kill)
        giving_up.start()
        for line in self._process.stdout:
            told, kind = line.split()
            if (int(told) >= revision and kind == "HEARTBEAT") or int(told) == revision:
                break
        else:
            raise AssertionError("the application ended")
        giving_up.cancel()

    def rows(self) -> dict[int, tuple[str, int | None, bool]]:
        with closing(sqlite3.connect(self.database)) as connection:
            found = connection.execute("SELECT id, name, survivor_id, deleted FROM genres")
            return {row[0]: (row[1], row[2], bool(row[3])) for row in found}


def test_an_application_keeps_its_own_table_true(
    application: Application, registry: GenreRegistryClient
) -> None:
    """While it runs by the watch, after it was away from where it had been."""
    dub, ska, punk = (registry.get_or_create(n).genre for n in ("Dubb", "Skaa", "Punkk"))
    with application as running:
        running.follow(punk.revision)
        assert running.rows() == {g.id: (g.name, None, False) for g in (dub, ska, punk)}
        renamed = registry.update_genre(dub.id, name="Dub Reggaee")
        merged = registry.merge_genres([ska.id], dub.id).genre
        deleted: Genre = registry.delete_genre(punk.id)
        running.follow(deleted.revision)
        assert running.rows() == {
            dub.id: ("Dub Reggaee", None, False),
            ska.id: ("Dub Reggaee", dub.id, False),
            punk.id: ("Punkk", None, True),
        }
    assert renamed.revision < merged.revision
    zouk = registry.get_or_create("Zoukk").genre
    registry.unmerge_genre(ska.id)
    last = registry.undelete_genre(punk.id)
    with application as running:
        running.follow(last.revision)
        assert running.rows() == {
            dub.id: ("Dub Reggaee", None, False),
            ska.id: ("Skaa", None, False),
            punk.id: ("Punkk", None, False),
            zouk.id: ("Zoukk", None, False),
        }
