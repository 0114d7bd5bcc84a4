"""Reflection, for any caller who is known."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection, reflection_pb2

from registry_server.observing.observer import Observer
from registry_server.transport.calls import Door, Service, served
from registry_server.transport.decode import decode
from registry_server.transport.guard import Guard
from registry_server.transport.limiting import Admission

Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


class ReflectionServicer:
    """Tells the contract of *services*, from bytes to messages."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = reflection.aio.ReflectionServicer(services)

    async def ServerReflectionInfo(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncGenerator[Message]:
        asked = (decode(reflection_pb2.ServerReflectionRequest, data) async for data in requests)
        async with aclosing(self._servicer.ServerReflectionInfo(asked, context)) as replies:
            async for reply in replies:
                yield reply


def reflection_service(
    services: Iterable[str], door: Door, guard: Guard, admission: Admission, observer: Observer
) -> Service:
    """
    Return what tells the contract of *services* to whoever *guard* knows, as much
    as *admission* lets in.
    """
    servicer = ReflectionServicer([*services, SERVICE.full_name])
    return served(SERVICE, lambda: servicer, door, guard, admission, observer)
