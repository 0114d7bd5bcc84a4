"""
A worker installs the client alone, also beside an application that is still on protobuf 6; and
the steps of a service's installation that need no systemd.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from conftest import Server, make_environment, pip_of

ROOT = Path(__file__).parent.parent

WORKER = """
import sys, warnings
warnings.simplefilter("error")
import google.protobuf
from worker_client import GenreRegistryClient

assert google.protobuf.__version__.startswith("6."), google.protobuf.__version__
with GenreRegistryClient(sys.argv[1]) as registry:
    print(registry.get_or_create("Trip-Hop").genre.name)
"""


def test_the_client_works_beside_protobuf_6(tmp_path: Path, server: Server) -> None:
    """Nothing conflicts, nothing of the server is needed, and nothing warns."""
    python = make_environment(tmp_path / "venv", "protobuf<7", ROOT) / "python"

    checked = subprocess.run([*pip_of(tmp_path / "venv"), "check"], capture_output=True, text=True)
    worked = subprocess.run(
        [python, "-c", WORKER, server.target], capture_output=True, text=True, timeout=60
    )

    assert checked.returncode == 0, checked.stdout
    assert (worked.stdout, worked.stderr) == ("Trip-Hop\n", "")


STEPS = """
set -e
MATERIAL=/nowhere
. "$1/scripts/support/installing.sh"
CONFIGURATION=$2
SERVICE_USER=$(id -un)
ENVIRONMENT=$2/environment
STATE=$2
python=$3
as_service() { echo "grt_new"; }
"""


def step(folder: Path, *lines: str) -> str:
    """Run *lines* with the steps of an installation whose folders are *folder*."""
    done = subprocess.run(
        ["sh", "-c", "\n".join([STEPS, *lines]), "sh", ROOT, folder, sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_that_is_installed_is_the_service_users_alone(tmp_path: Path) -> None:
    """Whoever joins its group, for the unix socket, reads none."""
    step(tmp_path, f"new_token operator operator {tmp_path}/operator.token")

    made = tmp_path / "operator.token"
    assert (made.read_text(), mode_of(made)) == ("grt_new\n", 0o600)


def test_an_upgrade_takes_tokens_from_the_group(tmp_path: Path) -> None:
    """Those that an earlier version made; what a person has set otherwise stays."""
    older, own = tmp_path / "operator.token", tmp_path / "own.token"
    for file, mode in ((older, 0o640), (own, 0o440)):
        file.write_text("grt_old")
        file.chmod(mode)

    rehearsed = step(tmp_path, "DRY_RUN=yes", "keep_tokens_secret")
    before = mode_of(older)
    said = step(tmp_path, "keep_tokens_secret")

    assert before == 0o640
    assert rehearsed == f"would: {said}"
    assert said.startswith(f"token: {older} ")
    assert (mode_of(older), mode_of(own)) == (0o600, 0o440)
    assert step(tmp_path, "keep_tokens_secret") == ""
    assert "    keep_tokens_secret\n" in (ROOT / "scripts/support/installing.sh").read_text()


def test_a_registry_is_adopted_whatever_its_path(tmp_path: Path) -> None:
    """Characters that mean something in a URI mean nothing in a path."""
    (tmp_path / "100%25").mkdir()
    original = tmp_path / "100%25" / "is it #1?mode=rwc.db"
    with closing(sqlite3.connect(original)) as database, database:
        database.execute("CREATE TABLE adopted (id INTEGER)")

    step(tmp_path, f"adopt '{original}'")

    with closing(sqlite3.connect(tmp_path / "registry.db")) as copy:
        assert copy.execute("SELECT name FROM sqlite_schema").fetchall() == [("adopted",)]
