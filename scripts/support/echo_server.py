"""The yardstick: a bare grpc.aio server that answers every call with the same bytes."""

import asyncio

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

TIME = Timestamp(seconds=1_700_000_000, nanos=123_456_000)
GENRE = pb.Genre(id=1, name="Hip-Hop", create_time=TIME, update_time=TIME, revision=1)
REPLY = pb.GetOrCreateResponse(genre=GENRE, created=False).SerializeToString()


async def echo(_request: bytes, _context: object) -> bytes:
    return REPLY


async def main() -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handlers = {"GetOrCreate": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("genre_registry.v1.GenreRegistry", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
