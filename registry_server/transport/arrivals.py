"""
A gRPC server that no call can end.

grpc.aio's own reads the name of a call's method as UTF-8, and ends, for everybody, over the
first that is none. Here the methods that there are have their names registered, so that gRPC's
core tells them apart by their bytes, and of any other call the name is never read.

What this builds on is not public: the server is installed with the versions of grpcio that it
was tried with, which the project's settings name.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import grpc
from grpc._cython import cygrpc
from grpc.aio._server import Server


class Served(Protocol):
    """A service: the full names of its methods ("/package.Service/Method"), and their handlers."""

    @property
    def methods(self) -> Iterable[str]: ...

    def service(self, details: grpc.HandlerCallDetails, /) -> Any:
        """Return the handler of the call that begins with *details*."""


class SteadyServer(Server):
    """
    A `grpc.aio.Server` of *services*, which begins with `start` and ends with its process.

    Args:
        others: Answers the calls of all methods that there are not, for which `details` name
            no method.
        options: gRPC's.
    """

    def __init__(
        self, services: Sequence[Served], others: Served, options: Sequence[tuple[str, int]]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = _Arrivals(services, others, self._loop, options)


class _Arrivals(cygrpc.AioServer):  # type: ignore[misc]  # it ships no types
    def __init__(
        self,
        services: Sequence[Served],
        others: Served,
        loop: asyncio.AbstractEventLoop,
        options: Sequence[tuple[str, int]],
    ) -> None:
        super().__init__(loop, None, [], [], tuple(options), None)
        self._owners: dict[bytes | None, Served] = {
            method.encode(): service for service in services for method in service.methods
        }
        self._owners[None] = others
        # Which handlers is asked with each call; these are only names.
        self.add_registered_method_handlers(
            {method: None for service in services for method in service.methods}
        )

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Task[None]:
        """Begin to take calls of *method*; asked for once, where gRPC's would be for each call."""
        return asyncio.get_running_loop().create_task(self._take_calls(method))

    async def _take_calls(self, method: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        name = "" if method is None else method.decode()
        resolver = _Resolver(self._owners[method])
        under_way = set[asyncio.Task[None]]()
        while True:
            try:
                if method is None:
                    call = await self._request_call()
                else:
                    call = await self._request_registered_call(method)
            except cygrpc._RequestCallError:
                # The call was gone before it was taken; or the server is about to end.
                if not self.is_running():
                    raise
                continue
            handling = cygrpc._handle_rpc(name, resolver, (), call, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(handling, call, loop, name))
            # The loop itself would not hold it.
            under_way.add(task)
            task.add_done_callback(under_way.discard)


class _Resolver:
    """Finds handlers in the way in which gRPC asks for them."""

    def __init__(self, owner: Served) -> None:
        self.resolve_handler = owner.service
