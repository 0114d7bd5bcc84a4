"""Callers of every kind, by plain stubs: what each is answered, for every RPC there is."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from genre_registry.v1 import genre_registry_pb2
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from registry_server.authority import Authority

CALL_S = 20
SEEN_S = 5
"""How soon what an operator changes is in force, at the latest."""
RPCS: dict[str, MethodDescriptor] = {
    f"{service.full_name}/{method.name}": method
    for module in (genre_registry_pb2, health_pb2, reflection_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every RPC that is served, by its full name, from the contracts themselves."""
NO_MESSAGE = b"\xff\xff\xff"


@dataclass(frozen=True)
class Shown:
    """What a caller shows: a token, and, where `authority` is set, a certificate by TLS."""

    token: str = ""
    authority: Authority | None = None
    certificate: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @contextmanager
    def channel(self, target: str) -> Iterator[grpc.Channel]:
        """Give a channel to *target* of this caller's alone."""
        options = (("grpc.use_local_subchannel_pool", 1),)
        if self.authority is None:
            channel = grpc.insecure_channel(target, options)
        else:
            chain = key = None
            if self.certificate:
                certificate, secret = self.authority.client(self.certificate)
                chain, key = certificate.read_bytes(), secret.read_bytes()
            ca = self.authority.certificate.read_bytes()
            channel = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(ca, key, chain), options
            )
        with channel:
            yield channel


def ask(
    channel: grpc.Channel, rpc: str, shown: Shown, data: bytes = NO_MESSAGE
) -> tuple[grpc.StatusCode, str]:
    """Call *rpc* with *data*, and return with what status that ended."""
    method = RPCS[rpc]
    metadata = shown.metadata
    try:
        if method.client_streaming:
            list(channel.stream_stream(f"/{rpc}")(iter([data]), CALL_S, metadata))
        elif method.server_streaming:
            list(channel.unary_stream(f"/{rpc}")(data, CALL_S, metadata))
        else:
            channel.unary_unary(f"/{rpc}")(data, CALL_S, metadata)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def codes_of(target: str, shown: Shown) -> Mapping[str, grpc.StatusCode]:
    """Return with what code each RPC there is ends when bytes that are no message are sent."""
    with shown.channel(target) as channel:
        return {rpc: ask(channel, rpc, shown)[0] for rpc in RPCS}


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for as long as a change may take to be in force."""
    end_s = time.monotonic() + SEEN_S
    while not is_so():
        assert time.monotonic() < end_s, f"still not so after {SEEN_S} s"
        time.sleep(0.05)
