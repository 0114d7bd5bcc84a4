"""How the client for asyncio programs connects and calls."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from worker_client._calls import Answer, Call, Stubs
from worker_client._config import CHANNEL_OPTIONS, RASPBERRY_PI, TARGET_DEFAULT, Deadlines
from worker_client._curation_values import GenreChange
from worker_client._errors import CallCancelled, RegistryDefect, RegistryError, error_of_call
from worker_client._watching import Watch


class AsyncConnection:
    """A channel to one registry, opened by the first call, in the loop that makes it."""

    def __init__(
        self, target: str = TARGET_DEFAULT, *, deadlines: Deadlines = RASPBERRY_PI
    ) -> None:
        self.target = target
        self._deadlines = deadlines
        self._opened: tuple[grpc.aio.Channel, Stubs] | None = None

    async def close(self) -> None:
        """Close the connection, which ends its watches; a later call opens a new one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, call: Call[Answer], deadline_s: float | None) -> Answer:
        channel, stubs = self._opened or self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        try:
            reply = await stubs.method(call)(call.request, timeout=timeout_s)
        except grpc.RpcError as failure:
            raise self._error_of(failure, channel) from failure
        return self._meaning(call, reply)

    async def _stream(
        self, call: Call[Answer], deadline_s: float | None
    ) -> AsyncGenerator[Answer, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        channel, stubs = self._opened or self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        sending: asyncio.Task[None] | None = None
        if isinstance(call.request, Iterator):
            replies = stubs.method(call)(timeout=timeout_s)
            sending = asyncio.create_task(_send(call.request, replies))
        else:
            replies = stubs.method(call)(call.request, timeout=timeout_s)
        try:
            while (reply := await _next(replies)) is not grpc.aio.EOF:
                yield self._meaning(call, reply)
        except (grpc.RpcError, CallCancelled) as failure:
            if sending is not None and sending.done() and not sending.cancelled():
                sending.result()
            if isinstance(failure, CallCancelled):
                raise
            raise self._error_of(failure, channel) from failure
        finally:
            replies.cancel()
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])

    async def _watch(self, watch: Watch) -> AsyncGenerator[GenreChange, None]:
        """Give what *watch* hears, connecting anew whenever it must; to close it ends it."""
        channel, stubs = self._opened or self._open()
        while True:
            call = watch.call()
            try:
                replies = stubs.method(call)(call.request)
            except grpc.aio.UsageError as failure:  # so gRPC says that the channel was closed
                raise CallCancelled("The client was closed.") from failure
            try:
                async with asyncio.timeout(watch.left_s()):
                    reply = await _next(replies)
                while reply is not grpc.aio.EOF:
                    yield watch.heard(self._meaning(call, reply))
                    reply = await _next(replies)
            except TimeoutError:
                raise watch.absence() from None
            except grpc.RpcError as failure:
                error = watch.ended_by(self._error_of(failure, channel))
                if error is not None:
                    raise error from failure
            finally:
                replies.cancel()
            await asyncio.sleep(watch.pause_s())

    def _meaning(self, call: Call[Answer], reply: Any) -> Answer:
        if reply is None:  # so grpc.aio says that the bytes are no message
            raise RegistryDefect(f"What answered at {self.target} is no registry.")
        return call.meaning(reply)

    def _error_of(self, failure: grpc.RpcError, channel: grpc.aio.Channel) -> RegistryError:
        return error_of_call(
            failure,
            target=self.target,
            is_connected=lambda: channel.get_state() is grpc.ChannelConnectivity.READY,
        )

    def _open(self) -> tuple[grpc.aio.Channel, Stubs]:
        channel = grpc.aio.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        self._opened = (channel, Stubs(channel))
        return self._opened


async def _next(replies: Any) -> Any:
    """
    Return the next of *replies*, or `grpc.aio.EOF`.

    Raises:
        CallCancelled: the channel was closed. gRPC says so as if this task were cancelled.
    """
    try:
        return await replies.read()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise CallCancelled("The client was closed.") from None


async def _send(requests: Iterator[Message], call: Any) -> None:
    """Send *requests*; cancel *call* if making one fails, and raise what that raised."""
    try:
        for request in requests:
            await call.write(request)
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        pass  # the call is over; who reads the replies is told why
    except Exception:
        call.cancel()
        raise
