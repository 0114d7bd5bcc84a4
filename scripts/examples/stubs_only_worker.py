"""
A worker with the generated stubs alone: what it has to see to itself.

    python stubs_only_worker.py 127.0.0.1:50051

A deadline for every call; an id for every logical write, so that one which gRPC repeats is
still told `created`; and a channel that waits for a server which is being restarted.
"""

import json
import sys
import uuid

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub

DEADLINE_S = 10.0
NO_NAME = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)
"""It can be no genre's name, or a curator blocked it."""

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 1},
}
OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # gRPC's own back-off grows to two minutes.
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class Tagger:
    """Gives tracks their genre ids."""

    def __init__(self, registry: GenreRegistryStub) -> None:
        self._registry = registry

    def genre_id(self, name: str) -> int | None:
        """Return the id of a genre; None if *name* names none."""
        request = pb.GetOrCreateRequest(name=name, request_id=uuid.uuid4().hex)
        try:
            return self._registry.GetOrCreate(request, timeout=DEADLINE_S).genre.id
        except grpc.RpcError as error:
            if error.code() in NO_NAME:
                return None
            raise


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1], options=OPTIONS) as channel:
        tagger = Tagger(GenreRegistryStub(channel))
        for name in ("Trip-Hop", "trip hop", " "):
            print(repr(name), tagger.genre_id(name))
