"""The port: opened once, and anew should gRPC end its server while nobody asked for that."""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc

from registry_server.settings import Settings
from registry_server.store.lock import Held, exclusive_lock

log = logging.getLogger(__name__)

OPTIONS: tuple[tuple[str, int], ...] = (
    # Or a second server would silently share the port.
    ("grpc.so_reuseport", 0),
    # Of more waiting calls than this gRPC cancels some at random, which no caller takes for
    # "try again". Its defaults, 1000 and 3000, are less than sixteen eager workers bring;
    # what waits too long is for us to refuse, in words.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    # Clients that keep an idle connection alive may ping as often as this.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
LETTING_GO_S_MAX = 5.0
"""How long a server that ended may keep its port; it takes milliseconds."""
SAID_S_MIN = 60.0
"""How long it is not said again that the port was opened anew."""

_held: list[grpc.aio.Server] = []
"""A server that nobody holds begins to stop in gRPC's way, even when it has been drained."""


class AddressTaken(Exception):
    """Another server has the address; the message says so and what to do."""


class Port:
    """
    The settings' address, served by *handlers*.

    Args:
        credentials: Gives those of a port; None for one without TLS.
        limits: gRPC's own, as options.
        on_lost: Told why, when the port can't be opened anew.
    """

    def __init__(
        self,
        settings: Settings,
        handlers: Sequence[grpc.GenericRpcHandler],
        credentials: Callable[[], grpc.ServerCredentials] | None,
        *,
        limits: Sequence[tuple[str, int]],
        on_lost: Callable[[AddressTaken], None],
    ) -> None:
        self._settings = settings
        self._handlers = handlers
        self._credentials = credentials
        self._options = (*OPTIONS, *limits)
        self._on_lost = on_lost
        self._reopened = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        """
        Serve, at the address that is given, as callers write it. Whoever calls after the block
        is still answered, until the process ends.

        Raises:
            AddressTaken: another server has the address.
        """
        asyncio.get_running_loop().set_exception_handler(_say_unless_said)
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_not_said)
        with self._place() as wanted:
            server, address = await self._open(wanted)
            keeping = asyncio.create_task(self._keep_open(server, address))
            try:
                yield address
            finally:
                keeping.cancel()
                if self._settings.socket_path is not None:
                    self._settings.socket_path.unlink(missing_ok=True)

    async def _keep_open(self, server: grpc.aio.Server, address: str) -> None:
        """
        Open the port anew whenever gRPC ends its server: so it does, for everybody, over one
        call whose method is no UTF-8. Connections are lost, which callers take for "try again".
        """
        loop = asyncio.get_running_loop()
        silent_until_s = 0.0
        while True:
            try:
                await server.wait_for_termination()
                ended: object = "no reason given"
            except Exception as failure:
                ended = failure
            try:
                server = await self._open_again(address)
            except AddressTaken as taken:
                self._on_lost(taken)
                return
            self._reopened += 1
            if loop.time() >= silent_until_s:
                silent_until_s = loop.time() + SAID_S_MIN
                log.error(
                    "gRPC ended the server over a call that it could not read; it was opened anew, "
                    "%d times so far. Somebody may be attacking it: %s",
                    *(self._reopened, ended),
                )

    async def _open_again(self, address: str) -> grpc.aio.Server:
        """Open the port as soon as the server that ended has let go of it."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + LETTING_GO_S_MAX
        while True:
            try:
                server, _ = await self._open(address)
            except AddressTaken:
                if loop.time() > end_s:
                    raise
                await asyncio.sleep(0.01)
            else:
                return server

    async def _open(self, wanted: str) -> tuple[grpc.aio.Server, str]:
        server = grpc.aio.server(options=self._options)
        server.add_generic_rpc_handlers(self._handlers)
        address = self._bind(server, wanted)
        await server.start()
        _held[:] = [server]
        return server, address

    def _bind(self, server: grpc.aio.Server, wanted: str) -> str:
        path = self._settings.socket_path
        if path is None:
            try:
                bound = self._add_port(server, wanted)
            except RuntimeError as error:
                raise AddressTaken(
                    f"Can't listen on {wanted}: another server has that port, or it needs "
                    "more rights. Stop that server, or name another port with --listen."
                ) from error
            return f"{wanted.rpartition(':')[0]}:{bound}"
        # The socket's mode follows the umask.
        mask = os.umask(0o777 & ~int(self._settings.socket_mode, 8))
        try:
            _remove_dead_socket(path)
            self._add_port(server, f"unix:{path.absolute()}")
        except OSError as error:
            raise AddressTaken(f"Can't listen on unix:{path}: {error.strerror}.") from error
        except RuntimeError as error:
            raise AddressTaken(
                f"Can't listen on unix:{path}. See that the path is at most 107 bytes long and "
                "that this user may write to its folder."
            ) from error
        finally:
            os.umask(mask)
        return wanted

    def _add_port(self, server: grpc.aio.Server, address: str) -> int:
        if self._credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self._credentials())

    @contextmanager
    def _place(self) -> Iterator[str]:
        """Hold the address, where it is a unix socket: gRPC would take one over silently."""
        path = self._settings.socket_path
        if path is None:
            yield self._settings.listen
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive_lock(path.with_name(path.name + ".lock")))
            except Held as held:
                raise AddressTaken(
                    f"Another server ({held.holder}) listens on unix:{path}. "
                    "Stop that one, or name another path with --listen."
                ) from held
            except OSError as error:
                raise AddressTaken(f"Can't listen on unix:{path}: {error.strerror}.") from error
            yield f"unix:{path}"


def _remove_dead_socket(path: Path) -> None:
    """Remove what a killed server left at *path*; only a socket, and only under the lock."""
    if path.is_socket():
        path.unlink()
    elif path.exists():
        raise FileExistsError(errno.EEXIST, "a file that is no socket is there already")


def _say_unless_said(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what a task of gRPC's own ended with over a name that is no UTF-8."""
    if not isinstance(context.get("exception"), UnicodeDecodeError):
        loop.default_exception_handler(context)


def _is_not_said(record: logging.LogRecord) -> bool:
    """The same for gRPC's own log."""
    return not isinstance(record.msg, UnicodeDecodeError)
