"""How long a call may take, and how the channel behaves while the server is away."""

import json
from dataclasses import dataclass

TARGET_DEFAULT = "127.0.0.1:50051"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """
    How long a call may take in all, retries and waiting for a restarting server included.

    Attributes:
        read_s: Looking up, getting by id, listing a page.
        write_s: Getting or creating one name.
        batch_s: Up to 1000 names, ids or tag sets; merging; taking in a reference pack.
        transfer_s: Exporting or importing everything, from the first record to the last.
    """

    read_s: float
    write_s: float
    batch_s: float
    transfer_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("read_s", "write_s", "batch_s", "transfer_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: a deadline is more than 0 seconds")


RASPBERRY_PI = Deadlines(
    # A server that systemd restarts is away for about 6 s: 1 s until systemd starts it,
    # 2 to 3 s until Python serves on a Pi (estimated from 0.6 s on x86-64, not measured on
    # a Pi), and up to 2 s until the channel tries again.
    read_s=8.0,
    # The same, and three writes to the card, each of which may take 0.4 s at its worst
    # (reported of SD cards, not measured here): the round under way, one's own, and a
    # checkpoint between them.
    write_s=10.0,
    # The same, and the work of 1000 names: 0.05 s on x86-64, allowed to take ten times as
    # long on a Pi, behind as many other workers' batches as fit. A pack is the keys of some
    # 5000 names and as many rows at most, which is five such batches.
    batch_s=20.0,
    # A hundred thousand genres with their journal are some hundred batches in one transaction,
    # and a person waits for it, who sees how far it is: it ends only if all hope is gone.
    transfer_s=600.0,
)
"""For a registry on a Raspberry Pi with its database on an SD card."""

_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            # A call waits for a restarting server instead of failing at once.
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                # The one status that says: nothing was wrong with the request.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Each failed attempt takes a token, and below half there are no retries. A killed server
    # fails the calls of every thread at once: of 32 threads on one client, 52 calls failed over
    # three kills with 100 tokens, none with 1000, which is gRPC's most.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 1},
}

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # gRPC's own back-off grows to two minutes; a registry is back within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A thousand tag sets of many long names each; the server takes requests of 4 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    # A proxy for the web is no way to a registry at home.
    ("grpc.enable_http_proxy", 0),
)
