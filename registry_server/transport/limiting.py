"""How much is let in: calls under way, streams, and how often one caller may ask."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from registry_server import limits
from registry_server.limits import Limits
from registry_server.vocabulary.refusals import MessageTooLarge, Overloaded

RETRY_AFTER_S = 0.2
"""When to come back, at the earliest: several commits on a slow card."""
STREAM_RETRY_AFTER_S = 5.0
"""The same for a stream, whose place is not free again soon."""
BURST_S = 2.0
"""For how many seconds' calls a caller may ask at once."""
CALLERS_MAX = 4096
"""Callers whose rate is remembered; who asks less than allowed is forgotten first."""
BATCHES = frozenset(
    {
        *("BatchGetOrCreate", "ResolveTags", "BatchGetGenres", "ListGenres", "SearchGenres"),
        *("ListReviews", "ListHistory"),
    }
)
"""The RPCs that take or give many."""

Context = grpc.aio.ServicerContext[Any, Any]
Method = Callable[[bytes, Context], Awaitable[bytes | Message]]
StreamMethod = Callable[[Any, Context], AsyncGenerator[bytes | Message]]
"""Takes bytes, or, where the caller streams too, an iterator of them."""


class Admission:
    """
    Lets as much in as *limits* say.

    Args:
        limits: The server's.
        caller_of: Gives a call's caller by name.
        local: The name that says nothing of who calls; the host then stands for the caller.
    """

    def __init__(self, limits: Limits, caller_of: Callable[[Context], str], *, local: str) -> None:
        self._limits = limits
        self._caller_of = caller_of
        self._local = local
        self._rate = CallerRate(limits.caller_calls_per_s) if limits.caller_calls_per_s else None

    def bounding(self, method: MethodDescriptor, serve: Any) -> Any:
        """Return *serve*, which serves *method*, such that it refuses what is too much."""
        if method.server_streaming:
            return self.streams(method.name, serve)
        return self.calls(method, serve)

    def calls(self, method: MethodDescriptor, serve: Method) -> Method:
        """
        Return *serve* such that it raises `Overloaded` for more calls at a time than allowed, or
        a caller's too many a second, and `MessageTooLarge` for a message larger than allowed.
        """
        bytes_max = self._limits.message_bytes_max
        is_batch = method.name in BATCHES
        inside_max = (
            self._limits.batches_in_flight_max if is_batch else self._limits.calls_in_flight_max
        )
        rate = self._rate
        inside = 0

        async def bounded(data: bytes, context: Context) -> bytes | Message:
            nonlocal inside
            if len(data) > bytes_max:
                raise MessageTooLarge(len(data), bytes_max, field=method.input_type.name)
            if inside >= inside_max:
                raise Overloaded(_spread(RETRY_AFTER_S))
            if rate is not None:
                rate.take(self._key_of(context))
            inside += 1
            try:
                return await serve(data, context)
            finally:
                inside -= 1

        return bounded

    def streams(self, name: str, serve: StreamMethod) -> StreamMethod:
        """As `calls`, for a *serve* that streams, and with a bound for each caller's streams."""
        inside = Counter[str]()

        async def bounded(asked: Any, context: Context) -> AsyncGenerator[bytes | Message]:
            caller = self._key_of(context)
            if inside.total() >= self._limits.streams_max:
                raise Overloaded(_spread(STREAM_RETRY_AFTER_S))
            if inside[caller] >= self._limits.caller_streams_max:
                raise Overloaded.of_caller(
                    f"You have {inside[caller]} {name} streams open, which is the most for one "
                    "caller; end some first.",
                    retry_after_s=_spread(STREAM_RETRY_AFTER_S),
                    limit="caller_streams_max",
                )
            if self._rate is not None:
                self._rate.take(caller)
            inside[caller] += 1
            try:
                async with aclosing(serve(asked, context)) as replies:
                    async for reply in replies:
                        yield reply
            finally:
                inside[caller] -= 1
                if not inside[caller]:
                    del inside[caller]

        return bounded

    def _key_of(self, context: Context) -> str:
        name = self._caller_of(context)
        return host_of(context.peer()) if name == self._local else name


