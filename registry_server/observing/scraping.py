"""The port that metrics are scraped from: few threads, and no connection that stays."""

import socket
from collections import deque
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

SCRAPES_AT_ONCE_MAX = 4
"""Threads that answer; a Prometheus or two ask every few seconds, for some milliseconds."""
SCRAPE_S_MAX = 5.0
"""How long a connection may take in all, from its first byte to its last."""


class _Scrape(NamedTuple):
    connection: socket.socket
    deadline_s: float


class ScrapedServer(ThreadingMixIn, WSGIServer):
    """
    Answers `SCRAPES_AT_ONCE_MAX` connections at once, each for `SCRAPE_S_MAX` at most. One more
    ends the oldest: whoever opens many and asks nothing keeps no Prometheus waiting.
    """

    daemon_threads = True
    # Beyond the five of the standard library, a scrape amid many waits a second to try again.
    request_queue_size = 128

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._slots = BoundedSemaphore(SCRAPES_AT_ONCE_MAX)
        self._lock = Lock()
        self._open = deque[_Scrape]()
        super().__init__(*arguments, **named)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, once there is one for it."""
        if not self._slots.acquire(blocking=False):
            self._end_oldest()
            self._slots.acquire()
        with self._lock:
            self._open.append(_Scrape(request, monotonic() + SCRAPE_S_MAX))
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be made now
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        # No longer to be ended before it is closed: its descriptor may be another's by then.
        with self._lock:
            for scrape in list(self._open):
                if scrape.connection is request:
                    self._open.remove(scrape)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End what has taken too long; called twice a second, and after each connection."""
        now_s = monotonic()
        with self._lock:
            late = bool(self._open) and self._open[0].deadline_s < now_s
        if late:
            self._end_oldest()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers who left; a defect in the metrics is answered and told before."""

    def _end_oldest(self) -> None:
        # Its thread then reads the end, or can't write, and ends as well.
        with self._lock, suppress(OSError, IndexError):
            self._open[0].connection.shutdown(socket.SHUT_RDWR)


class _IPv6Server(ScrapedServer):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log no scrape."""


def scraped_server(host: str, port: int, registry: CollectorRegistry) -> ScrapedServer:
    """
    Return a server of what *registry* collects, which listens at *host* and *port* already.

    Raises:
        OSError: it can't listen there.
    """
    server = _IPv6Server if ":" in host else ScrapedServer
    return make_server(host, port, make_wsgi_app(registry), server, _QuietHandler)
