"""
The campaign behind `scripts/flood-campaign`: hostile connections, round after round, while a
client goes on asking.

It fails when the client is not answered, when a round leaves more memory behind than the one
before, when connections stay, or when the log grows.
"""

import argparse
import resource
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hostile_frames import GREETING, MESSAGES, dribbled
from restarted_server import Server

from registry_server.authority import Authority
from registry_server.tokens import add_token
from registry_server.vocabulary.callers import Role

GROWTH_MIB_MAX = {"at most": 12.0, "afterwards": 8.0}
"""
What the last round may add to the most of those before it: an allocator's slack. At most, what
is just being read comes to it, which differs by 10; afterwards, what was given back by then,
which differs by 16. The first round adds 30 to 40.
"""
CALL_S_MAX = 5.0
"""How long the client waits for an answer before that is a fault."""
GONE_S = 15.0
"""When the server must have let go of every hostile connection: it bears a handshake for 10 s."""
LOG_LINES_MAX = 15
"""Refused calls have ten lines a minute."""
PROBE_S = 0.02
HOST = "127.0.0.1"


Connected = Callable[[], socket.socket]
"""Makes a connection."""


@dataclass(frozen=True)
class Way:
    """The way to a server: in the clear, or by TLS and with a token."""

    target: str
    authority: Authority | None = None
    token: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self) -> grpc.Channel:
        """Return a channel over a connection of its own, for who is let in."""
        own = [("grpc.use_local_subchannel_pool", 1)]
        if self.authority is None:
            return grpc.insecure_channel(self.target, options=own)
        trusted = grpc.ssl_channel_credentials(self.authority.certificate.read_bytes())
        return grpc.secure_channel(self.target, trusted, options=own)

    def in_the_clear(self) -> socket.socket:
        """Connect without TLS, whether the server takes that or not."""
        host, _, port = self.target.rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=5)
        connection.settimeout(1)
        return connection

    def by_tls(self) -> socket.socket:
        """
        Connect, and speak TLS as far as HTTP/2.

        Raises:
            OSError: the server did not.
        """
        assert self.authority is not None
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.set_alpn_protocols(["h2"])
        return context.wrap_socket(self.in_the_clear(), server_hostname=HOST)


class Probe:
    """A client that asks all the time, over a connection of its own, and notes how long it took."""

    def __init__(self, way: Way) -> None:
        self.faults: list[str] = []
        self._way = way
        self._took_s: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def taken(self) -> str:
        """Say how long calls took since this was last asked."""
        took_s, self._took_s = self._took_s, []
        if not took_s:
            return "no answer"
        median_ms = 1000 * statistics.median(took_s)
        return (
            f"{len(took_s):4} answers, median {median_ms:6.1f} ms, most {1000 * max(took_s):7.1f}"
        )

    def _run(self) -> None:
        with self._way.channel() as channel:
            while not self._end.wait(PROBE_S):
                self._took_s.append(self.ask(channel))

    def ask(self, channel: grpc.Channel) -> float:
        """Ask for a genre over *channel*; return how many seconds that took."""
        stub: Any = GenreRegistryStub(channel)
        began_s = time.monotonic()
        try:
            request = pb.GetOrCreateRequest(name="Rock")
            stub.GetOrCreate(request, timeout=CALL_S_MAX, metadata=self._way.metadata)
        except grpc.RpcError as error:
            self.faults.append(f"a client was told {error.code().name}: {error.details()}")
        return time.monotonic() - began_s

    def ask_anew(self) -> float:
        """The same over a new connection."""
        with self._way.channel() as channel:
            return self.ask(channel)


@contextmanager
def idle(connected: Connected, count: int, greeting: bytes) -> Iterator[None]:
    """Hold *count* connections that said *greeting* and nothing more."""
    with ExitStack() as stack:
        for _ in range(count):
            with suppress(OSError):
                connection = stack.enter_context(connected())
                connection.sendall(greeting)
        yield


