"""`genrectl` on another machine: its token, its certificates, and how it ends without them."""

import json
from pathlib import Path

import pytest
from conftest import StartServer, run, run_installed
from sample_library import make_library
from test_client_credentials import Home, make_authority, needs_openssl, new_token

TARGET = "GENRECTL_TARGET"
NOT_AUTHENTICATED, NOT_PERMITTED, UNAVAILABLE, USAGE = 9, 10, 5, 2


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def token_file(tokens: Path, tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(new_token(tokens, "scanner-1") + "\n")
    return file


def test_each_way_to_give_a_token_works(
    start_server: StartServer, tokens: Path, token_file: Path
) -> None:
    """By a flag's file, by the environment's file, by the environment: never as an argument."""
    target = start_server(flags=["--tokens", str(tokens)]).target
    given = {TARGET: target}
    token = token_file.read_text().strip()
    ways = [
        run("genrectl", "--token-file", token_file, "list", **given),
        run("genrectl", "list", GENRE_REGISTRY_TOKEN_FILE=str(token_file), **given),
        run("genrectl", "list", GENRE_REGISTRY_TOKEN=token, **given),
        run("genrectl", "--token-file", token_file, "list", GENRE_REGISTRY_TOKEN="no", **given),
    ]

    assert [way.returncode for way in ways] == [0] * 4, [way.stderr for way in ways]


def test_who_may_not_call_is_told_by_the_exit_code(
    start_server: StartServer, tokens: Path, token_file: Path, tmp_path: Path
) -> None:
    """No token, a wrong one, a role too low, a file that holds none: each in one sentence."""
    given = {TARGET: start_server(flags=["--tokens", str(tokens)]).target}
    token = token_file.read_text().strip()
    empty = tmp_path / "empty"
    empty.touch()
    for ended, code, words in (
        (run("genrectl", "list", **given), NOT_AUTHENTICATED, "A token is needed"),
        (
            run("genrectl", "list", GENRE_REGISTRY_TOKEN="wrong", **given),
            *(NOT_AUTHENTICATED, "none of this registry's"),
        ),
        (
            run("genrectl", "delete", "1", GENRE_REGISTRY_TOKEN=token, **given),
            *(NOT_PERMITTED, "needs a curator"),
        ),
        (
            run("genrectl", "--token-file", empty, "list", **given),
            *(NOT_AUTHENTICATED, "empty: this is no token"),
        ),
        (
            run("genrectl", "--token-file", tmp_path / "absent", "list", **given),
            *(USAGE, "does not exist"),
        ),
        (
            run("genrectl", "list", GENRE_REGISTRY_TOKEN="two words", **given),
            *(USAGE, "GENRE_REGISTRY_TOKEN"),
        ),
        (run("genrectl", "--key", empty, "list", **given), USAGE, "go together"),
        (
            run("genrectl", "--key", empty, "--certificate", empty, "list", **given),
            *(USAGE, "wants --ca"),
        ),
    ):
        assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
        assert "Traceback" not in ended.stderr
        assert not any(secret in ended.stderr for secret in (token, "two words"))


@needs_openssl
def test_a_scan_over_tls_with_a_token(
    start_server: StartServer, tokens: Path, token_file: Path, tmp_path: Path
) -> None:
    """Its processes read, it alone calls; a wrong authority ends it in words."""
    home = Home(tmp_path / "tls")
    make_authority(home.folder)
    music = tmp_path / "music"
    music.mkdir()
    make_library(music, 12)
    target = start_server(flags=[*home.flags(), "--tokens", str(tokens)]).target
    files = ("--target", target, "--token-file", token_file, "--ca", home.ca)

    done = run_installed("genrectl", *files, "--json", "scan", music)

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["tracks"], summary["failed"]) == (12, [])
    make_authority(tmp_path / "other")
    wrong = run(
        *("genrectl", "--deadline-s", "0.5", "--target", target, "--token-file", token_file),
        *("--ca", tmp_path / "other" / "authority.pem", "list"),
    )
    assert wrong.returncode == UNAVAILABLE
    assert "not signed by" in wrong.stderr


def test_a_proposed_command_names_the_same_files(
    start_server: StartServer, tokens: Path, token_file: Path
) -> None:
    """What `tidy` prints can be run as it is."""
    target = start_server(flags=["--tokens", str(tokens)]).target
    files = ("--target", target, "--token-file", token_file)
    made = run("genrectl", *files, "get-or-create", "HARD NOISE ROCK OF NOWHERE")
    assert made.returncode == 0, made.stderr

    proposed = run("genrectl", *files, "tidy")

    assert f"--token-file {token_file}" in proposed.stdout
