"""A damaged database ends its server with a sentence and 70, and the log stays readable."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ENDING_S, StartServer, run, running_server

from worker_client import GenreRegistryClient, RegistryUnavailable

PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of two thousand genres, closed; tests copy it."""
    path = tmp_path_factory.mktemp("used") / "registry.db"
    with running_server(path) as server, GenreRegistryClient(server.target) as registry:
        for part in range(2):
            registry.batch_get_or_create([f"Genre {part} {number}" for number in range(1000)])
    return path


@pytest.fixture
def copy(used: Path, database: Path) -> Path:
    shutil.copy(used, database)
    return database


def overwrite(path: Path, page: int) -> None:
    """Overwrite a page, counted from 1 as SQLite does, as a failing card does."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(os.urandom(PAGE_BYTES - 1).rjust(PAGE_BYTES, b"\xff"))


def root_of(path: Path, table: str) -> int:
    """Return the page that every look into *table* begins with."""
    with closing(sqlite3.connect(path)) as connection:
        asked = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return int(connection.execute(asked, (table,)).fetchone()[0])


def serve_in_vain(path: Path) -> subprocess.CompletedProcess[str]:
    return run("genre-registry", "serve", "--listen", "127.0.0.1:0", "--database", path)


def says_what_to_do(said: str, database: Path) -> bool:
    """Whether *said* is one sentence that names the file and the command that mends it."""
    return (
        said.startswith(f"genre-registry: The database {database} is damaged: ")
        and said.endswith(f"genre-registry restore BACKUP --database {database}\n")
        and said.count("\n") == 1
    )


@pytest.mark.parametrize("table", ["spelling", "genre", "registry"])
def test_damage_that_a_start_meets_ends_it(copy: Path, table: str) -> None:
    """Whatever reads it, and however far the start had come."""
    overwrite(copy, root_of(copy, table))

    ended = serve_in_vain(copy)

    assert (ended.returncode, ended.stdout) == (70, "")
    assert says_what_to_do(ended.stderr, copy)


def test_a_lost_first_page_is_damage_and_a_diary_is_not(copy: Path) -> None:
    """A file that goes on as SQLite's do was a database; any other is left to its owner."""
    overwrite(copy, 1)
    ended = serve_in_vain(copy)
    assert ended.returncode == 70
    assert says_what_to_do(ended.stderr, copy)

    copy.write_text("Dear diary, \n" * 8192)
    assert copy.stat().st_size % PAGE_BYTES == 0
    assert serve_in_vain(copy).returncode == 65


def test_damage_that_a_call_meets_ends_the_server(
    copy: Path, start_server: StartServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Callers are told, the log says it without a traceback, and no restart is asked for."""
    overwrite(copy, root_of(copy, "change"))
    server = start_server()
    with (
        GenreRegistryClient(server.target) as registry,
        pytest.raises(RegistryUnavailable),
    ):
        registry.get_or_create("Dub", deadline_s=1)

    assert server.process.wait(ENDING_S) == 70
    assert says_what_to_do(capfd.readouterr().err, copy)
    assert not [line for line in server.lines if "Traceback" in str(line.get("exception"))]
