"""A worker installs the client alone, also beside an application that is still on protobuf 6."""

import subprocess
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
