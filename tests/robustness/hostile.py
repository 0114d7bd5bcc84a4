"""
Hostile input: odd messages for every RPC there is, bytes that are none, streams cut half way, and
frames that are no HTTP/2. Only the contract's statuses come back, and nothing stays behind.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from grpc import StatusCode
from hostile_frames import MESSAGES
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from load import OWN_CONNECTION
from odd_messages import Odd, frames, methods, odd, path_of
from restarted_server import Server
from serving import Health, serving
from trial import Trial

ALLOWED = {
    *(StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.ABORTED),
    *(StatusCode.FAILED_PRECONDITION, StatusCode.OUT_OF_RANGE, StatusCode.CANCELLED),
    *(StatusCode.RESOURCE_EXHAUSTED, StatusCode.DEADLINE_EXCEEDED),
}
"""The statuses of the contract's table, without those for who calls and for failing storage."""
TAKEN = {"Backup": StatusCode.ALREADY_EXISTS}
"""What an RPC may answer besides: the target of a backup is there."""
CALL_S_MAX = 20.0
STREAM_S_MAX = 0.3
"""How long a stream is read: most never end."""
HEARD_S = 0.1
REPLIES_MAX = 3
GROWTH_MIB_MAX = 8.0
"""What the second half may add: an allocator's slack, and the genres that were really made."""
LOG_LINES_MAX = 25
"""Lines that are no news of a change; however much is sent."""
DEFECTS = (b"grpc-status\x0213", b"grpc-status\x012")
"""INTERNAL and UNKNOWN as the first reply on a connection spells them."""
GRPCS_OWN = (b"Compression bit set but no encoding configured", b"Failed parsing HTTP/2")
"""
What gRPC itself answers before any server of it is asked: INTERNAL. The first is what its
specification wants; the second is of streams that are no HTTP/2.
Source: https://github.com/grpc/grpc/blob/master/doc/compression.md
"""

Value = TypeVar("Value")


def drawn(strategy: st.SearchStrategy[Value], times: int, number: int) -> list[Value]:
    """Return *times* values or a few less; the same for the same *number*."""
    values: list[Value] = []

    @seed(number)
    @settings(
        max_examples=times,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Value) -> None:
        values.append(value)

    draw()
    return values


class Attack:
    """Calls each RPC of *server* with what is odd, and notes what comes back."""

    def __init__(self, trial: Trial, server: Server, channel: Any) -> None:
        self._trial = trial
        self._server = server
        self._channel = channel
        self._kept = trial.folder / "backups"
        self._kept.mkdir(exist_ok=True)

    def call(self, method: MethodDescriptor, times: int) -> None:
        """Call *method* *times* over."""
        number = self._trial.dice.getrandbits(32)
        if method.client_streaming:
            streams = st.tuples(st.lists(odd(method.input_type), max_size=4), st.booleans())
            for parts, is_cut in drawn(streams, times, number):
                self._send(method, parts, self._streamed(method, parts, is_cut=is_cut))
            return
        for one in drawn(odd(method.input_type), times, number):
            if method.name == "Backup" and not self._may_be_written(one.data):
                continue
            self._send(method, [one], self._unary(method, one))

    def shout(self, times: int) -> None:
        """Send frames that gRPC can't make sense of."""
        messages = drawn(frames(), times, self._trial.dice.getrandbits(32))
        known = [make() for make in MESSAGES.values()] if self._trial.seconds else []
        for message in [*messages, *known]:
            self._trial.count("connections of odd frames")
            heard = self._heard(message)
            if any(own in heard for own in GRPCS_OWN):
                self._trial.count("frames that gRPC itself answered INTERNAL")
            elif any(defect in heard for defect in DEFECTS):
                self._trial.fault("status", f"{heard[-300:]!r} for the frames {message[24:300]!r}")

    def _send(
        self, method: MethodDescriptor, parts: list[Odd], answered: Callable[[], StatusCode]
    ) -> None:
        code = answered()
        self._trial.count(f"{method.containing_service.name}: calls")
        for part in parts:
            self._trial.count(part.kind)
        self._trial.count(f"answered {code.name}")
        if code not in ALLOWED and code is not TAKEN.get(method.name):
            sent = [f"{part.kind} {part.data[:60]!r}" for part in parts]
            self._trial.fault("status", f"{method.name} was answered {code.name}: {sent}")

    def _unary(self, method: MethodDescriptor, one: Odd) -> Callable[[], StatusCode]:
        path = path_of(method)

        def answered() -> StatusCode:
            try:
                if method.server_streaming:
                    call = self._channel.unary_stream(path)(one.data, timeout=STREAM_S_MAX)
                    return _read(call)
                self._channel.unary_unary(path)(one.data, timeout=CALL_S_MAX)
            except grpc.RpcError as error:
                return error.code()
            return StatusCode.OK

        return answered

    def _streamed(
        self, method: MethodDescriptor, parts: list[Odd], *, is_cut: bool
    ) -> Callable[[], StatusCode]:
        over = threading.Event()

        def sent() -> Iterator[bytes]:
            yield from (part.data for part in parts)
            if is_cut:
                over.wait(CALL_S_MAX)

        def answered() -> StatusCode:
            cutting = threading.Timer(STREAM_S_MAX / 2, call.cancel)
            if is_cut:
                cutting.start()
            try:
                return _read(call)
            except grpc.RpcError as error:
                return error.code()
            finally:
                cutting.cancel()
                over.set()

        timeout_s = CALL_S_MAX if method.name == "Import" else STREAM_S_MAX
        call: Any = self._channel.stream_stream(path_of(method))(sent(), timeout=timeout_s)
        self._trial.count("streams cut half way", is_cut)
        return answered

    def _may_be_written(self, data: bytes) -> bool:
        """Whether a backup asked for with *data* comes to lie nowhere, or in our own folder."""
        try:
            target = pb.BackupRequest.FromString(data).target
        except DecodeError:
            return True
        return not target.startswith("/")

    def back_up(self) -> None:
        """Ask for backups where they may be."""
        for name in ("", "b.db", "b.db", "x" * 300, "no/folder/b.db", "\n", "b\0.db", "é.db"):
            request = pb.BackupRequest(target=f"{self._kept}/{name}").SerializeToString()
            method = pb.DESCRIPTOR.services_by_name["GenreOperations"].methods_by_name["Backup"]
            one = Odd("extreme values", request)
            self._send(method, [one], self._unary(method, one))

    def _heard(self, message: bytes) -> bytes:
        host, _, port = self._server.target.rpartition(":")
        heard = b""
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as sending:
            sending.sendall(message)
            sending.settimeout(HEARD_S)
            while part := sending.recv(65_536):
                heard += part
        return heard


