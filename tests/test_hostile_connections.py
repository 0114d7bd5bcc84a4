"""Whatever a connection sends or leaves unsaid, others are served and nothing piles up."""

import json
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import BIN, StartServer

from worker_client import GenreRegistryClient

ROOT = Path(__file__).parent.parent
CAMPAIGN = ROOT / "scripts/support/flood_campaign.py"


@pytest.mark.parametrize("how", [(), ("--tls",)], ids=["in the clear", "by TLS"])
def test_a_client_is_served_through_a_short_campaign(how: tuple[str, ...]) -> None:
    """Floods, garbage, oversized frames, resets, twice over: answers, no growth, a short log."""
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--connections", "400", "--rounds", "2", *how],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"log: [1-5] lines", done.stdout)


def test_more_connections_than_allowed_are_closed_at_once(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Whoever is connected is served on; whoever leaves makes room."""
    file = tmp_path / "settings.toml"
    file.write_text("connections_max = 10\n")
    server = start_server(flags=["--settings", str(file)])
    host, _, port = server.target.rpartition(":")
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Dub")
        silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(9)]

        with socket.create_connection((host, int(port)), timeout=10) as one_too_many:
            assert one_too_many.recv(1) == b""
        assert registry.get_or_create("Ska").created

        for connection in silent:
            connection.close()
        with GenreRegistryClient(server.target) as another:
            assert not another.get_or_create("Dub").created


def test_an_idle_connection_is_closed(start_server: StartServer, tmp_path: Path) -> None:
    """A caller who has nothing to ask holds nothing, and hears of no trouble when it asks again."""
    file = tmp_path / "settings.toml"
    file.write_text("connection_idle_s_max = 1\n")
    server = start_server(flags=["--settings", str(file)])
    with GenreRegistryClient(server.target, cache_size=0) as registry:
        registry.get_or_create("Dub")
        peers = connections_to(server.target)
        deadline_s = time.monotonic() + 10
        while connections_to(server.target) & peers:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

        assert not registry.get_or_create("Dub").created


def connections_to(target: str) -> set[str]:
    """Return the ports of this machine that are connected to *target*."""
    wanted = f"0100007F:{int(target.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    established = "01"
    return {line[1] for line in lines if line[2] == wanted and line[3] == established}


def test_descriptors_never_run_out(database: Path) -> None:
    """Where only 200 files may be open, the database gets its own, and the log says so once."""
    command = f"ulimit -n 200; exec {BIN}/genre-registry serve --listen 127.0.0.1:0 --database "
    with subprocess.Popen(
        ["sh", "-c", command + str(database)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        target = json.loads(process.stdout.readline())["listen"]
        host, _, port = target.rpartition(":")
        with ExitStack() as stack:
            registry = stack.enter_context(GenreRegistryClient(target))
            registry.get_or_create("Dub")
            for _ in range(300):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=10))

            assert registry.get_or_create("Ska").created
        process.terminate()
        said = [json.loads(line)["message"] for line in process.stdout]

    assert process.returncode == 0
    assert len([each for each in said if "LimitNOFILE" in each]) == 1
    assert said[1:] == ["genre created", "genre created", "stopping", "stopped"]
