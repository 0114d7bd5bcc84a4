"""The client in many processes: forked with a watch alive, spawned, pooled, pre-forked."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Server
from forking_worker import PROGRAMS

from worker_client import GenreRegistryClient


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_many_processes_ends_well(server: Server, program: str) -> None:
    """No child hangs or crashes, no call is lost, and where gRPC would crash, words say so."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("forking_worker.py"), program, server.target],
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert (done.returncode, done.stdout) == (0, "all well\n"), done.stderr
    # With asyncio, gRPC has its own words on forks, and on loops that end before their client.
    assert not done.stderr or program.startswith("asyncio"), done.stderr
    with GenreRegistryClient(server.target) as registry:
        assert registry.lookup_genre("Dub").id == 1
