"""A worker installs the client alone, also beside an application that is still on protobuf 6."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Server

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


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of an environment that holds protobuf 6 and the client."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [*(python, "-m", "pip", "install", "-qq", "protobuf<7", ROOT)], check=True, timeout=300
    )
    return python


def test_the_client_works_beside_protobuf_6(python: Path, server: Server) -> None:
    """Nothing conflicts, nothing of the server is needed, and nothing warns."""
    checked = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True)
    worked = subprocess.run(
        [python, "-c", WORKER, server.target], capture_output=True, text=True, timeout=60
    )

    assert checked.returncode == 0, checked.stdout
    assert (worked.stdout, worked.stderr) == ("Trip-Hop\n", "")
