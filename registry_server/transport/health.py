"""
Health, for anybody: whoever looks after the process may hold no token.

Our own, for the library's writes to a watcher while it holds what every change of status waits
for, so that one who takes nothing would hold up the shutdown; and leaves bytes that are no
message, and how many may watch, to nobody.
Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from registry_server.limits import Limits
from registry_server.observing.observer import Observer
from registry_server.transport.calls import Door, Service, caller_of, served
from registry_server.transport.decode import decode
from registry_server.transport.guard import ANYBODY
from registry_server.transport.limiting import Admission
from registry_server.transport.reading import Reading
from registry_server.vocabulary.callers import NOBODY

Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Tells whether *services* are served, and the server as a whole, whose name is empty."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset({"", *services})
        self._status = SERVING
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Say NOT_SERVING from now on."""
        self._status = NOT_SERVING
        self._stopping.set()

    async def Check(self, data: bytes, context: Context) -> health_pb2.HealthCheckResponse:
        request = decode(health_pb2.HealthCheckRequest, data)
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such service here.")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def List(self, data: bytes, _context: Context) -> health_pb2.HealthListResponse:
        decode(health_pb2.HealthListRequest, data)
        status = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, status))

    async def Watch(
        self, data: bytes, _context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse]:
        request = decode(health_pb2.HealthCheckRequest, data)
        if request.service not in self._services:
            yield health_pb2.HealthCheckResponse(status=UNKNOWN)
        elif not self._stopping.is_set():
            yield health_pb2.HealthCheckResponse(status=SERVING)
        await self._stopping.wait()
        if request.service in self._services:
            yield health_pb2.HealthCheckResponse(status=NOT_SERVING)
        # It ends with the connection, as the server does.
        await asyncio.Event().wait()


def health_service(health: Health, limits: Limits, observer: Observer) -> Service:
    """
    Return what tells *health*, to the end; a host may hold as many watches as a
    caller, and may ask as often as it likes.
    """
    unhurried = replace(limits, caller_calls_per_s=0.0)
    admission = Admission(unhurried, caller_of, local=NOBODY.name)
    return served(
        *(SERVICE, lambda: health, Door(), ANYBODY, admission, observer), reading=Reading()
    )
