"""A server as a campaign needs it: started, ended and looked at as often as it takes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
READY_S = 60
"""How long a server may take to start, and to end."""


@dataclass
class Server:
    """A server on one file and one port, however often it is started."""

    database: Path
    process: "subprocess.Popen[str] | None" = None
    target: str = "127.0.0.1:0"
    flags: tuple[str, ...] = ()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(BIN / "genre-registry", "serve", "--listen", self.target),
                *("--database", str(self.database)),
                *self.flags,
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GENRE_REGISTRY_WATCH_HEARTBEAT_S": "0.5"},
        )
        assert self.process.stdout is not None
        self.target = json.loads(self.process.stdout.readline())["listen"]

    def end(self, with_signal: int) -> float:
        """End it and return how long that took, in seconds."""
        assert self.process is not None
        began_s = time.monotonic()
        self.process.send_signal(with_signal)
        _, _ = self.process.communicate(timeout=READY_S)
        return time.monotonic() - began_s

    def restart(self, with_signal: int) -> float:
        took_s = self.end(with_signal)
        self.start()
        return took_s

    def resident_mib(self) -> float:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS in /proc")

    def open_files(self, kind: str = "") -> int:
        """Return how many files it has open; only those of *kind*, such as "socket:"."""
        assert self.process is not None
        count = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                count += str(file.readlink()).startswith(kind)
        return count

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
