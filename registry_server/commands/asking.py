"""Asking the server that owns a database: how its address becomes a channel, and its refusals."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreOperationsStub
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from registry_server.commands.credentials import Credentials

BACKUP_S_MAX = 3600.0
"""How long a backup may take in all: a large registry on a slow card."""
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


class ServerRefused(Exception):
    """The server did not do it; `reason` is the contract's, "" for none."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


def backup(address: str, target: Path, credentials: Credentials) -> pb.BackupResponse:
    """
    Have the server at *address* back up to *target*.

    Raises:
        ServerRefused: it did not, or is not there.
    """
    token = credentials.token
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    request = pb.BackupRequest(target=str(target))
    with _channel(address, credentials) as channel:
        try:
            answer: pb.BackupResponse = GenreOperationsStub(channel).Backup(
                request, metadata=metadata, timeout=BACKUP_S_MAX
            )
        except grpc.RpcError as failure:
            raise _told(address, failure, credentials) from failure
    return answer


@contextmanager
def _channel(address: str, credentials: Credentials) -> Iterator[grpc.Channel]:
    host, colon, port = address.rpartition(":")
    # It listens on every address of the machine, and we are on it.
    target = _ANYWHERE.get(host, host) + colon + port
    options = [("grpc.enable_http_proxy", 0)]
    if credentials.ca is None:
        channel = grpc.insecure_channel(target, options)
    else:
        secure = grpc.ssl_channel_credentials(
            credentials.ca, credentials.key, credentials.certificate
        )
        channel = grpc.secure_channel(target, secure, options)
    try:
        yield channel
    finally:
        channel.close()


def _told(address: str, failure: Any, shown: Credentials) -> ServerRefused:
    code, details = failure.code(), failure.details() or ""
    status = rpc_status.from_call(failure)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        detail.Unpack(info)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ServerRefused(
            f"The server at {address} is of a version that makes no backups: restart it, so that "
            "the installed one runs."
        )
    if info.reason:
        return ServerRefused(details, info.reason)
    if code is grpc.StatusCode.UNAVAILABLE:
        return ServerRefused(
            f"The server at {address} could not be reached, or left. {_to_show(shown)}; if it "
            "listens elsewhere, name that with --address."
        )
    return ServerRefused(f"The server at {address}: {code.name}: {details}")


def _to_show(shown: Credentials) -> str:
    """
    Say what a server may want beyond what was *shown*: gRPC has one failure for a handshake that
    either side gave up, and for a server that is not there.
    """
    if shown.ca is None:
        return "If it is one with TLS, name its authority with --ca"
    if shown.certificate is None:
        return (
            "If it asks every caller for a certificate (its tls_client_ca), name one with "
            "--certificate and --key; see too that --ca names the authority of the server's own"
        )
    return (
        "See that --ca names the authority of its certificate, and that its tls_client_ca names "
        "the one that signed yours"
    )
