"""Wires the rooms and runs the server: the one place that knows them all."""

import asyncio
import errno
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from registry_server.catalogue import Catalogue
from registry_server.change_feed import ChangeFeed
from registry_server.descriptors import (
    connections_looked_after,
    connections_within,
    raise_limit,
)
from registry_server.observing.seeing import Seeing
from registry_server.packs.reading import knowledge_of, pack_of
from registry_server.protected import protected, warn_of_plaintext
from registry_server.registry import Registry
from registry_server.settings import Settings
from registry_server.storage import Store
from registry_server.store.failures import DatabaseDamaged
from registry_server.store.lock import Held, exclusive_lock
from registry_server.store.owning import say_where
from registry_server.store.sqlite import open_store
from registry_server.systemd import fed_watchdog, notify_systemd
from registry_server.tag_resolver import TagResolver
from registry_server.transport.calls import Door, caller_of, generic_handler
from registry_server.transport.guard import Guard
from registry_server.transport.limiting import Admission, options_of
from registry_server.transport.other_methods import OtherMethods
from registry_server.transport.reflecting import reflecting_handler
from registry_server.transport.servicer import SERVICES, GenreRegistryServicer
from registry_server.vocabulary.callers import LOCAL
from registry_server.vocabulary.knowledge import Knowledge, Pack
from registry_server.vocabulary.refusals import StorageFailed, StorageFull

log = logging.getLogger(__name__)

SERVING = health_pb2.HealthCheckResponse.SERVING
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

_held: list[grpc.aio.Server] = []
"""A server that nobody holds begins to stop in gRPC's way, even when it has been drained."""


class AddressTaken(Exception):
    """Another server has the address; the message says so and what to do."""


class StorageGone(Exception):
    """The storage failed while serving; start afresh."""


