"""
Commands of the registry in processes of their own, each forked from one that has loaded them,
and may have loaded a library before everything else.

Run as a program, this is that one process.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

LOADED = (
    "registry_server.cli",
    "registry_server.app",
    "registry_server.curation",
    "registry_server.store.edits",
    "registry_server.store.searching",
    "registry_server.transport.curation",
    "registry_server.transport.operations",
)
LOOKED_EVERY_S = 0.005
ENDING_S = 60.0
"""How long a process may take to start, and to end."""


@dataclass
class Launched:
    """A command under way; what it says is in *output*, the two kinds apart."""

    launcher: "Launcher"
    pid: int
    output: Path
    code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, or the signal that ended it below 0; None while it runs."""
        if self.code is None:
            self.code = self.launcher.ask({"ended": self.pid})
        return self.code

    def wait(self, timeout_s: float = ENDING_S) -> int:
        end_s = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > end_s:
                raise TimeoutError(f"process {self.pid} did not end within {timeout_s:.0f} s")
            time.sleep(LOOKED_EVERY_S)
        return code

    def send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end by a signal; return its exit code."""
        self.send(number)
        return self.wait()

    @property
    def said(self) -> str:
        """What it wrote to its standard error so far."""
        return self.output.with_suffix(".err").read_text()

    @property
    def logged(self) -> str:
        """What it wrote to its standard output so far."""
        return self.output.with_suffix(".out").read_text()

    def target(self) -> str | None:
        """Return where the server listens; None if it ended before it did."""
        end_s = time.monotonic() + ENDING_S
        while time.monotonic() < end_s:
            first, newline, _ = self.logged.partition("\n")
            if newline:
                listening: str | None = json.loads(first).get("listen")
                return listening
            if self.poll() is not None:
                return None
            time.sleep(LOOKED_EVERY_S)
        raise TimeoutError(f"server {self.pid} neither listened nor ended")


class Launcher:
    """Launches commands; each writes what it says into *folder*."""

    def __init__(self, folder: Path, library: Path | None, loaded: Iterable[str] = LOADED) -> None:
        preloaded = {} if library is None else {"LD_PRELOAD": str(library)}
        self._folder = folder
        self._count = 0
        self._lock = threading.Lock()
        self._running: list[Launched] = []
        self._process = subprocess.Popen(
            [sys.executable, __file__, *loaded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **preloaded, "GRPC_VERBOSITY": "NONE"},
        )

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._running:
            each.send(signal.SIGKILL)
        self._process.communicate()

    def launch(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        module: str = "registry_server.cli",
    ) -> Launched:
        """Run `main` of *module* with *arguments*."""
        self._count += 1
        output = self._folder / f"launched-{self._count}"
        for kind in (".out", ".err"):
            output.with_suffix(kind).touch()
        asked = {
            "module": module,
            "arguments": list(map(str, arguments)),
            "environment": dict(environment or {}),
            "output": str(output),
        }
        launched = Launched(self, self.ask(asked), output)
        self._running = [each for each in self._running if each.code is None] + [launched]
        return launched

    def serve(
        self, database: Path, environment: Mapping[str, str] | None = None, *flags: str
    ) -> Launched:
        arguments = ("serve", "--listen", "127.0.0.1:0", "--database", database, *flags)
        return self.launch(*arguments, environment=environment)

    def ask(self, asked: Mapping[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


def _answer(asked: dict[str, Any]) -> int | None:
    if "ended" in asked:
        pid, status = os.waitpid(asked["ended"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None
    pid = os.fork()
    if not pid:
        os._exit(_become(**asked))
    return pid


def _become(module: str, arguments: Sequence[str], environment: dict[str, str], output: str) -> int:
    """Be the command, to its end; return its exit code."""
    for number, name in ((0, os.devnull), (1, f"{output}.out"), (2, f"{output}.err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.update(environment)
    sys.argv = ["genre-registry", *arguments]
    code = 0
    try:
        import_module(module).main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    return code


def _main() -> None:
    for name in sys.argv[1:]:
        import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in iter(sys.stdin.buffer.raw.readline, b""):
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    _main()
