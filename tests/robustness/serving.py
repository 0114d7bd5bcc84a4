"""A server that keeps its log, and a watch on whether it answers while others attack it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from load import OWN_CONNECTION
from restarted_server import Server

HEALTH_S = 0.05
"""How often health is asked for."""
DEADLINE_S = 10.0


class Health:
    """Asks for health all the time, over a connection of its own."""

    def __init__(self, target: str) -> None:
        self.took_ms: list[float] = []
        self.failed: list[str] = []
        self._target = target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Health":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with grpc.insecure_channel(self._target, options=OWN_CONNECTION) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while not self._over.wait(HEALTH_S):
                began_s = time.monotonic()
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
                except grpc.RpcError as error:
                    self.failed.append(error.code().name)
                self.took_ms.append(1000 * (time.monotonic() - began_s))


@contextmanager
def serving(folder: Path, **limits: int) -> Iterator[Server]:
    """Give a server with *limits*, whose log is written to *folder*."""
    folder.mkdir()
    settings = folder / "settings.toml"
    settings.write_text("".join(f"{name} = {value}\n" for name, value in limits.items()))
    server = Server(folder / "registry.db", flags=("--settings", str(settings)))
    server.start()
    assert server.process is not None
    assert server.process.stdout is not None
    output = server.process.stdout
    reading = threading.Thread(target=lambda: (folder / "log").write_text(output.read()))
    reading.start()
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        reading.join()
        output.close()
