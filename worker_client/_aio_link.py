"""One asyncio channel to a registry: calls, streams, and watches that connect anew."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from worker_client import _tracing
from worker_client._calls import Answer, Call, Stubs
from worker_client._config import CHANNEL_OPTIONS
from worker_client._credentials import Credentials, Metadata
from worker_client._curation_values import GenreChange
from worker_client._deadlines import left_s
from worker_client._errors import (
    CallCancelled,
    RegistryDefect,
    RegistryError,
    TokenInvalid,
    absence,
    cut_off,
    error_of_call,
    is_absence,
)
from worker_client._files import Files
from worker_client._handshake import refusal_of
from worker_client._watching import Watch


class AsyncLink:
    """A channel of one event loop, open until it is closed."""

    def __init__(self, target: str, credentials: Credentials) -> None:
        self.target = target
        self.is_closed = False
        self.is_cut_off = False
        """Closed for new certificates: what it was cut off from may be made again."""
        self.loop = asyncio.get_running_loop()
        self._credentials = credentials
        self._files = Files(credentials.tls.paths if credentials.tls else ())
        self._streams = 0
        if credentials.tls is None:
            self._channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            shown = credentials.tls.read()
            self._channel = grpc.aio.secure_channel(target, shown, options=CHANNEL_OPTIONS)
        self._stubs = Stubs(self._channel)

    async def close(self) -> None:
        """Close the channel, which ends its calls and watches."""
        await self._channel.close()
        self.is_closed = True

    def is_outdated(self) -> bool:
        """Whether certificates have changed since it was opened; not while it streams."""
        return self._files.have_changed() and not self._streams

    def keep(self) -> None:
        """Stay, with the certificates that it was opened with, until they change again."""
        self._files.take()

    async def call(self, call: Call[Answer], timeout_s: float) -> Answer:
        """Make *call* and return what its reply means."""
        ends_s = time.monotonic() + timeout_s
        with _tracing.span(call.rpc) as traced:
            while True:
                sent = self._credentials.metadata()
                carried = (*(sent or ()), *traced)
                try:
                    begun = self._begin(call, call.request, metadata=carried, timeout=timeout_s)
                    reply = await _unless_closed(begun)
                except grpc.RpcError as failure:
                    error = await self.error_of(failure)
                    if not self._may_show_another(error, sent):
                        raise error from failure
                    timeout_s = left_s(ends_s)
                    continue
                return self._meaning(call, reply)

    async def stream(self, call: Call[Answer], timeout_s: float) -> AsyncGenerator[Answer, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        sending: asyncio.Task[None] | None = None
        options = {"metadata": self._credentials.metadata(), "timeout": timeout_s}
        if isinstance(call.request, Iterator):
            replies = self._begin(call, **options)
            sending = asyncio.create_task(_send(call.request, replies))
        else:
            replies = self._begin(call, call.request, **options)
        self._streams += 1
        try:
            while (reply := await _next(replies)) is not grpc.aio.EOF:
                yield self._meaning(call, reply)
        except (grpc.RpcError, CallCancelled) as failure:
            if sending is not None and sending.done() and not sending.cancelled():
                sending.result()
            if isinstance(failure, CallCancelled):
                raise
            raise await self.error_of(failure) from failure
        finally:
            self._streams -= 1
            replies.cancel()
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])

    async def watch(self, watch: Watch) -> AsyncGenerator[GenreChange, None]:
        """As of `Link.watch`."""
        while True:
            call = watch.call()
            sent = self._credentials.metadata()
            replies = self._begin(call, call.request, metadata=sent)
            try:
                async with asyncio.timeout(watch.left_s()):
                    reply = await _next(replies)
                while reply is not grpc.aio.EOF:
                    yield watch.heard(self._meaning(call, reply))
                    reply = await _next(replies)
            except TimeoutError:
                raise watch.absence() from None
            except grpc.RpcError as failure:
                refused = await self.error_of(failure)
                if not self._may_show_another(refused, sent):
                    error = watch.ended_by(refused)
                    if error is not None:
                        raise error from failure
            finally:
                replies.cancel()
            await asyncio.sleep(watch.pause_s())
            if self.is_outdated():
                return

    def _may_show_another(self, error: RegistryError, sent: Metadata | None) -> bool:
        """Whether *error* refuses a token, and there is another by now than was *sent*."""
        return isinstance(error, TokenInvalid) and self._credentials.has_changed(sent)

    def _begin(self, call: Call[Answer], *request: Any, **options: Any) -> Any:
        """Send *request*; return what the reply can be awaited of, or replies be read from."""
        try:
            return self._stubs.method(call)(*request, **options)
        except grpc.aio.UsageError as failure:  # so gRPC says that the channel was closed
            raise CallCancelled("The client was closed.") from failure

    def _meaning(self, call: Call[Answer], reply: Any) -> Answer:
        if reply is None:  # so grpc.aio says that the bytes are no message
            raise RegistryDefect(f"What answered at {self.target} is no registry.")
        return call.meaning(reply)

    async def error_of(self, failure: grpc.RpcError) -> RegistryError:
        """Return the error that *failure* stands for."""
        error = error_of_call(failure, target=self.target, is_connected=self.is_connected)
        if isinstance(error, CallCancelled) and not self.is_closed:
            return cut_off(self.target)
        if is_absence(error, failure):
            tls = self._credentials.tls
            return absence(self.target, await asyncio.to_thread(refusal_of, self.target, tls))
        return error

    def is_connected(self) -> bool:
        """Whether the channel is connected just now."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY


async def _next(replies: Any) -> Any:
    """Return the next of *replies*, or `grpc.aio.EOF`."""
    return await _unless_closed(replies.read())


async def _unless_closed(answer: Awaitable[Any]) -> Any:
    """
    Return what *answer* comes to.

    Raises:
        CallCancelled: the channel was closed. gRPC says so as if this task were cancelled.
    """
    try:
        return await answer
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
