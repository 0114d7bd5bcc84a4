"""How the channel retries and reconnects while the server is away."""

import json

TARGET_DEFAULT = "127.0.0.1:50051"


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
    # Each failed attempt takes a token, a thousand successes give one back, and from half of
    # them down there are no retries: a server that fails everything is not asked five times by
    # everyone, nor is one that fails only some RPCs, for the tokens are the channel's. What is
    # not retried here waits in a circuit, see _circuit.py.
    "retryThrottling": {"maxTokens": 8, "tokenRatio": 0.001},
}

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # gRPC's own back-off grows to two minutes; a registry is back within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A host that vanished without a word is noticed within half a minute, by the watch that is
    # open all the time and by calls under way; idle channels are left alone.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A thousand tag sets of many long names each; the server takes requests of 4 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    # A proxy for the web is no way to a registry at home.
    ("grpc.enable_http_proxy", 0),
)
