"""Methods that there are not: answered as gRPC answers them, and counted as one."""

from typing import Any

import grpc

from registry_server.observing.observer import Observer
from registry_server.transport.calls import caller_of
from registry_server.transport.limiting import Context


class OtherMethods:
    """Answers the calls of all methods that there are not."""

    methods = ()

    def __init__(self, observer: Observer) -> None:
        refusing: Any = observer.around("other", _refuse, caller_of, is_stream=True)
        self._handler: Any = grpc.stream_stream_rpc_method_handler(refusing)

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        return self._handler


async def _refuse(_asked: Any, context: Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