async def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain, checkpoint and close the database.

    The process has to end then, without more of this event loop: with it end the connections,
    which callers take for "try again".

    Raises:
        DatabaseUnusable: the database can't be served, or was found damaged while it was.
        AddressTaken: another server has the address.
        StorageGone: the storage failed; everybody under way was answered.
        SettingsError: who may call, or the certificates, can't be used as they are.
    """
    guard, credentials = protected(settings)
    stopping = asyncio.Event()
    failed = asyncio.Event()

    def stop_for_storage() -> None:
        failed.set()
        stopping.set()

    gc.disable()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)
    connections_max = connections_within(raise_limit(), settings.connections_max)
    server = grpc.aio.server(options=(*OPTIONS, *options_of(settings, connections_max)))
    _held.append(server)
    seeing = Seeing.of(settings.metrics, settings.log_level, os.environ)
    opening = open_store(
        settings.database,
        history_kept=settings.history_kept,
        on_commit=seeing.commits.committed,
    )
    async with opening as (store, migrated):
        try:
            packs = _knowledge_with(settings, _imported(await store.packs()))
            knowledge = packs.renewed(await store.curated())
            migrated += await _linked(store, knowledge)
            feed = ChangeFeed(
                store,
                heartbeat_s=settings.watch_heartbeat_s,
                on_storage_failure=stop_for_storage,
            )
            catalogue = Catalogue(
                store,
                knowledge,
                feed=feed,
                on_storage_failure=stop_for_storage,
                watching=seeing.commits,
            )
            await catalogue.warm_up()
            state = await store.state()
        except StorageFailed as failure:
            if failure.damage:
                raise DatabaseDamaged(settings.database, ValueError(failure.damage)) from failure
            log.error("storage failed", exc_info=failure)
            raise StorageGone from failure
        async with (
            _metrics(seeing, catalogue, feed, settings) as metrics,
            _listening(
                server, settings, store, catalogue, feed, seeing, guard, credentials
            ) as address,
        ):
            say_where(settings.database, address)
            # The first line of output: with port 0, it is how others learn the port.
            log.info(
                "genre-registry listens on %s",
                address,
                extra={
                    "listen": address,
                    "database": str(settings.database),
                    "revision": state.revision,
                    "incarnation": state.incarnation,
                    **({"metrics": metrics} if metrics else {}),
                    **({"migrated": migrated} if migrated else {}),
                },
            )
            warn_of_plaintext(settings)
            seeing.begin()
            notify_systemd("READY=1")
            # What a start makes stays: it is looked at once, and never again.
            gc.collect()
            gc.freeze()
            gc.enable()
            looking_after = connections_looked_after(settings.connections_max, connections_max)
            with looking_after, fed_watchdog():
                await stopping.wait()
            notify_systemd("STOPPING=1")
            log.info("stopping")
        await seeing.close()
        if store.damage:
            raise DatabaseDamaged(settings.database, ValueError(store.damage))
        if failed.is_set():
            raise StorageGone
    counts = {"genres_created": catalogue.created, "claims_raced": catalogue.raced}
    log.info("stopped", extra=counts)


async def _linked(store: Store, knowledge: Knowledge) -> list[str]:
    """Bring what is there up to what the packs know; say in a line what that changed."""
    try:
        changed, _ = await store.link(knowledge)
    except StorageFull:
        # What is known is served all the same.
        return ["packs: not linked, for the disk is full; the next start tries again"]
    return [f"packs: {len(changed)} genres gained what they know of them"] if changed else []


def _imported(contents: Mapping[str, str]) -> list[Pack]:
    return [pack_of(name, content) for name, content in contents.items()]


def _knowledge_with(settings: Settings, imported: Sequence[Pack]) -> Knowledge:
    """Return what the packs know that the settings leave in force, *imported* ones included."""
    return knowledge_of(imported, off=settings.packs_off, placeholders=settings.placeholders)


@asynccontextmanager
async def _listening(
    server: grpc.aio.Server,
    settings: Settings,
    store: Store,
    catalogue: Catalogue,
    feed: ChangeFeed,
    seeing: Seeing,
    guard: Guard,
    credentials: grpc.ServerCredentials | None,
) -> AsyncIterator[str]:
    """
    Serve *catalogue* at the settings' address, which is given; drain on leaving.

    Whoever calls after that is still refused, until the process ends: `Door` says why.
    """
    door = Door()
    admission = Admission(settings, caller_of, local=LOCAL.name)
    registry = Registry(store, catalogue, partial(_knowledge_with, settings))

    def knowledge_with(contents: Mapping[str, str]) -> Knowledge:
        return _knowledge_with(settings, _imported(contents))

    scanning = GenreRegistryServicer(registry, TagResolver(store, catalogue), feed)

    # What scans do without is loaded by its first call, rather than at every start.
    @cache
    def curating() -> object:
        from registry_server.curation import Curation
        from registry_server.transport.curation import GenreCurationServicer

        return GenreCurationServicer(Curation(store, catalogue))

    @cache
    def operating() -> object:
        from registry_server.transfer import Transfer
        from registry_server.transport.operations import GenreOperationsServicer

        return GenreOperationsServicer(registry, Transfer(store, catalogue, knowledge_with))

    servicers: dict[ServiceDescriptor, Callable[[], object]] = {
        SERVICES["GenreRegistry"]: lambda: scanning,
        SERVICES["GenreCuration"]: curating,
        SERVICES["GenreOperations"]: operating,
    }
    server.add_generic_rpc_handlers(
        [
            generic_handler(service, servicer, door, guard, admission, seeing.observer)
            for service, servicer in servicers.items()
        ]
    )
    names = [service.full_name for service in servicers]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_generic_rpc_handlers(
        [reflecting_handler([*names, health.SERVICE_NAME], door, guard, admission, seeing.observer)]
    )
    server.add_generic_rpc_handlers([OtherMethods(seeing.observer)])
    with _bound(server, settings, credentials) as address:
        await server.start()
        following = asyncio.create_task(guard.follow())
        for service in ("", *names):
            await healthy.set(service, SERVING)
        try:
            yield address
        finally:
            await healthy.enter_graceful_shutdown()
            feed.close()
            await door.close(settings.shutdown_grace_s)
            await catalogue.close()
            following.cancel()


@asynccontextmanager
async def _metrics(
    seeing: Seeing, catalogue: Catalogue, feed: ChangeFeed, settings: Settings
) -> AsyncIterator[str]:
    """Serve metrics where the settings say, which is given as a URL; "" for nowhere."""
    if not settings.metrics:
        yield ""
        return
    from registry_server.observing.metrics import MetricsAddressTaken, RegistryCollector, exposed

    collector = RegistryCollector(
        seeing.observer, seeing.commits, catalogue, feed, settings.database
    )
    try:
        with exposed(settings.metrics, collector) as url:
            yield url
    except MetricsAddressTaken as error:
        raise AddressTaken(str(error)) from error


@contextmanager
def _bound(
    server: grpc.aio.Server, settings: Settings, credentials: grpc.ServerCredentials | None
) -> Iterator[str]:
    """Bind *server* to the settings' address and give it as callers write it."""
    path = settings.socket_path

    def add_port(address: str) -> int:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)

    if path is None:
        host, _, _ = settings.listen.rpartition(":")
        try:
            bound = add_port(settings.listen)
        except RuntimeError as error:
            raise AddressTaken(
                f"Can't listen on {settings.listen}: another server has that port, or it needs "
                "more rights. Stop that server, or name another port with --listen."
            ) from error
        yield f"{host}:{bound}"
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(path.with_name(path.name + ".lock")))
            _remove_dead_socket(path)
        except Held as held:
            raise AddressTaken(
                f"Another server ({held.holder}) listens on unix:{path}. "
                "Stop that one, or name another path with --listen."
            ) from held
        except OSError as error:
            raise AddressTaken(f"Can't listen on unix:{path}: {error.strerror}.") from error
        # The socket's mode follows the umask.
        mask = os.umask(0o777 & ~int(settings.socket_mode, 8))
        try:
            add_port(f"unix:{path.absolute()}")
        except RuntimeError as error:
            raise AddressTaken(
                f"Can't listen on unix:{path}. See that the path is at most 107 bytes long and "
                "that this user may write to its folder."
            ) from error
        finally:
            os.umask(mask)
        try:
            yield f"unix:{path}"
        finally:
            path.unlink(missing_ok=True)


def _remove_dead_socket(path: Path) -> None:
    """Remove what a killed server left at *path*; only a socket, and only under the lock."""
    if path.is_socket():
        path.unlink()
    elif path.exists():
        raise FileExistsError(errno.EEXIST, "a file that is no socket is there already")
