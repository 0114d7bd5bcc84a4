"""What hostile callers send: bytes that speak HTTP/2 up to the point where they do not."""

import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
ACK = 1
INITIAL_WINDOW_SIZE = 4
METHOD = b"/genre_registry.v1.GenreRegistry/GetOrCreate"
TLS_HELLO = bytes.fromhex("16030100f4010000f00303") + secrets.token_bytes(238)


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """Return a frame. Source: RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


GREETING = PREFACE + frame(SETTINGS, 0)
"""A whole handshake, after which nothing need come."""


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header that no table keeps. Source: RFC 7541, section 6.2.2."""
    assert len(name) < 127
    assert len(value) < 127
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def request_headers(method: bytes) -> bytes:
    """Return the headers of a call of *method*, which begins with a slash."""
    return (
        bytes([0x83, 0x86])
        + literal(b":path", method)
        + literal(b":authority", b"localhost")
        + literal(b"content-type", b"application/grpc")
        + literal(b"te", b"trailers")
    )


REQUEST_HEADERS = request_headers(METHOD)


def oversized_frame() -> bytes:
    """A frame that claims the most that fits into its length."""
    opened = GREETING + frame(HEADERS, 1, REQUEST_HEADERS, END_HEADERS)
    return opened + b"\xff\xff\xff" + struct.pack(">BBI", DATA, 0, 1) + bytes(1 << 20)


def many_headers() -> bytes:
    """Ten thousand headers in frames that are each allowed."""
    block = REQUEST_HEADERS + b"".join(literal(b"x-%d" % i, b"v" * 60) for i in range(10_000))
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    frames = [frame(HEADERS, 1, parts[0])]
    frames += [frame(CONTINUATION, 1, part) for part in parts[1:-1]]
    return GREETING + b"".join(frames) + frame(CONTINUATION, 1, parts[-1], END_HEADERS)


def endless_headers() -> bytes:
    """Headers that never end: CONTINUATION after CONTINUATION."""
    part = literal(b"x", b"v" * 100) * 140
    return (
        GREETING
        + frame(HEADERS, 1, REQUEST_HEADERS)
        + b"".join(frame(CONTINUATION, 1, part) for _ in range(200))
    )


def unreadable_method(stream: int = 1) -> bytes:
    """A call of a method that is no UTF-8, over which gRPC's own Python server ends."""
    headers = frame(HEADERS, stream, request_headers(b"/\xff/x"), END_HEADERS)
    return _greeting(stream) + headers + frame(DATA, stream, bytes(5), END_STREAM)


def unreadable_header(method: bytes) -> bytes:
    """A call of *method* with a header that is no text."""
    headers = request_headers(method) + literal(b"authorization", b"Bearer \xff")
    return GREETING + frame(HEADERS, 1, headers, END_HEADERS) + frame(DATA, 1, bytes(5), END_STREAM)


def _greeting(stream: int) -> bytes:
    """Return what comes before the first call of a connection."""
    return GREETING if stream == 1 else b""


def half_sent(size_bytes: int) -> bytes:
    """A call whose message of *size_bytes* has only begun to be sent."""
    begun = struct.pack(">BI", 0, size_bytes) + bytes(1000)
    return GREETING + frame(HEADERS, 1, REQUEST_HEADERS, END_HEADERS) + frame(DATA, 1, begun)


class HalfSender:
    """
    Sends messages of *size_bytes* on many streams of a connection, as fast as the other side
    takes them, and never the last byte of any. Source of the windows: RFC 9113, section 5.2.
    """

    def __init__(
        self, connection: socket.socket, method: bytes, size_bytes: int, streams: int
    ) -> None:
        self._connection = connection
        self._received = b""
        self._initial_bytes = self._window_bytes = 65_535
        self._windows = dict.fromkeys(range(1, 2 * streams, 2), 65_535)
        self._left = dict.fromkeys(self._windows, size_bytes)
        self._ended = set[int]()
        self._sent_bytes = 0
        connection.sendall(GREETING)
        for stream in self._windows:
            connection.sendall(frame(HEADERS, stream, request_headers(method), END_HEADERS))
            self._send(stream, struct.pack(">BI", 0, size_bytes))

    def send_for(self, length_s: float) -> int:
        """Send for *length_s*; return how many bytes have been sent in all."""
        end_s = time.monotonic() + length_s
        while (wait_s := end_s - time.monotonic()) > 0:
            if not any(self._send_some(stream) for stream in self._left):
                self._connection.settimeout(wait_s)
                with suppress(TimeoutError):
                    self._take(self._connection.recv(65_536))
        return self._sent_bytes

    def _send_some(self, stream: int) -> bool:
        size = min(16_384, self._window_bytes, self._windows[stream], self._left[stream] - 1)
        if size <= 0 or stream in self._ended:
            return False
        self._send(stream, bytes(size))
        self._left[stream] -= size
        return True

    def _send(self, stream: int, payload: bytes) -> None:
        self._connection.settimeout(None)
        self._connection.sendall(frame(DATA, stream, payload))
        self._window_bytes -= len(payload)
        self._windows[stream] -= len(payload)
        self._sent_bytes += len(payload)

    def _take(self, part: bytes) -> None:
        if not part:
            raise ConnectionError("the other side has hung up")
        self._received += part
        while len(self._received) >= 9:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self._received[3:9])
            self._answer(kind, flags, stream, self._received[9 : 9 + size])
            self._received = self._received[9 + size :]

    def _answer(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and stream:
            self._windows[stream] = self._windows.get(stream, 0) + int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self._window_bytes += int.from_bytes(payload, "big")
        elif kind == PING and not flags & ACK:
            self._connection.sendall(frame(PING, 0, payload, ACK))
        elif kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW_SIZE:
                    for each in self._windows:
                        self._windows[each] += value - self._initial_bytes
                    self._initial_bytes = value
            self._connection.sendall(frame(SETTINGS, 0, b"", ACK))
        elif kind in (RST_STREAM, HEADERS) and (kind == RST_STREAM or flags & END_STREAM):
            self._ended.add(stream)


def rapid_resets() -> bytes:
    """Two thousand calls, each taken back at once."""
    return GREETING + b"".join(
        frame(HEADERS, stream, REQUEST_HEADERS, END_HEADERS)
        + frame(RST_STREAM, stream, struct.pack(">I", 8))
        for stream in range(1, 4001, 2)
    )


def pings() -> bytes:
    """Ten thousand pings, each of which wants an answer."""
    return GREETING + frame(PING, 0, bytes(8)) * 10_000


def settings() -> bytes:
    """Ten thousand changes of settings, each of which wants an answer."""
    return GREETING + frame(SETTINGS, 0, struct.pack(">HI", 3, 100)) * 10_000


def garbage() -> bytes:
    return secrets.token_bytes(20_000)


MESSAGES: dict[str, Callable[[], bytes]] = {
    "garbage": garbage,
    "TLS hello": lambda: TLS_HELLO,
    "HTTP/1.1": lambda: b"GET /genres?name=r&b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "oversized frame": oversized_frame,
    "many headers": many_headers,
    "endless headers": endless_headers,
    "rapid resets": rapid_resets,
    "pings": pings,
    "settings": settings,
}


def dribbled() -> Iterator[bytes]:
    """The handshake, a byte at a time."""
    for byte in GREETING:
        yield bytes([byte])
