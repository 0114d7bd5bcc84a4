"""What systemd hears of the server; scripts/test-systemd shows what a real one makes of it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from conftest import BIN, ENDING_S, lay_down
from grpc_health.v1 import health_pb2, health_pb2_grpc

WATCHDOG_S = 1.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of the socket at which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(ENDING_S)
        yield listening


@contextmanager
def notifying_server(tmp_path: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server as systemd starts it, on a unix socket in *tmp_path*."""
    lay_down(tmp_path / "registry.db")
    process = subprocess.Popen(
        [
            *(BIN / "genre-registry", "serve", "--listen", f"unix:{tmp_path}/registry.sock"),
            *("--database", tmp_path / "registry.db"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **variables},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=ENDING_S)


def test_it_is_ready_once_health_says_serving(systemd: socket.socket, tmp_path: Path) -> None:
    """Whoever is started after it may call at once; without a watchdog, nothing else is said."""
    with notifying_server(tmp_path) as process:
        assert systemd.recv(100) == b"READY=1"
        with grpc.insecure_channel(f"unix:{tmp_path}/registry.sock") as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

        process.send_signal(signal.SIGTERM)

        assert systemd.recv(100) == b"STOPPING=1"
        assert process.wait(ENDING_S) == 0


def test_the_watchdog_hears_of_a_loop_that_turns(systemd: socket.socket, tmp_path: Path) -> None:
    """In good time, each time; and nothing of one that stands still."""
    with notifying_server(tmp_path, WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6))) as process:
        assert systemd.recv(100) == b"READY=1"
        systemd.settimeout(WATCHDOG_S)
        assert {systemd.recv(100) for _ in range(3)} == {b"WATCHDOG=1"}

        process.send_signal(signal.SIGSTOP)

        assert len(list(_heard(systemd))) <= 1


def _heard(systemd: socket.socket) -> Iterator[bytes]:
    """Give what is heard until nothing has been for as long as the watchdog waits."""
    with suppress(TimeoutError):
        while True:
            yield systemd.recv(100)


def test_what_the_watchdog_ends_says_where_it_stood(systemd: socket.socket, tmp_path: Path) -> None:
    """The journal then has the stack of each thread."""
    with notifying_server(tmp_path, WATCHDOG_USEC="60000000") as process:
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1"

        process.send_signal(signal.SIGABRT)
        said, _ = process.communicate(timeout=ENDING_S)

    assert process.returncode == -signal.SIGABRT
    assert "most recent call first" in said
    assert "registry_server/cli.py" in said


def test_a_watchdog_of_another_process_is_not_fed(systemd: socket.socket, tmp_path: Path) -> None:
    """Nor is one whose time is no number."""
    for number, variables in enumerate(({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "notify").symlink_to(tmp_path / "notify")
        told = {"WATCHDOG_USEC": "100000", **variables}
        with notifying_server(folder, **told) as process:
            assert systemd.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"


def test_a_socket_that_nobody_reads_stops_no_server(tmp_path: Path) -> None:
    """A variable that a shell inherited from something else: it serves, and says so."""
    with notifying_server(tmp_path) as process:
        assert process.stdout is not None
        assert "listens on" in process.stdout.readline()
        assert "systemd could not be told READY=1" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDING_S) == 0
