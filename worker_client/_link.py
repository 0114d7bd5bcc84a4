"""One channel to a registry: calls, streams, and watches that connect anew."""

import os
import threading
from collections.abc import Generator, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from worker_client import _forking, _tracing
from worker_client._calls import Answer, Call, Stubs
from worker_client._config import CHANNEL_OPTIONS
from worker_client._curation_values import GenreChange
from worker_client._errors import CallCancelled, RegistryError, error_of_call
from worker_client._watching import Watch

_STATE_ASKED_S = 0.05
"""How long to wait for the channel to say whether it is connected; it answers at once."""


class Link:
    """A channel of this process, open until it is closed."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.pid = os.getpid()
        self.is_forked_away = False
        """Closed because its process forks; what it was cut off from may be made again."""
        self._closed = threading.Event()
        self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stubs = Stubs(self._channel)

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        """Close the channel, which ends its calls and watches; only in its own process."""
        if self.pid == os.getpid():
            self._closed.set()
            with _forking.calling():
                self._channel.close()

    def close_before_fork(self) -> None:
        """Close the channel, so that what is cut off can tell why."""
        self.is_forked_away = True
        self._closed.set()
        self._channel.close()

    def wait_closed(self, wait_s: float) -> None:
        """Wait *wait_s*, or until the link is closed."""
        self._closed.wait(wait_s)

    def call(self, call: Call[Answer], timeout_s: float) -> Answer:
        """Make *call* and return what its reply means."""
        with _tracing.span(call.rpc) as traced, _forking.calling():
            try:
                reply = self._begin(call, call.request, timeout=timeout_s, **traced)
            except grpc.RpcError as failure:
                raise self.error_of(failure) from failure
        return call.meaning(reply)

    def stream(self, call: Call[Answer], timeout_s: float) -> Generator[Answer, None, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        sending = Sending(call.request) if isinstance(call.request, Iterator) else None
        with _forking.calling():
            replies = self._begin(call, sending or call.request, timeout=timeout_s)
        if sending is not None:
            sending.begin(replies)
        try:
            while (reply := _next(replies)) is not None:
                yield call.meaning(reply)
        except grpc.RpcError as failure:
            if sending is not None and sending.failure is not None:
                raise sending.failure from None
            with _forking.calling():
                raise self.error_of(failure) from failure
        finally:
            _cancel(replies)

    def watch(self, watch: Watch) -> Generator[GenreChange, None, None]:
        """Give what *watch* hears, connecting anew whenever it must; to close it ends it."""
        while True:
            call = watch.call()
            with _forking.calling():
                replies = self._begin(call, call.request)
            limit = _limit_of(watch, replies)
            try:
                while (reply := _next(replies)) is not None:
                    limit.cancel()
                    yield watch.heard(call.meaning(reply))
            except grpc.RpcError as failure:
                with _forking.calling():
                    error = watch.ended_by(self.error_of(failure))
                if error is not None:
                    raise error from failure
            finally:
                limit.cancel()
                _cancel(replies)
            self._closed.wait(watch.pause_s())

    def _begin(self, call: Call[Answer], request: Any, **options: Any) -> Any:
        """Send *request*; return the reply, or what gives the replies of a stream."""
        try:
            return self._stubs.method(call)(request, **options)
        except ValueError as failure:  # so gRPC says that the channel was closed
            raise CallCancelled("The client was closed.") from failure

    def error_of(self, failure: grpc.RpcError) -> RegistryError:
        """Return the error that *failure* stands for."""
        return error_of_call(failure, target=self.target, is_connected=self.is_connected)

    def is_connected(self) -> bool:
        """Ask the channel once whether it is connected; gRPC tells only those who subscribe."""
        told = threading.Event()
        states: list[grpc.ChannelConnectivity] = []

        def hear(state: grpc.ChannelConnectivity) -> None:
            states.append(state)
            told.set()

        try:
            self._channel.subscribe(hear)
            told.wait(_STATE_ASKED_S)
            self._channel.unsubscribe(hear)
        except ValueError:  # so gRPC says that the channel was closed
            return False
        return states[:1] == [grpc.ChannelConnectivity.READY]


def _next(replies: Any) -> Any:
    """Return the next of *replies*; None at their end."""
    with _forking.calling(is_long=True):
        return next(replies, None)


def _cancel(replies: Any) -> None:
    with _forking.calling():
        replies.cancel()


class Sending(Iterator[Message]):
    """
    Requests that gRPC takes in a thread of its own; *failure* is what making one raised.

    gRPC would print it and tell the caller nothing.
    """

    def __init__(self, requests: Iterator[Message]) -> None:
        self.failure: Exception | None = None
        self._requests = requests
        self._call: Any = None
        self._has_begun = threading.Event()

    def begin(self, call: Any) -> None:
        """Say which call it is that takes the requests."""
        self._call = call
        self._has_begun.set()

    def __next__(self) -> Message:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except Exception as failure:
            self.failure = failure
            self._has_begun.wait()
            # Before the end of the requests, which would pass for that of a whole import.
            self._call.cancel()
            raise StopIteration from None


def _limit_of(watch: Watch, replies: Any) -> threading.Timer:
    """Return what ends *replies* when *watch* has waited long enough for the first; running."""

    def give_up() -> None:
        watch.give_up()
        _cancel(replies)

    left_s = watch.left_s()
    limit = threading.Timer(left_s or 0, give_up)
    limit.daemon = True
    if left_s is not None:
        limit.start()
    return limit
