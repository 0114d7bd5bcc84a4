"""How the client for plain worker processes connects and calls."""

import os
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from worker_client._calls import Answer, Call, Stubs
from worker_client._config import CHANNEL_OPTIONS, RASPBERRY_PI, TARGET_DEFAULT, Deadlines
from worker_client._curation_values import GenreChange
from worker_client._errors import CallCancelled, RegistryError, error_of_call
from worker_client._watching import Watch

_STATE_ASKED_S = 0.05
"""How long to wait for the channel to say whether it is connected; it answers at once."""


class Connection:
    """A channel to one registry, opened by the first call, and anew in a forked child."""

    def __init__(
        self, target: str = TARGET_DEFAULT, *, deadlines: Deadlines = RASPBERRY_PI
    ) -> None:
        self.target = target
        self._deadlines = deadlines
        self._opening = threading.Lock()
        self._opened: tuple[int, grpc.Channel, Stubs] | None = None

    def close(self) -> None:
        """Close the connection, which ends its watches; a later call opens a new one."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            _close_own(opened[0], opened[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, call: Call[Answer], deadline_s: float | None) -> Answer:
        channel, stubs = self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        try:
            reply = stubs.method(call)(call.request, timeout=timeout_s)
        except grpc.RpcError as failure:
            raise self._error_of(failure, channel) from failure
        return call.meaning(reply)

    def _stream(
        self, call: Call[Answer], deadline_s: float | None
    ) -> Generator[Answer, None, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        channel, stubs = self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        sending = Sending(call.request) if isinstance(call.request, Iterator) else None
        replies = stubs.method(call)(sending or call.request, timeout=timeout_s)
        if sending is not None:
            sending.begin(replies)
        try:
            for reply in replies:
                yield call.meaning(reply)
        except grpc.RpcError as failure:
            if sending is not None and sending.failure is not None:
                raise sending.failure from None
            raise self._error_of(failure, channel) from failure
        finally:
            replies.cancel()

    def _watch(self, watch: Watch) -> Generator[GenreChange, None, None]:
        """Give what *watch* hears, connecting anew whenever it must; to close it ends it."""
        channel, stubs = self._open()
        while True:
            call = watch.call()
            try:
                replies = stubs.method(call)(call.request)
            except ValueError as failure:  # so gRPC says that the channel was closed
                raise CallCancelled("The client was closed.") from failure
            limit = _limit_of(watch, replies)
            try:
                for reply in replies:
                    limit.cancel()
                    yield watch.heard(call.meaning(reply))
            except grpc.RpcError as failure:
                error = watch.ended_by(self._error_of(failure, channel))
                if error is not None:
                    raise error from failure
            finally:
                limit.cancel()
                replies.cancel()
            time.sleep(watch.pause_s())

    def _error_of(self, failure: grpc.RpcError, channel: grpc.Channel) -> RegistryError:
        return error_of_call(
            failure, target=self.target, is_connected=partial(_is_connected, channel)
        )

    def _open(self) -> tuple[grpc.Channel, Stubs]:
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            with self._opening:
                opened = self._opened
                if opened is None or opened[0] != os.getpid():
                    channel = grpc.insecure_channel(self.target, options=CHANNEL_OPTIONS)
                    opened = self._opened = (os.getpid(), channel, Stubs(channel))
                    # Before the interpreter ends: gRPC's threads can't end after it.
                    weakref.finalize(self, _close_own, os.getpid(), channel)
        return opened[1], opened[2]


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
        replies.cancel()

    left_s = watch.left_s()
    limit = threading.Timer(left_s or 0, give_up)
    limit.daemon = True
    if left_s is not None:
        limit.start()
    return limit


def _close_own(pid: int, channel: grpc.Channel) -> None:
    if pid == os.getpid():
        channel.close()


def _is_connected(channel: grpc.Channel) -> bool:
    """Ask *channel* once whether it is connected; gRPC tells only those who subscribe."""
    told = threading.Event()
    states: list[grpc.ChannelConnectivity] = []

    def hear(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        told.set()

    channel.subscribe(hear)
    told.wait(_STATE_ASKED_S)
    channel.unsubscribe(hear)
    return states[:1] == [grpc.ChannelConnectivity.READY]
