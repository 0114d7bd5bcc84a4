"""Metrics for Prometheus: read from the figures when somebody scrapes, and not before."""

import platform
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from threading import Thread
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from registry_server.observing.commits import Commits
from registry_server.observing.figures import LookUps
from registry_server.observing.histogram import Histogram
from registry_server.observing.observer import Observer
from registry_server.observing.scraping import scraped_server
from registry_server.vocabulary.backup import NOTE_END

PREFIX = "genre_registry_"


class CatalogueFigures(Protocol):
    """What is read of the catalogue."""

    created: int
    raced: int
    look_ups: LookUps

    def waiting(self) -> Mapping[str, int]:
        """Return how many calls wait, by queue."""


class FeedFigures(Protocol):
    """What is read of the change feed."""

    watchers: int


class MetricsAddressTaken(Exception):
    """Metrics can't be served at the address; the message says so and what to do."""


@dataclass(frozen=True)
class RegistryCollector(Collector):
    """Tells Prometheus what the server has noted; called in the scrape's thread."""

    observer: Observer
    commits: Commits
    catalogue: CatalogueFigures
    feed: FeedFigures
    database: Path

    def collect(self) -> Iterable[Metric]:
        """Give every metric, each with what it means."""
        yield from self._calls()
        yield from self._names()
        yield from self._writing()
        yield GaugeMetricFamily(
            PREFIX + "watchers", "Streams of WatchGenres that are open.", self.feed.watchers
        )
        database = self.database.resolve()
        yield GaugeMetricFamily(
            PREFIX + "backup_timestamp_seconds",
            "When a backup was last made and verified, or left out because the newest one held "
            "all there was, in seconds since 1970; 0 if never.",
            _changed_s(database.with_name(database.name + NOTE_END)),
        )
        for name, path, what in (
            ("database", database, "The SQLite file's size."),
            (
                "wal",
                database.with_name(database.name + "-wal"),
                "The size of the write-ahead log beside the database; SQLite uses it anew from "
                "the start after a checkpoint, and it keeps its size.",
            ),
        ):
            yield GaugeMetricFamily(f"{PREFIX}{name}_size_bytes", what, _size_bytes(path))
        build = InfoMetricFamily(PREFIX + "build", "What is running.")
        build.add_metric((), _build())
        yield build

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            PREFIX + "calls",
            "Calls that ended, by method and gRPC code; those of methods that there are not "
            'have the method "other".',
            labels=("method", "code"),
        )
        durations = HistogramMetricFamily(
            PREFIX + "call_duration_seconds",
            "How long calls took in this process, from their handler's start to its end; streams "
            "are not in it, nor methods that nobody called yet.",
            labels=("method",),
        )
        for method, figures in sorted(self.observer.methods.items()):
            for code, count in sorted(figures.by_code().items()):
                calls.add_metric((method, code), count)
            if figures.is_timed and any(figures.durations.counts):
                _add(durations, (method,), figures.durations)
        refusals = CounterMetricFamily(
            PREFIX + "refusals",
            "Refused calls by the reason in their ErrorInfo; OVERLOADED means that too many "
            "waited.",
            labels=("reason",),
        )
        for reason, count in sorted(dict(self.observer.refusals).items()):
            refusals.add_metric((reason,), count)
        return iter((calls, durations, refusals))

    def _names(self) -> Iterator[Metric]:
        catalogue, look_ups = self.catalogue, self.catalogue.look_ups
        yield CounterMetricFamily(
            PREFIX + "genres_created", "Genres created for callers.", catalogue.created
        )
        yield CounterMetricFamily(
            PREFIX + "names_existing",
            "Names, and parts of tags, for which there was a genre already; tag sets that are "
            "answered whole from the cache are not looked into.",
            look_ups.existing,
        )
        yield CounterMetricFamily(
            PREFIX + "claims_raced",
            "Names that were new when they were asked for, and which another call, at the same "
            "moment, was first to have created.",
            catalogue.raced,
        )
        cache = CounterMetricFamily(
            PREFIX + "cache_lookups",
            "Look-ups in the caches: of a spelling as written, of a tag set as it came, of a "
            "key. While all keys are in memory, a missed key is that of a new genre.",
            labels=("cache", "outcome"),
        )
        for name, hits, misses in (
            ("key", look_ups.key_hits, look_ups.key_misses),
            ("spelling", look_ups.spelling_hits, look_ups.spelling_misses),
            ("tag_set", look_ups.tag_set_hits, look_ups.tag_set_misses),
        ):
            cache.add_metric((name, "hit"), hits)
            cache.add_metric((name, "miss"), misses)
        yield cache

    def _writing(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            PREFIX + "queue_waiting_calls",
            "Calls that wait for their turn: to be written, to be read, to import alone.",
            labels=("queue",),
        )
        for queue, count in self.catalogue.waiting().items():
            waiting.add_metric((queue,), count)
        yield waiting
        for name, what, histogram in (
            (
                "commit_calls",
                "How many calls one turn of the writer served together.",
                self.commits.calls,
            ),
            (
                "commit_duration_seconds",
                "Transactions that wrote: from waiting for SQLite's lock to the end of COMMIT.",
                self.commits.transactions_s,
            ),
            (
                "fsync_duration_seconds",
                "The COMMIT alone, which appends to the write-ahead log and waits for one fsync; "
                "now and then, each thousand pages, it moves the log into the file as well, "
                "with two fsyncs more.",
                self.commits.commits_s,
            ),
        ):
            family = HistogramMetricFamily(PREFIX + name, what)
            _add(family, (), histogram)
            yield family


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    names = [*map(str, histogram.bounds), "+Inf"]
    buckets = zip(names, accumulate(list(histogram.counts)), strict=True)
    family.add_metric(labels, [(name, float(count)) for name, count in buckets], histogram.total)


def _size_bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _changed_s(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0


def _build() -> dict[str, str]:
    return {
        "version": version("genre-registry"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "grpc": version("grpcio"),
    }


@contextmanager
def exposed(address: str, collector: Collector) -> Iterator[str]:
    """
    Serve what *collector* tells at *address* (HOST:PORT; port 0 takes a free one), in threads
    of its own, until the block ends; give the URL.

    Raises:
        MetricsAddressTaken: another process listens there, or this one may not.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bare = "127.0.0.1" if bare == "localhost" else bare
    try:
        server = scraped_server(bare, int(port), registry)
    except OSError as error:
        raise MetricsAddressTaken(
            f"Can't serve metrics on {address}: {error.strerror}. Stop what listens there, or "
            "name another port with --metrics."
        ) from error
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
