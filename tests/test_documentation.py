"""What the README says is run as it stands."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BIN, Server
from sample_library import make_library

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGET = "127.0.0.1:50051"


def blocks(language: str) -> list[str]:
    """Return the README's code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def lines_with(command: str) -> list[str]:
    """Return the README's command lines that start with *command*, without comments."""
    found = [line.partition("  #")[0] for block in blocks("sh") for line in block.splitlines()]
    return [line for line in found if line.startswith(command + " ")]


def test_the_worker_in_ten_lines_runs(server: Server) -> None:
    """A newcomer copies it and sees a genre."""
    [worker] = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", worker.replace(TARGET, server.target)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.splitlines() == ["1 Trip-Hop True", "['Electronic', 'Trip-Hop']"]
    assert len([line for line in worker.splitlines() if line.strip()]) <= 10


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
    assert found == [0, 1, 2, 65, 66, 71, 74, 75, 76, 78]


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
