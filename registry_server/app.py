"""Wires the rooms and runs the server: the one place that knows them all."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

import grpc
from google.protobuf.descriptor import ServiceDescriptor

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
from registry_server.serving import AddressTaken as AddressTaken
from registry_server.serving import Port
from registry_server.settings import Settings
from registry_server.storage import Store
from registry_server.store.failures import DatabaseDamaged
from registry_server.store.owning import say_where
from registry_server.store.sqlite import open_store
from registry_server.systemd import fed_watchdog, notify_systemd
from registry_server.tag_resolver import TagResolver
from registry_server.transport.calls import Door, caller_of, served
from registry_server.transport.guard import Guard
from registry_server.transport.health import SERVICE as HEALTH
from registry_server.transport.health import Health, health_service
from registry_server.transport.limiting import Admission, options_of
from registry_server.transport.other_methods import OtherMethods
from registry_server.transport.reflecting import reflection_service
from registry_server.transport.servicer import SERVICES, GenreRegistryServicer
from registry_server.vocabulary.callers import LOCAL
from registry_server.vocabulary.knowledge import Knowledge, Pack
from registry_server.vocabulary.refusals import StorageFailed, StorageFull

log = logging.getLogger(__name__)


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
    ended = asyncio.Event()

    def stop_for_grpc() -> None:
        ended.set()
        stopping.set()

    def stop_for_storage() -> None:
        failed.set()
        stopping.set()

    gc.disable()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)
    connections_max = connections_within(raise_limit(), settings.connections_max)
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
                *(settings, store, catalogue, feed, seeing, guard, credentials),
                limits=options_of(settings, connections_max),
                on_end=stop_for_grpc,
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
        if ended.is_set():
            raise RuntimeError("gRPC ended its server, which nobody asked it to do")
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
    settings: Settings,
    store: Store,
    catalogue: Catalogue,
    feed: ChangeFeed,
    seeing: Seeing,
    guard: Guard,
    credentials: grpc.ServerCredentials | None,
    *,
    limits: Sequence[tuple[str, int]],
    on_end: Callable[[], object],
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
    names = [service.full_name for service in servicers]
    health = Health(names)
    services = [
        *(
            served(service, servicer, door, guard, admission, seeing.observer)
            for service, servicer in servicers.items()
        ),
        health_service(health, settings, seeing.observer),
        reflection_service([*names, HEALTH.full_name], door, guard, admission, seeing.observer),
    ]
    port = Port(settings, services, OtherMethods(seeing.observer), credentials, limits=limits)
    async with port.opened(on_end) as address:
        following = asyncio.create_task(guard.follow())
        try:
            yield address
        finally:
            health.stop()
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
