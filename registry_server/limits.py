"""What one server takes at most: the defaults, made for a Raspberry Pi, and why they are so."""

from dataclasses import dataclass
from typing import NamedTuple

HEADER_BYTES_MAX = 16_384
"""Most bytes of a call's metadata: a token is a hundred, and a trace's baggage at most 8192."""
HANDSHAKE_S_MAX = 10.0
"""How long a new connection may take to speak HTTP/2: TLS on a busy Pi takes one second."""
CONNECTION_STREAMS_MAX = 256
"""
Most calls under way on one connection; the caller's gRPC holds back what is more. One event loop
serves in order of arrival, so that what one connection may pile up is what others wait for.
"""
KEEPALIVE_S = 60.0
"""How often a silent connection with calls is asked whether its caller is still there."""
KEEPALIVE_ANSWER_S = 20.0
AGE_GRACE_S = 60.0
"""How long the calls of a connection that has come of age may still take; its age at most."""


class Allowed(NamedTuple):
    """Which values a limit may have, both ends included."""

    least: int
    most: int
    unit: str
    whole: bool = True
    least_but_0: float = 0.0
    """Where 0 stands for none: the least of the others."""

    def has(self, value: float) -> bool:
        return self.least <= value <= self.most and (not value or value >= self.least_but_0)

    def __str__(self) -> str:
        if self.least_but_0:
            return f"0, or {self.least_but_0:g} to {self.most:,} {self.unit}"
        return f"{self.least:,} to {self.most:,} {self.unit}"


LIMITS: dict[str, Allowed] = {
    "message_bytes_max": Allowed(1024, 64 << 20, "bytes"),
    "calls_in_flight_max": Allowed(1, 100_000, "calls"),
    "batches_in_flight_max": Allowed(1, 10_000, "calls"),
    "streams_max": Allowed(1, 100_000, "streams"),
    "caller_streams_max": Allowed(1, 100_000, "streams"),
    # One call in a thousand seconds: nobody means less, and waits for it could not be told.
    "caller_calls_per_s": Allowed(0, 1_000_000, "calls a second", False, 0.001),
    "connections_max": Allowed(10, 1_000_000, "connections"),
    "connection_idle_s_max": Allowed(1, 86_400, "seconds", whole=False),
    "connection_age_s_max": Allowed(0, 31_536_000, "seconds", whole=False),
}
"""The limits that are settings."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    The limits that are settings. Whoever is beyond one of the first five is told `OVERLOADED`.

    Attributes:
        calls_in_flight_max: Calls under way at a time, for each RPC that names one genre. What is
            known is answered at once and never waits; a thousand new names are one commit.
        batches_in_flight_max: The same for each RPC that takes or gives many: a batch of a
            thousand keeps the one event loop busy for some ten milliseconds.
        streams_max: Open streams, for each RPC that streams; a watcher costs some 20 KiB.
        caller_streams_max: Those of one caller, so that one can't take all; fewer than a
            connection carries, so that whoever opens too many is told so.
        caller_calls_per_s: Calls a second of one caller, with two seconds' worth at once, 0.001
            at least; 0 for any number. Off, since a scan is as fast as it can be, and meant to.
        message_bytes_max: Bytes of a request: a thousand names of 200 characters are 0.8 MB. One
            larger is `MESSAGE_TOO_LARGE`; of one twice as large gRPC reads no more, and says
            RESOURCE_EXHAUSTED.
        connections_max: Connections at a time; more are closed before they are read. An idle one
            costs 11 to 18 KiB, by TLS 50 to 60, so that a flood of five thousand fits in, beside
            everybody else. Lowered to what the process's limit of open files allows.
        connection_idle_s_max: How long a connection without calls is kept. Opening another costs
            its caller milliseconds.
        connection_age_s_max: How long a connection is kept at all; its calls have a minute more,
            and a watch goes on over a new one. A day, so that whoever was let in by a certificate
            shows it again. 0 for ever.
    """

    calls_in_flight_max: int = 1024
    batches_in_flight_max: int = 32
    streams_max: int = 1000
    caller_streams_max: int = 200
    caller_calls_per_s: float = 0.0
    message_bytes_max: int = 4 << 20
    connections_max: int = 6000
    connection_idle_s_max: float = 60.0
    connection_age_s_max: float = 86_400.0

    def excess(self) -> str | None:
        """Return what is wrong with the first limit that is out of its bounds."""
        for name, allowed in LIMITS.items():
            if not allowed.has(getattr(self, name)):
                return f"{name}: {allowed} are allowed."
        return None
