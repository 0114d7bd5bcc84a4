"""What surrounds every call: refusals become statuses, defects become bland ones, in one place."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_status import rpc_status

from registry_server.transport.status import pushback_of, status_of, status_of_defect
from registry_server.vocabulary.refusals import RegistryError, ShuttingDown, StorageFailed

QUIET_S = 0.03
"""Nobody knocks any more when nobody did for this long: a round trip or two on a Pi."""
KNOCKING_S_MAX = 1.0
"""How long to go on refusing callers that do not heed when to come back."""

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Method = Callable[[bytes, Context], Awaitable[bytes | Message]]


class Door:
    """
    Lets calls in until it is closed, and knows when the last one has left.

    A server that stops cancels what waits at gRPC's own gate, which no caller takes for
    "try again". So the door closes first, and every caller is told when to come back.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._knocks = 0
        self._inside = 0
        self._empty = asyncio.Event()

    def enter(self) -> None:
        """
        Let a call in; whoever enters leaves.

        Raises:
            ShuttingDown: the door is closed.
        """
        self._knocks += 1
        self._inside += 1
        if not self.is_open:
            raise ShuttingDown

    def leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    async def close(self, grace_s: float) -> None:
        """Refuse who knocks until nobody does; then wait for who is inside, *grace_s* at most."""
        self.is_open = False
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        knocks = -1
        while knocks != self._knocks and loop.time() < start_s + KNOCKING_S_MAX:
            knocks = self._knocks
            await asyncio.sleep(QUIET_S)
        self._empty.clear()
        if self._inside:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)


def generic_handler(
    service: ServiceDescriptor, servicer: object, door: Door
) -> grpc.GenericRpcHandler:
    """
    Return the handler that serves *service* by *servicer*'s methods of the same names.

    Bytes reach the methods as they came: what is no message is then refused by us, with
    a reason, and a reply that is known already needs no encoding.
    """
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method.name: grpc.unary_unary_rpc_method_handler(
            answering(method.name, getattr(servicer, method.name), door)
        )
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def answering(
    name: str, method: Method, door: Door
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """Return *method* behind *door*, such that whatever it raises is answered as a status."""

    async def answer(data: bytes, context: Context) -> bytes:
        try:
            door.enter()
            reply = await method(data, context)
            return reply if isinstance(reply, bytes) else reply.SerializeToString()
        except RegistryError as refusal:
            if isinstance(refusal, StorageFailed):
                log.error("storage failed", extra={"method": name}, exc_info=refusal)
            status = status_of(refusal)
            metadata = pushback_of(refusal)
        except Exception:
            defect_id, status = status_of_defect()
            metadata = ()
            log.exception("defect", extra={"method": name, "defect_id": defect_id})
        finally:
            door.leave()
        rich = rpc_status.to_status(status)
        await context.abort(rich.code, rich.details, (*rich.trailing_metadata, *metadata))
        raise AssertionError("abort always raises")

    return answer
