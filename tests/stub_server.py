"""A gRPC server that is no registry, for what a real one does not do."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from registry_server.transport.servicer import SERVICES

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def answering(answers: Mapping[str, Answer], *, threads: int = 2) -> Iterator[str]:
    """Serve RPCs of GenreRegistry by *answers* until the block ends; give the target."""
    methods: dict[str, Any] = {
        rpc: grpc.unary_unary_rpc_method_handler(answer) for rpc, answer in answers.items()
    }
    with ThreadPoolExecutor(threads) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICES["GenreRegistry"].full_name, methods),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