class CallerRate:
    """
    Holds each caller to *calls_per_s*, with `BURST_S` of them at once.

    For each caller it keeps one moment: when all that was asked so far would be due at that rate.
    """

    def __init__(self, calls_per_s: float) -> None:
        self._each_s = 1 / calls_per_s
        self._burst_s = max(BURST_S, self._each_s)
        self._due_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._due_s)

    def take(self, caller: str) -> None:
        """
        Count a call.

        Raises:
            Overloaded: it is one too many; says when it would not be.
        """
        now_s = asyncio.get_running_loop().time()
        due_s = max(self._due_s.get(caller, now_s), now_s) + self._each_s
        early_s = due_s - now_s - self._burst_s
        # A rounding error is no excess.
        if early_s > 1e-6:
            raise Overloaded.of_caller(
                f"You ask more often than {1 / self._each_s:g} times a second; ask for many names "
                "in one call.",
                # Whole milliseconds are told, and none too few.
                retry_after_s=early_s + 0.001,
                limit="caller_calls_per_s",
            )
        self._due_s[caller] = due_s
        if len(self._due_s) > CALLERS_MAX:
            self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        """Forget who is owed nothing; and when that is nobody, who asked least."""
        owed = sorted((due_s, caller) for caller, due_s in self._due_s.items() if due_s > now_s)
        self._due_s = {caller: due_s for due_s, caller in owed[-CALLERS_MAX // 2 :]}


def host_of(peer: str) -> str:
    """
    Return the host in what gRPC calls a peer; of IPv6 the network, which is one household's.

    "ipv4:192.168.0.7:50312" gives "192.168.0.7", "unix:" gives itself.
    """
    kind, _, address = peer.partition(":")
    host = unquote(address).rpartition(":")[0]
    if kind == "ipv6":
        host = host.strip("[]").partition("%")[0]
        return str(ip_network(f"{host}/64", strict=False))
    return host or peer


def options_of(limits_in_force: Limits, connections_max: int) -> list[tuple[str, int]]:
    """Return the limits that gRPC itself keeps, as a server's options."""
    options = {
        # Ours is refused with a reason; whoever sends twice as much is not even read.
        "grpc.max_receive_message_length": 2 * limits_in_force.message_bytes_max,
        # Between these two gRPC would refuse at random.
        "grpc.max_metadata_size": limits.HEADER_BYTES_MAX,
        "grpc.absolute_max_metadata_size": limits.HEADER_BYTES_MAX,
        "grpc.max_concurrent_streams": limits.CONNECTION_STREAMS_MAX,
        "grpc.max_allowed_incoming_connections": connections_max,
        # Whoever dribbles the first bytes, or sends none, is gone after this.
        "grpc.server_handshake_timeout_ms": _ms(limits.HANDSHAKE_S_MAX),
        "grpc.max_connection_idle_ms": _ms(limits_in_force.connection_idle_s_max),
        "grpc.keepalive_time_ms": _ms(limits.KEEPALIVE_S),
        "grpc.keepalive_timeout_ms": _ms(limits.KEEPALIVE_ANSWER_S),
    }
    if limits_in_force.connection_age_s_max:
        age_s = limits_in_force.connection_age_s_max
        options["grpc.max_connection_age_ms"] = _ms(age_s)
        options["grpc.max_connection_age_grace_ms"] = _ms(min(limits.AGE_GRACE_S, age_s))
    return list(options.items())


def _spread(retry_after_s: float) -> float:
    """Return up to twice *retry_after_s*, or all who are refused come back at one moment."""
    return retry_after_s * random.uniform(1, 2)


def _ms(length_s: float) -> int:
    return min(round(length_s * 1000), 2**31 - 1)
