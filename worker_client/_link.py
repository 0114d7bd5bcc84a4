"""One channel to a registry: calls, streams, and watches that connect anew."""

import os
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from worker_client import _forking, _tracing
from worker_client._calls import Answer, Call, Stubs
from worker_client._config import CHANNEL_OPTIONS
from worker_client._credentials import Credentials, Metadata
from worker_client._curation_values import GenreChange
from worker_client._deadlines import left_s
from worker_client._errors import (
    CallCancelled,
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

_STATE_ASKED_S = 0.05
"""How long to wait for the channel to say whether it is connected; it answers at once."""


class Link:
    """A channel of this process, open until it is closed."""

    def __init__(self, target: str, credentials: Credentials) -> None:
        self.target = target
        self.pid = os.getpid()
        self.is_cut_off = False
        """Closed for a fork or new certificates: what it was cut off from may be made again."""
        self._closed = threading.Event()
        self._credentials = credentials
        self._files = Files(credentials.tls.paths if credentials.tls else ())
        self._streams = 0
        if credentials.tls is None:
            self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            shown = credentials.tls.read()
            self._channel = grpc.secure_channel(target, shown, options=CHANNEL_OPTIONS)
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

    def is_outdated(self) -> bool:
        """Whether certificates have changed since it was opened; not while it streams."""
        return self._files.have_changed() and not self._streams

    def keep(self) -> None:
        """Stay, with the certificates that it was opened with, until they change again."""
        self._files.take()

    def close_for_another(self) -> None:
        """Close the channel, which another takes the place of."""
        self.is_cut_off = True
        self.close()

    def close_before_fork(self) -> None:
        """Close the channel, so that what is cut off can tell why."""
        self.is_cut_off = True
        self._closed.set()
        self._channel.close()

    def wait_closed(self, wait_s: float) -> None:
        """Wait *wait_s*, or until the link is closed."""
        self._closed.wait(wait_s)

    def call(self, call: Call[Answer], timeout_s: float) -> Answer:
        """Make *call* and return what its reply means."""
        ends_s = time.monotonic() + timeout_s
        with _tracing.span(call.rpc) as traced:
            while True:
                sent = self._credentials.metadata()
                with _forking.calling():
                    try:
                        carried = (*(sent or ()), *traced)
                        reply = self._begin(call, call.request, carried, timeout=timeout_s)
                    except grpc.RpcError as failure:
                        error = self.error_of(failure)
                        if not self._may_show_another(error, sent):
                            raise error from failure
                        timeout_s = left_s(ends_s)
                        continue
                return call.meaning(reply)

    def stream(self, call: Call[Answer], timeout_s: float) -> Generator[Answer, None, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        sending = Sending(call.request) if isinstance(call.request, Iterator) else None
        sent = self._credentials.metadata()
        with _forking.calling():
            replies = self._begin(call, sending or call.request, sent, timeout=timeout_s)
        self._streams += 1
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
            self._streams -= 1
            _cancel(replies)

    def watch(self, watch: Watch) -> Generator[GenreChange, None, None]:
        """
        Give what *watch* hears, connecting anew whenever it must; to close it ends it.

        Ends by itself if certificates have changed: another link goes on.
        """
        while True:
            call = watch.call()
            sent = self._credentials.metadata()
            with _forking.calling():
                replies = self._begin(call, call.request, sent)
            limit = _limit_of(watch, replies)
            try:
                while (reply := _next(replies)) is not None:
                    limit.cancel()
                    yield watch.heard(call.meaning(reply))
            except grpc.RpcError as failure:
                with _forking.calling():
                    refused = self.error_of(failure)
                if not self._may_show_another(refused, sent):
                    error = watch.ended_by(refused)
                    if error is not None:
                        raise error from failure
            finally:
                limit.cancel()
                _cancel(replies)
            self._closed.wait(watch.pause_s())
            if self.is_outdated():
                return

    def _may_show_another(self, error: RegistryError, sent: Metadata | None) -> bool:
        """Whether *error* refuses a token, and there is another by now than was *sent*."""
        return isinstance(error, TokenInvalid) and self._credentials.has_changed(sent)

    def _begin(
        self, call: Call[Answer], request: Any, sent: Metadata | None, **options: Any
    ) -> Any:
        """Send *request*; return the reply, or what gives the replies of a stream."""
        try:
            return self._stubs.method(call)(request, metadata=sent, **options)
        except ValueError as failure:  # so gRPC says that the channel was closed
            raise CallCancelled("The client was closed.") from failure

    def error_of(self, failure: grpc.RpcError) -> RegistryError:
        """Return the error that *failure* stands for."""
        error = error_of_call(failure, target=self.target, is_connected=self.is_connected)
        if isinstance(error, CallCancelled) and not self.is_closed:
            return cut_off(self.target)
        if is_absence(error, failure):
            return absence(self.target, refusal_of(self.target, self._credentials.tls))
        return error

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
