"""A server that is killed and started again, as often as it takes."""

import os
import time
from pathlib import Path

from forked_commands import Forked
from recording import until

SERVER_S_MAX = 60
"""How long a server may take to start, or a process to end."""


class Server:
    """
    A server on one file and one port, however often it is started: each time in a process
    forked from one that has loaded it, so that kills hit its own start rather than Python's.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.target = target
        self.database = folder / "registry.db"
        self._said = folder / "said.jsonl"
        self._process: Forked | None = None

    def begin(self) -> None:
        """Start it, and do not wait until it listens."""
        output = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self._process = Forked(
                [
                    *("genre-registry", "serve", "--listen", self.target),
                    *("--database", str(self.database), "--watch-heartbeat-s", "0.5"),
                ],
                *(output, output),
            )
        finally:
            os.close(output)

    def start(self) -> float:
        """Start it, and return how long it took until it listens, in seconds."""
        began_s = time.monotonic()
        self.begin()
        assert self._process is not None
        running = self._process
        is_up = until(
            lambda: '"listen"' in self._said.read_text() or running.poll() is not None, SERVER_S_MAX
        )
        if not is_up or running.poll() is not None:
            raise NotStarted(f"{running.poll()}: {self._said.read_text()}")
        return time.monotonic() - began_s

    def stop(self) -> None:
        """Ask it to end, as systemd does, and do not wait until it does."""
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> tuple[int, str]:
        """End it at once; return its exit code and what it said."""
        if self._process is None:
            return 0, ""
        self._process.kill()
        return self._process.wait(SERVER_S_MAX), self._said.read_text()


class NotStarted(Exception):
    """The server did not come up again; the message has its exit code and what it said."""
