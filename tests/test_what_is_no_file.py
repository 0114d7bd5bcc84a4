"""Pipes, devices and folders that are gone: each is refused in a sentence, and none waited for."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, Server, run
from test_client_credentials import new_token

EXIT_FOREIGN, EXIT_TARGET, EXIT_SETTINGS = 65, 73, 78


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def refused(exit_code: int, *command: str | Path, **environment: str) -> str:
    """Return the one sentence that *command* ends with."""
    done = run(*command, timeout_s=30, **environment)
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "option", ["--tokens", "--tls-certificate", "--tls-key", "--tls-client-ca", "--settings"]
)
@pytest.mark.parametrize("command", ["serve", "settings"])
def test_a_setting_that_names_a_pipe_or_a_device_is_refused(
    pipe: Path, command: str, option: str
) -> None:
    for named in (pipe, Path("/dev/zero")):
        said = refused(EXIT_SETTINGS, "genre-registry", command, option, named)
        assert "a pipe, a device or a socket" in said


def test_what_a_shell_hands_over_is_read(tmp_path: Path) -> None:
    """Standard input, a process's output, a link to a credential, and nothing at all."""
    named = tmp_path / "credential"
    (tmp_path / "settings.toml").write_text("history_kept = 7")
    named.symlink_to("settings.toml")
    command = f"{BIN}/genre-registry settings --settings"
    given = "echo 'history_kept = 7'"
    for line, kept in (
        (f"{given} | {command} /dev/stdin", 7),
        (f"{command} <({given})", 7),
        (f"{command} {named}", 7),
        (f"{command} /dev/null", 100_000),
    ):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert re.search(rf"^history_kept +{kept} ", done.stdout, re.MULTILINE), done.stderr


def test_a_settings_file_is_neither_endless_nor_bottomless(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    for content, said in (
        ("a = " + "[" * 5000 + "]" * 5000, "nested deeper than any settings are"),
        ("#" * (1 << 21), "more than 1,048,576 bytes"),
    ):
        file.write_text(content)
        assert said in refused(EXIT_SETTINGS, "genre-registry", "settings", "--settings", file)


@pytest.mark.parametrize("command", ["backup", "restore", "check", "migrate", "packs", "serve"])
def test_a_database_that_is_no_file_is_refused(tmp_path: Path, pipe: Path, command: str) -> None:
    """A device is no empty registry, and a pipe no slow one."""
    target = tmp_path / "new.db"
    for named in (pipe, Path("/dev/null"), Path("/dev/zero")):
        arguments = {
            "backup": (target, "--database", named),
            "restore": (named, "--database", target),
        }.get(command, ("--database", named))
        said = run("genre-registry", command, *arguments, timeout_s=30)
        assert said.returncode == EXIT_FOREIGN, said.stderr
        assert f"{named} is a pipe, a device or a socket, and no database" in said.stderr
        assert not target.exists()


def test_a_backup_takes_neither_token_nor_certificate_from_a_device(
    server: Server, tmp_path: Path, pipe: Path
) -> None:
    """Nor does it wait for a pipe in the place of the newest backup."""
    command = ("genre-registry", "backup", tmp_path / "b.db", "--database", server.database)
    for option in ("--token-file", "--ca"):
        for named in (pipe, Path("/dev/zero")):
            said = refused(EXIT_SETTINGS, *command, option, named)
            assert f"{named} can't be read: It is a pipe" in said

    said = refused(
        *(EXIT_TARGET, "genre-registry", "backup", pipe, "--if-changed"),
        *("--database", server.database),
    )
    assert "exists already" in said


def test_a_token_may_come_from_a_process(server: Server, tmp_path: Path) -> None:
    """As a store of secrets gives it, which leaves it on no disk."""
    token = new_token(tmp_path / "elsewhere.json", "keeper", "operator")
    line = (
        f"{BIN}/genre-registry backup {tmp_path}/b.db --database {server.database} "
        f"--token-file <(echo {token})"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("backup", "t.db", "--database"),
        ("tls", "init", "--host", "localhost", "--directory", "t", "--database"),
    ],
    ids=["backup", "tls"],
)
def test_a_working_directory_that_is_gone_is_told(
    server: Server, tmp_path: Path, command: tuple[str, ...]
) -> None:
    gone = tmp_path / "gone"
    words = " ".join([f"{BIN}/genre-registry", *command, str(server.database)])
    line = f"mkdir {gone}; cd {gone}; rmdir {gone}; {words}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)

    assert done.returncode == EXIT_TARGET, done.stderr
    assert "the working directory is gone" in done.stderr
    assert "Traceback" not in done.stderr
