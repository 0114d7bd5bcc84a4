"""What hostile callers send: bytes that speak HTTP/2 up to the point where they do not."""

import secrets
import struct
from collections.abc import Callable, Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
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


def unreadable_method() -> bytes:
    """A call of a method that is no UTF-8, over which gRPC's Python server ends."""
    headers = frame(HEADERS, 1, request_headers(b"/\xff/x"), END_HEADERS)
    return GREETING + headers + frame(DATA, 1, bytes(5), END_STREAM)


def half_sent(size_bytes: int) -> bytes:
    """A call whose message of *size_bytes* has only begun to be sent."""
    begun = struct.pack(">BI", 0, size_bytes) + bytes(1000)
    return GREETING + frame(HEADERS, 1, REQUEST_HEADERS, END_HEADERS) + frame(DATA, 1, begun)


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
