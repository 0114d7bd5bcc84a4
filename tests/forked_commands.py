"""
The installed commands as processes of their own, each forked from one that has loaded what
they import: the same code from `main` on, less the second that Python takes to get there.

What a process is like from its first instruction on, such as what it loads, how much memory
it takes, and what else it starts, is for tests of the commands as they are installed.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import IO

COMMANDS = {"genre-registry": "registry_server.cli", "genrectl": "worker_client.__main__"}
"""Each command's module, whose `main` it runs. Source: pyproject.toml, project.scripts."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        *COMMANDS.values(),
        "worker_client.cli",
        # What they load late, in order to start quickly.
        "registry_server.app",
        "registry_server.commands.asking",
        "registry_server.curation",
        "registry_server.transfer",
        "registry_server.transport.curation",
        "registry_server.transport.operations",
        "worker_client._client",
    ]
)


class Forked:
    """A command's process, which is asked things and ended as a `subprocess.Popen` is."""

    def __init__(
        self,
        command: Sequence[str],
        stdout: int,
        stderr: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start *command*, which writes to the descriptors *stdout* and *stderr*."""
        _have_forkserver()
        self._command = command
        outputs = [Connection(os.dup(each), readable=False) for each in (stdout, stderr)]
        self._process = _context.Process(
            target=_become,
            args=(command, dict(os.environ if environment is None else environment), *outputs),
            daemon=True,
        )
        self._process.start()
        for each in outputs:
            each.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        ended = self._process.exitcode
        if ended is None:
            raise subprocess.TimeoutExpired(list(self._command), timeout)
        return ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_forked(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end and return what it printed, into pipes."""
    (stdout, stdout_end), (stderr, stderr_end) = _pipe(), _pipe()
    with stdout, stderr, ThreadPoolExecutor(2) as reading:
        try:
            process = Forked(command, stdout_end, stderr_end, environment)
        finally:
            os.close(stdout_end)
            os.close(stderr_end)
        printed = [reading.submit(each.read) for each in (stdout, stderr)]
        try:
            returncode = process.wait(timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(
            list(command), returncode, *[each.result() for each in printed]
        )


def _pipe() -> tuple[IO[str], int]:
    reading, writing = os.pipe()
    return os.fdopen(reading, encoding="utf-8"), writing


def _have_forkserver() -> None:
    # gRPC's core reads this when it is loaded, and the commands set it before they load it.
    before = os.environ.get("GRPC_VERBOSITY")
    os.environ["GRPC_VERBOSITY"] = "NONE"
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["GRPC_VERBOSITY"]
        else:
            os.environ["GRPC_VERBOSITY"] = before


def _become(
    command: Sequence[str], environment: dict[str, str], stdout: Connection, stderr: Connection
) -> None:
    """Be *command*, in a process that was made for it."""
    os.environ.clear()
    os.environ.update(environment)
    for number, output in ((1, stdout), (2, stderr)):
        os.dup2(output.fileno(), number)
        output.close()
    sys.argv = list(command)
    import_module(COMMANDS[command[0]]).main()
