"""What surrounds every call: refusals become statuses, defects become bland ones, in one place."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_status import rpc_status

from registry_server.observing.observer import Observer, refused_for
from registry_server.transport.guard import Admitting, calling
from registry_server.transport.limiting import Admission, Context, Method, StreamMethod
from registry_server.transport.permissions import lowest_role
from registry_server.transport.reading import Reading
from registry_server.transport.status import pushback_of, status_of, status_of_defect
from registry_server.vocabulary.curation_refusals import WatcherTooSlow
from registry_server.vocabulary.refusals import (
    RegistryError,
    ShuttingDown,
    StorageFailed,
    TokenInvalid,
)

QUIET_S = 0.03
"""Nobody knocks any more when nobody did for this long: a round trip or two on a Pi."""
KNOCKING_S_MAX = 1.0
"""How long to go on refusing callers that do not heed when to come back."""
ANSWERS_S = 1.0
"""How long the last words of streams may take to leave at a shutdown."""

TAKES_NOTHING_S = 30.0
"""How long the reader of a stream may take nothing before it is let go."""

log = logging.getLogger(__name__)


class Door:
    """
    Lets calls in until it is closed, and knows when the last one has left.

    Whoever comes later is told when to come back. gRPC's own way of stopping is no way to do
    so: it cancels what is just arriving, which no caller takes for "try again".
    """

    def __init__(self) -> None:
        self.is_open = True
        self._knocks = 0
        self._inside = 0
        self._empty = asyncio.Event()
        self._streams = set[asyncio.Task[Any]]()

    def enter(self) -> None:
        """
        Let a call in; whoever entered leaves.

        Raises:
            ShuttingDown: the door is closed.
        """
        self._admit()
        self._inside += 1

    def _admit(self) -> None:
        if not self.is_open:
            self._knocks += 1
            raise ShuttingDown

    def leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """
        Hold a stream, which ends when the door closes, whatever it waits for.

        Raises:
            ShuttingDown: the door is closed, or closed meanwhile.
        """
        task = asyncio.current_task()
        assert task is not None
        self._admit()
        self._streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.is_open:
                raise
            task.uncancel()
            raise ShuttingDown from None
        finally:
            self._streams.discard(task)

    async def close(self, grace_s: float) -> None:
        """
        Refuse who knocks; end the streams and wait for who is inside, *grace_s* at most, until
        nobody knocks any more.
        """
        self.is_open = False
        streams = set(self._streams)
        for task in streams:
            task.cancel()
        if streams:
            await asyncio.wait(streams, timeout=ANSWERS_S)
        self._empty.clear()
        if self._inside:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        loop = asyncio.get_running_loop()
        end_s = loop.time() + KNOCKING_S_MAX
        knocks = -1
        while knocks != self._knocks and loop.time() < end_s:
            knocks = self._knocks
            await asyncio.sleep(QUIET_S)


def served(
    service: ServiceDescriptor,
    servicer: Callable[[], object],
    door: Door,
    guard: Admitting,
    admission: Admission,
    observer: Observer,
    *,
    reading: Reading | None = None,
) -> "Service":
    """
    Return what serves *service* by the methods of the same names that *servicer*
    has, which is asked for with the first call. What *admission* refuses never reaches them.
    Where *reading* is given, it reads the one message that each call has.

    Bytes reach the methods as they came: what is no message is then refused by us, with
    a reason, and a reply that is known already needs no encoding.
    """
    return Service(
        {
            f"/{service.full_name}/{method.name}": _handlers(
                method,
                admission.bounding(method, _late(servicer, method.name)),
                door,
                guard,
                observer,
                reading,
            )
            for method in service.methods
        },
        guard,
    )


class Service:
    """
    Serves `methods`, each by a handler, and by another that refuses whoever may not even send.

    A message is read whole before its handler is asked, and is megabytes long if its sender
    likes: who shows no token at the beginning of a call has nothing read.
    """

    def __init__(self, handlers: Mapping[str, tuple[Any, Any]], guard: Admitting) -> None:
        self.methods = handlers
        self._guard = guard

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call, by how it begins."""
        serving, refusing = self.methods[call.method]
        return serving if self._guard.may_send(call.invocation_metadata) else refusing


def _late(servicer: Callable[[], object], name: str) -> Callable[[Any, Context], Any]:
    def serve(asked: Any, context: Context) -> Any:
        return getattr(servicer(), name)(asked, context)

    return serve


