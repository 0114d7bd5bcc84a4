"""The operator's page is run as it stands; scripts/test-systemd runs what takes root."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, StartServer, run

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "registry_server/OPERATING.md").read_text(encoding="utf-8")
UNITS = ROOT / "scripts/systemd"


def lines_with(command: str) -> list[str]:
    """Return the page's command lines that start with *command*, which needs no root here."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.removeprefix("sudo ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(command + " ")]


def test_the_operators_commands_run(start_server: StartServer, tmp_path: Path) -> None:
    """One after the other, beside a running server and without one."""
    server = start_server()
    server.stop()
    prepared = [
        "genre-registry tls init --host localhost",
        f"genre-registry backup {tmp_path}/given.db",
    ]
    lines = [
        *prepared,
        *(
            line.replace("/var/lib/genre-registry", str(server.database.parent))
            for line in lines_with("genre-registry")
            if " restore " not in line
        ),
        *(
            re.sub(r"/var/backups/\S+", f"{tmp_path}/given.db", line)
            + f" --database {tmp_path}/new.db"
            for line in lines_with("genre-registry restore")
        ),
    ]
    environment = {**os.environ, "GENRE_REGISTRY_DATABASE": str(server.database)}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert len(lines) > 6


def test_packs_names_the_database_it_looked_at(tmp_path: Path) -> None:
    """Beside the list, which goes to standard output."""
    database = tmp_path / "registry.db"
    listed = run("genre-registry", "packs", "--database", database)

    assert (listed.returncode, listed.stderr) == (0, f"database: {database}\n")


def test_every_exit_code_of_the_page_is_in_the_help() -> None:
    """But for the one that systemd itself gives."""
    said = subprocess.run(
        [BIN / "genre-registry", "--help"], capture_output=True, text=True, check=True
    ).stdout
    known = set(re.findall(r"^\s+(\d+)  ", said, re.MULTILINE))
    assert set(re.findall(r"^\| (\d\d+) \|", PAGE, re.MULTILINE)) - known == {"243"}


def test_what_the_unit_does_not_try_again_is_on_the_page() -> None:
    """What only a person can mend."""
    unit = (UNITS / "genre-registry.service").read_text()
    [codes] = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert f"({', '.join(codes.split())})" in PAGE.replace("\n", " ")


def test_every_alert_is_on_the_page() -> None:
    """With what to do; and the page names no other."""
    rules = (ROOT / "scripts/monitoring/alerts.yml").read_text()
    alerts = re.findall(r"^ +- alert: (\w+)$", rules, re.MULTILINE)
    assert re.findall(r"^\| `(GenreRegistry\w+)` \|", PAGE, re.MULTILINE) == alerts


def test_every_metric_is_on_the_page() -> None:
    """As the dashboard names them."""
    board = (ROOT / "scripts/monitoring/genre-registry-dashboard.json").read_text()
    used = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in re.findall(r"genre_registry_[a-z_]+", board)
    }
    assert used <= set(re.findall(r"^\| `(genre_registry_\w+)` \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("unit", ["genre-registry.service", "genre-registry-backup.service"])
def test_the_units_are_hardened(unit: str) -> None:
    """By systemd's own count, where it is new enough to count without running."""
    try:
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager", UNITS / unit],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except FileNotFoundError:
        pytest.skip("there is no systemd-analyze here")
    found = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if not found:
        pytest.skip("this systemd-analyze counts running units only")
    assert float(found[0]) <= 1.0, done.stdout


def test_the_shell_files_are_sound() -> None:
    """Each can be read by sh; and an installation that is only tried changes nothing."""
    files = [
        *(ROOT / "scripts/install", ROOT / "scripts/build-deb", ROOT / "scripts/test-systemd"),
        *(ROOT / "scripts/support/installing.sh", UNITS / "genre-registry"),
        *(path for path in (ROOT / "scripts/debian").iterdir() if path.name != "control"),
    ]
    for file in files:
        assert subprocess.run(["sh", "-n", file]).returncode == 0, file
    wrong = subprocess.run([ROOT / "scripts/install", "--purge"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "scripts/install: --purge goes with --uninstall only.\n",
    )
