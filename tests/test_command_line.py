"""`genrectl` by hand and in scripts: what it prints, and its exit codes."""

import json
from importlib.metadata import entry_points

from conftest import Server, run_installed
from forked_commands import COMMANDS


def genrectl(server: Server, *arguments: str) -> tuple[int, str, str]:
    """Call the server with a command; return exit code, output and errors."""
    done = run_installed("genrectl", *arguments, GENRECTL_TARGET=server.target)
    return done.returncode, done.stdout, done.stderr


def test_names_are_created_and_known(server: Server) -> None:
    """One line a name, in a form that people read; a bad one fails alone."""
    code, out, errors = genrectl(server, "get-or-create", "Hip-Hop", "", "hip hop")

    assert out.splitlines() == ["     1  Hip-Hop  (created)", "     1  Hip-Hop  (known)"]
    assert errors == "genrectl: '': The name is empty.\n"
    assert code == 4


def test_raw_values_are_resolved(server: Server) -> None:
    """With the spelling found, and the rule that found it."""
    code, out, errors = genrectl(server, "--json", "resolve", "Rock; Pop; " + "x" * 201)

    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"id": 1, "name": "Rock", "created": True, "spelling": "Rock", "rule": "R4"},
        {"id": 2, "name": "Pop", "created": True, "spelling": "Pop", "rule": "R4"},
    ]
    assert "NAME_TOO_LONG" in errors
    assert genrectl(server, "resolve", "a", "b;c", "--container", "vorbis")[1].splitlines() == [
        "     3  a  (created)  from 'a' by R0",
        "     4  b;c  (created)  from 'b;c' by R0",
    ]


def test_looking_up_has_its_own_exit_code(server: Server) -> None:
    """Scripts tell what is missing from what went wrong."""
    genrectl(server, "get-or-create", "R&B")

    assert genrectl(server, "lookup", "r & b") == (0, "     1  R&B\n", "")
    code, out, errors = genrectl(server, "lookup", "jazz")
    assert (code, out) == (3, "")
    assert errors == 'genrectl: No genre is named "jazz".\n'


def test_the_list_holds_everything(server: Server) -> None:
    """More than one page of it, too."""
    names = [f"genre {n}" for n in range(700)]
    genrectl(server, "get-or-create", *names)
    genrectl(server, "get-or-create", *(f"more {n}" for n in range(700)))

    _, out, _ = genrectl(server, "--json", "list")

    listed = [json.loads(line) for line in out.splitlines()]
    assert [genre["id"] for genre in listed] == list(range(1, 1401))
    assert [genre["name"] for genre in listed[:700]] == names


def test_an_absent_registry_is_named() -> None:
    """A sentence with the target, no traceback, and an exit code of its own."""
    done = run_installed("genrectl", "--target", "127.0.0.1:1", "--deadline-s", "0.3", "list")

    assert (done.returncode, done.stdout) == (5, "")
    assert "127.0.0.1:1 could not be reached" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_tests_fork_is_what_is_installed() -> None:
    """Both run the same function of the same module."""
    installed = {each.name: each.value for each in entry_points(group="console_scripts")}

    assert {
        name: f"{module}:main" for name, module in COMMANDS.items()
    }.items() <= installed.items()