def _read(call: Any) -> StatusCode:
    """Read some of what a stream answers, then let it go."""
    for at, _ in enumerate(call, 1):
        if at == REPLIES_MAX:
            call.cancel()
            return StatusCode.OK
    return StatusCode.OK


def look_at_log(trial: Trial, log: Path) -> None:
    """See that it is short, and tells of no defect."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    trial.figure("lines in the log, changes apart", str(sum(not is_news(line) for line in lines)))
    for line in lines:
        if line["message"] == "defect":
            trial.fault("defect", f"the log tells of one: {line}")
    others = [line for line in lines if not is_news(line)]
    if len(others) > LOG_LINES_MAX:
        trial.fault("log", f"{len(others)} lines, such as {others[LOG_LINES_MAX]}")


def is_news(line: dict[str, Any]) -> bool:
    """Whether a line of the log tells of a change, or of a start or an end."""
    return str(line.get("level", "")).lower() == "info"


def run(trial: Trial, times: int = 40) -> None:
    folder = trial.folder / "hostile"
    with serving(folder) as server, Health(server.target) as health:
        with grpc.insecure_channel(server.target, options=OWN_CONNECTION) as channel:
            attack = Attack(trial, server, channel)

            def once() -> Iterator[float]:
                for method in methods():
                    streams = method.client_streaming or method.server_streaming
                    attack.call(method, max(times // 8, 2) if streams else times)
                yield server.resident_mib()
                attack.back_up()
                attack.shout(times)
                yield server.resident_mib()

            # What the first round loads and reserves is there to stay.
            list(once())
            first = list(once())
            half_s = time.monotonic() + trial.seconds / 2
            while time.monotonic() < half_s:
                first += once()
            second: list[float] = []
            while len(second) < len(first):
                second += once()
        # The least, for how much is just under way goes up and down by megabytes.
        grown_mib = min(second) - min(first)
        trial.figure("MiB that the second half added", f"{grown_mib:.1f}")
        if grown_mib > GROWTH_MIB_MAX:
            trial.fault("memory", f"the second half added {grown_mib:.1f} MiB")
        trial.count("health checks meanwhile", len(health.took_ms))
        trial.figure("health checks, at most", f"{max(health.took_ms):.0f} ms")
        if health.failed:
            trial.fault("health", f"{len(health.failed)} checks failed: {health.failed[0]}")
    look_at_log(trial, folder / "log")
