"""What the README says is run as it stands."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import BIN, Server, StartServer
from sample_library import make_library

from worker_client import GenreRegistryClient, SpellingBlocked

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGET = "127.0.0.1:50051"


def blocks(language: str) -> list[str]:
    """Return the README's code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block_with(command: str) -> str:
    """Return the README's one shell session that has *command*."""
    [found] = [block for block in blocks("sh") if command in block]
    return found


CURATING = block_with("genrectl unmerge")
MOVING = block_with("genrectl import sqlite")
PROTECTING = block_with("genre-registry token new")


def run_session(lines: Iterable[str], target: str, folder: Path) -> str:
    """Run *lines* one after the other, as a reader does; return what they print."""
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "GENRECTL_TARGET": target,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines_with(command: str) -> list[str]:
    """Return the README's command lines that start with *command*, without comments."""
    alone = [block for block in blocks("sh") if block not in (CURATING, MOVING)]
    found = [line.partition("  #")[0] for block in alone for line in block.splitlines()]
    return [line for line in found if line.startswith(command + " ")]


def test_the_worker_in_ten_lines_runs(server: Server) -> None:
    """A newcomer copies it and sees a genre."""
    worker, _ = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", worker.replace(TARGET, server.target)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.splitlines() == ["1 Trip-Hop True", "['Electronic', 'Trip-Hop']"]
    assert len([line for line in worker.splitlines() if line.strip()]) <= 10


def test_the_copy_that_stays_true_runs(server: Server, registry: GenreRegistryClient) -> None:
    """Listed, and watched from there: nothing has happened meanwhile."""
    registry.get_or_create("Dub")
    _, copying = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", copying.replace(TARGET, server.target)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.splitlines() == ["1 HEARTBEAT None"], done.stderr


def test_the_mending_session_runs(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """One command after the other, on genres that are there."""
    names = ("Electronic", "Hip Hop", "Hip Hop Beats", "zydeco", "Drum and Bass", "House")
    registry.batch_get_or_create([*names, "Deep House", "Junk"])
    lines = [line for line in CURATING.splitlines() if not line.startswith("genrectl watch")]

    printed = run_session(lines, server.target, tmp_path)

    assert "Electronic" in printed
    assert registry.lookup_genre("Hip Hop Beats").name == "Hip Hop Beats"
    assert registry.lookup_genre("D'n'B").name == "Drum and Bass"
    house = registry.lookup_genre("House")
    assert house.id in registry.lookup_genre("Deep House").parent_ids
    with pytest.raises(SpellingBlocked):
        registry.get_or_create("audiobook")


def test_the_moving_session_runs(start_server: StartServer, tmp_path: Path) -> None:
    """An application's table goes in, with a map of ids, or with its own ids."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as application, application:
        application.execute("CREATE TABLE genres (id INTEGER PRIMARY KEY, name TEXT)")
        application.execute("INSERT INTO genres VALUES (70, 'Dub'), (90, 'DUB'), (95, 'Ska')")
    lines = [line for line in MOVING.splitlines() if line]

    run_session(lines[:2], start_server().target, tmp_path)
    other = start_server(database=tmp_path / "other.db")
    run_session(lines[2:], other.target, tmp_path)

    ids = (tmp_path / "ids.csv").read_text().splitlines()
    assert ids == ["old_id,new_id,name", "70,1,Dub", "90,1,Dub", "95,2,Ska"]
    with GenreRegistryClient(other.target) as registry:
        assert [registry.get_genre(genre_id).id for genre_id in (70, 90, 95)] == [70, 70, 95]


def test_the_protecting_session_runs(tmp_path: Path) -> None:
    """From the first token to a certificate, in the user's own state directory."""
    lines = ["export XDG_STATE_HOME=$PWD", *PROTECTING.splitlines()]

    printed = run_session(lines, TARGET, tmp_path)

    assert "scanner-1  worker" in printed
    assert (tmp_path / "scanner-1.token").read_text().startswith("grt_")
    assert (tmp_path / "genre-registry" / "tls" / "clients" / "nas.pem").exists()
    assert (tmp_path / "genres.protoset").stat().st_size > 1000


@pytest.mark.parametrize("line", lines_with("grpcurl"))
def test_every_grpcurl_line_runs(grpcurl: Path, server: Server, line: str) -> None:
    """As printed, but for the port."""
    _, *arguments = shlex.split(line.replace(TARGET, server.target))

    done = subprocess.run([grpcurl, *arguments], capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("line", lines_with("genrectl"))
def test_every_genrectl_line_runs(server: Server, tmp_path: Path, line: str) -> None:
    """On a server that already knows jazz, with a music folder of our own."""
    make_library(tmp_path / "Music", 10)
    known = [BIN / "genrectl", "--target", server.target, "get-or-create", "Jazz"]
    subprocess.run(known, check=True, capture_output=True)
    genre = {"id": "911c7bbb-172d-4df8-9478-dbff4296e791", "name": "pop", "disambiguation": ""}
    page = {"genre-count": 1, "genre-offset": 0, "genres": [genre]}
    (tmp_path / "genres.json").write_text(json.dumps(page))
    arguments = shlex.split(line.replace("~", str(tmp_path)))[1:]

    done = subprocess.run(
        [BIN / "genrectl", "--target", server.target, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr


def test_every_file_that_is_linked_exists() -> None:
    """In this page and in the rooms' own."""
    pages = [ROOT / "README.md", *ROOT.glob("*/README.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 5
    assert [link for page, link in links if not (page.parent / link).exists()] == []


def test_every_exit_code_of_the_table_is_in_the_help() -> None:
    """What scripts rely on is written down where an operator looks."""
    said = subprocess.run(
        [BIN / "genre-registry", "--help"], capture_output=True, text=True, check=True
    ).stdout
    found = [int(code) for code in re.findall(r"^\s+(\d+)  ", said, re.MULTILINE)]
    assert found == [0, 1, 2, 65, 66, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78]


def test_the_demonstration_holds(tmp_path: Path) -> None:
    """`scripts/demo` on a folder of one's own: every claim is answered with yes."""
    make_library(tmp_path / "music", 120)

    done = subprocess.run(
        [ROOT / "scripts/demo", tmp_path / "music"],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n  yes  ") == 4
    assert "grpcurl -plaintext" in done.stdout
