"""The port: where the settings say, and nobody else's."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import grpc

from registry_server.settings import Settings
from registry_server.store.lock import Held, exclusive_lock
from registry_server.transport.arrivals import Served, SteadyServer

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

_held: list[SteadyServer] = []
"""A server that nobody holds begins to stop in gRPC's way, even when it has been drained."""


class AddressTaken(Exception):
    """Another server has the address; the message says so and what to do."""


class Port:
    """
    The settings' address, where *services* are served.

    Args:
        others: Answers the calls of methods that there are not.
        credentials: Those of the port; None for one without TLS.
        limits: gRPC's own, as options.
    """

    def __init__(
        self,
        settings: Settings,
        services: Sequence[Served],
        others: Served,
        credentials: grpc.ServerCredentials | None,
        *,
        limits: Sequence[tuple[str, int]],
    ) -> None:
        self._settings = settings
        self._services = services
        self._others = others
        self._credentials = credentials
        self._limits = limits

    @asynccontextmanager
    async def opened(self, on_end: Callable[[], object]) -> AsyncIterator[str]:
        """
        Serve, at the address that is given, as callers write it. Whoever calls after the block
        is still answered, until the process ends.

        Args:
            on_end: Told if gRPC ends its server, which nobody asks it to.

        Raises:
            AddressTaken: another server has the address.
        """
        with self._place() as wanted:
            server = SteadyServer(self._services, self._others, (*OPTIONS, *self._limits))
            address = self._bind(server, wanted)
            await server.start()
            _held.append(server)
            ending = asyncio.ensure_future(server.wait_for_termination())
            ending.add_done_callback(lambda ended: ended.cancelled() or on_end())
            try:
                yield address
            finally:
                ending.cancel()
                if self._settings.socket_path is not None:
                    self._settings.socket_path.unlink(missing_ok=True)

    def _bind(self, server: SteadyServer, wanted: str) -> str:
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

    def _add_port(self, server: SteadyServer, address: str) -> int:
        if self._credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self._credentials)

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