def _handlers(
    method: MethodDescriptor,
    serve: Any,
    door: Door,
    guard: Admitting,
    observer: Observer,
    reading: Reading | None,
) -> tuple[Any, Any]:
    """Return what serves *method*, and what refuses it unread."""
    rpc = f"{method.containing_service.full_name}/{method.name}"
    # Every RPC of the contract has its lowest role, or the server does not start.
    lowest_role(rpc)
    around = partial(observer.around, rpc, caller_of=caller_of)
    serving: Any
    if reading is not None:
        read: Any = reading.streams(serve) if method.server_streaming else reading.calls(serve)
        answered: Any = around(streaming(rpc, read, door, guard), is_stream=method.server_streaming)
        serving = grpc.stream_stream_rpc_method_handler(answered)
    elif not method.server_streaming:
        answered = around(answering(rpc, serve, door, guard))
        serving = grpc.unary_unary_rpc_method_handler(answered)
    else:
        streamed: Any = around(streaming(rpc, serve, door, guard), is_stream=True)
        if method.client_streaming:
            serving = grpc.stream_stream_rpc_method_handler(streamed)
        else:
            serving = grpc.unary_stream_rpc_method_handler(streamed)
    refused: Any = around(streaming(rpc, _refuse_sender, door, guard), is_stream=True)
    return serving, grpc.stream_stream_rpc_method_handler(refused)


async def _refuse_sender(_asked: Any, _context: Context) -> AsyncGenerator[bytes]:
    """Refuse who was refused the sending, and may call by now."""
    yield _too_late()


def _too_late() -> bytes:
    raise TokenInvalid.unknown()


def answering(
    rpc: str, method: Method, door: Door, guard: Admitting
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """
    Return *method* behind *door* and *guard*, such that whatever it raises is answered as a
    status. Who may not make the call learns nothing else of it.
    """
    name = rpc.rpartition("/")[2]

    async def answer(data: bytes, context: Context) -> bytes:
        try:
            door.enter()
        except ShuttingDown as refusal:
            await _refuse(name, refusal, context)
        try:
            guard.admit(rpc, context)
            return _encoded(await method(data, context))
        except grpc.aio.AbortError:
            raise
        except Exception as failure:
            await _refuse(name, failure, context)
            raise AssertionError("abort always raises") from None
        finally:
            door.leave()

    return answer


def streaming(
    rpc: str, method: StreamMethod, door: Door, guard: Admitting
) -> Callable[[Any, Context], Awaitable[None]]:
    """As `answering`, for a *method* that streams; who takes nothing for long is let go."""
    name = rpc.rpartition("/")[2]

    async def stream(asked: Any, context: Context) -> None:
        try:
            with door.stream(), guard.staying(rpc, context):
                await send_all(asked, context)
            return
        except grpc.aio.InternalError:
            # So grpc.aio says that nobody is there any more to write to.
            return
        except grpc.aio.AbortError:
            raise
        except Exception as failure:
            refusal = failure
        with suppress(grpc.aio.InternalError):
            await _refuse(name, refusal, context)

    async def send_all(asked: Any, context: Context) -> None:
        async with aclosing(method(asked, context)) as replies:
            async for reply in replies:
                await _send(context, _encoded(reply))

    return stream


async def _send(context: Context, reply: bytes) -> None:
    try:
        await asyncio.wait_for(context.write(reply), TAKES_NOTHING_S)
    except TimeoutError:
        raise WatcherTooSlow(TAKES_NOTHING_S) from None


def _encoded(reply: bytes | Message) -> bytes:
    return reply if isinstance(reply, bytes) else reply.SerializeToString()


async def _refuse(name: str, failure: Exception, context: Context) -> None:
    """End the call with the status that stands for *failure*."""
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(failure, RegistryError):
        if isinstance(failure, StorageFailed):
            log.error("storage failed", extra={"method": name}, exc_info=failure)
        status = status_of(failure)
        refused_for.set(failure.reason)
        metadata = pushback_of(failure)
    else:
        defect_id, status = status_of_defect()
        refused_for.set("INTERNAL")
        log.error("defect", extra={"method": name, "defect_id": defect_id}, exc_info=failure)
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, (*rich.trailing_metadata, *metadata))


def caller_of(_context: Context) -> str:
    """Return the caller's name, for the journal."""
    return calling.get().name


def deadline_s_of(context: Context) -> float:
    """Return the call's deadline on the event loop's clock; far away if it has none."""
    # None without a deadline, whatever its declared type says.
    remaining_s = cast("float | None", context.time_remaining())
    if remaining_s is None:
        return float("inf")
    return asyncio.get_running_loop().time() + remaining_s
