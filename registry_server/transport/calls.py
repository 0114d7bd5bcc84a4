"""What surrounds every call: refusals become statuses, defects become bland ones, in one place."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_status import rpc_status

from registry_server.transport.status import pushback_of, status_of, status_of_defect
from registry_server.vocabulary.refusals import RegistryError, StorageFailed

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Method = Callable[[bytes, Context], Awaitable[bytes | Message]]


def generic_handler(service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
    """
    Return the handler that serves *service* by *servicer*'s methods of the same names.

    Bytes reach the methods as they came: what is no message is then refused by us, with
    a reason, and a reply that is known already needs no encoding.
    """
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method.name: grpc.unary_unary_rpc_method_handler(
            answering(method.name, getattr(servicer, method.name))
        )
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def answering(name: str, method: Method) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """Return *method* such that whatever it raises is answered as a status."""

    async def answer(data: bytes, context: Context) -> bytes:
        try:
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
        rich = rpc_status.to_status(status)
        await context.abort(rich.code, rich.details, (*rich.trailing_metadata, *metadata))
        raise AssertionError("abort always raises")

    return answer