def dribble(connected: Connected, count: int, length_s: float) -> None:
    """Dribble the handshake over *count* connections."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connected()) for _ in range(count)]
        for byte in dribbled():
            for connection in connections:
                with suppress(OSError):
                    connection.sendall(byte)
            time.sleep(length_s / 40)


def shout(connected: Connected, count: int, message: bytes) -> None:
    """Send *message* over *count* connections, one after the other, and hear what is answered."""
    for _ in range(count):
        with suppress(OSError), connected() as connection:
            connection.settimeout(0.2)
            connection.sendall(message)
            while connection.recv(65_536):
                pass


def reflect(way: Way, count: int) -> None:
    """Ask reflection what there is, and for what there is not."""
    with way.channel() as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            *(reflection_pb2.ServerReflectionRequest(list_services=""),),
            *(reflection_pb2.ServerReflectionRequest(file_containing_symbol="x" * 5000),),
            *(reflection_pb2.ServerReflectionRequest(file_by_filename="../../etc/passwd"),),
        ] * count
        for _ in stub.ServerReflectionInfo(iter(asked), timeout=60, metadata=way.metadata):
            pass


class Campaign:
    """Floods *server*, round after round, with *count* idle connections at a time."""

    def __init__(self, server: Server, way: Way, count: int) -> None:
        self._server = server
        self._way = way
        self._count = count
        self._files = server.open_files()
        self._most_mib = 0.0
        self.faults: list[str] = []

    def round(self, probe: Probe) -> tuple[float, float]:
        """Return the most MiB resident during the round, and after it."""
        self._most_mib = 0.0
        probe.taken()
        self._attack(probe, self._way.in_the_clear, "")
        if self._way.authority is not None:
            self._attack(probe, self._way.by_tls, ", by TLS")
        few = self._few()
        reflect(self._way, few)
        self._say("reflection", probe)
        self._wait_for_ends()
        return self._most_mib, self._server.resident_mib()

    def _attack(self, probe: Probe, connected: Connected, how: str) -> None:
        for name, greeting in {"idle, silent": b"", "idle, greeted": GREETING}.items():
            with idle(connected, self._count, greeting):
                anew_s = probe.ask_anew()
                self._say(
                    f"{self._count} {name}{how}", probe, f"a new client's call {anew_s:.3f} s"
                )
        dribble(connected, self._few(), 1.0)
        self._say(f"{self._few()} dribbling{how}", probe)
        for name, message in MESSAGES.items():
            shout(connected, max(self._few() // 10, 2), message())
            self._say(f"{name}{how}", probe)

    def _few(self) -> int:
        return max(self._count // 20, 5)

    def _say(self, name: str, probe: Probe, more: str = "") -> None:
        resident_mib = self._server.resident_mib()
        self._most_mib = max(self._most_mib, resident_mib)
        print(f"{name:22} {probe.taken()}   {resident_mib:6.1f} MiB   {more}")

    def _wait_for_ends(self) -> None:
        """Wait until no hostile connection is left."""
        end_s = time.monotonic() + GONE_S
        # The client's own connections are few.
        while self._server.open_files() > self._files + 5:
            if time.monotonic() > end_s:
                self.faults.append(f"{self._server.open_files()} files are open still")
                return
            time.sleep(0.1)


def run(count: int, rounds: int, folder: Path, *, is_tls: bool) -> list[str]:
    """Flood a server of its own; return what went wrong."""
    log = folder / "server.log"
    server = Server(folder / "registry.db")
    authority, token = None, ""
    if is_tls:
        authority = Authority(folder / "tls")
        authority.make([HOST], [], days=1)
        token = add_token(folder / "tokens.json", "probe", Role.WORKER)
        certificate, key = authority.server
        server.flags = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        server.start()
        assert server.process is not None
        assert server.process.stdout is not None
        output = server.process.stdout
        reading = threading.Thread(target=lambda: log.write_text(output.read()), daemon=True)
        reading.start()
        way = Way(server.target, authority, token)
        campaign = Campaign(server, way, count)
        seen: list[tuple[float, float]] = []
        with Probe(way) as probe:
            probe.ask_anew()
            for number in range(1, rounds + 1):
                print(f"round {number}, {server.resident_mib():.1f} MiB")
                seen.append(campaign.round(probe))
        faults = [*campaign.faults, *probe.faults]
        server.process.terminate()
        server.process.wait(60)
        reading.join(10)
    finally:
        server.kill()
    for number, (held, after) in enumerate(seen, 1):
        print(f"round {number}: {held:.1f} MiB at most, {after:.1f} afterwards")
    for name, at in {"at most": 0, "afterwards": 1}.items():
        grown = seen[-1][at] - max(each[at] for each in seen[:-1])
        if grown > GROWTH_MIB_MAX[name]:
            faults.append(f"the last round added {grown:.1f} MiB {name}")
    lines = log.read_text().splitlines()
    print(f"log: {len(lines)} lines")
    if len(lines) > LOG_LINES_MAX:
        faults.append(f"the log has {len(lines)} lines: {lines[1][:200]}")
    return faults


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--connections", type=int, default=5000, help="idle ones at a time")
    reading.add_argument("--rounds", type=int, default=3)
    reading.add_argument("--tls", action="store_true", help="attack a server with TLS and tokens")
    asked = reading.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = Path(tempfile.mkdtemp(prefix="flood-campaign-"))
    try:
        faults = run(asked.connections, max(asked.rounds, 2), folder, is_tls=asked.tls)
    finally:
        shutil.rmtree(folder)
    for fault in dict.fromkeys(faults):
        print(f"FAULT: {fault}", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
