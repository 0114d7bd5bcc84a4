"""Traces: from the worker's call through the server into the commit, sent to a real receiver."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from conftest import StartServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from worker_client import GenreRegistryClient

WORKER = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from worker_client import AsyncGenreRegistryClient, GenreRegistryClient

async def ask():
    async with AsyncGenreRegistryClient(sys.argv[1], cache_size=0) as registry:
        await asyncio.gather(*(registry.get_or_create(name) for name in ("Ska", "Soul", "Funk")))

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
with GenreRegistryClient(sys.argv[1], cache_size=0) as registry:
    registry.get_or_create("Dub")
    registry.get_or_create("Dub")
asyncio.run(ask())
provider.shutdown()
"""


@dataclass
class Receiver:
    """Takes spans over OTLP; `spans` holds them with the name of the service they are of."""

    endpoint: str
    spans: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [span for _, span in self.spans if span.name == name]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {item.key: item.value.string_value for item in each.resource.attributes}
                for scope in each.scope_spans:
                    taken.spans.extend((named["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Receiver(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield taken
        server.shutdown()
        serving.join()


def test_a_trace_leads_from_the_worker_into_the_commit(
    start_server: StartServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's span is the child of the worker's; a commit is linked with all it serves."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    server = start_server()
    subprocess.run([sys.executable, "-c", WORKER, server.target], check=True, timeout=60)
    assert server.stop() == 0

    asked = {span.span_id: span for span in receiver.named("genre_registry/GetOrCreate")}
    answered = receiver.named("genre_registry.v1.GenreRegistry/GetOrCreate")
    assert len(asked) == len(answered) == 5
    for span in answered:
        assert span.trace_id == asked[span.parent_span_id].trace_id
    commits = receiver.named("commit")
    by_id = {span.span_id: span for span in answered}
    linked = [link.span_id for commit in commits for link in commit.links]
    # Four names are new; the second call for "Dub" was a hit, which no commit serves.
    assert len(linked) == len(set(linked)) == 4
    assert set(linked) <= by_id.keys()
    for commit in commits:
        assert commit.trace_id == by_id[commit.parent_span_id].trace_id
        for link in commit.links:
            assert [each.span_id for each in by_id[link.span_id].links] == [commit.span_id]
    services = {service for service, span in receiver.spans if span.name == "commit"}
    assert services == {"genre-registry"}


def test_a_client_without_opentelemetry_sends_none(server: object) -> None:
    """An application that has not set it up pays for nothing and loads nothing."""
    script = (
        "import sys; from worker_client import GenreRegistryClient\n"
        "with GenreRegistryClient(sys.argv[1]) as registry: registry.get_or_create('Dub')\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", script, server.target], check=True, timeout=60)  # type: ignore[attr-defined]


def test_an_exporter_that_is_missing_is_said(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server serves all the same."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    server = start_server()
    with GenreRegistryClient(server.target) as registry:
        assert registry.get_or_create("Dub").created
    assert server.stop() == 0

    assert "carrier-pigeon" in str(server.lines)


def test_a_receiver_that_is_gone_holds_nobody_up(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are answered, and the server stops within the time that spans may take to leave."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    server = start_server()
    with GenreRegistryClient(server.target) as registry:
        assert registry.get_or_create("Dub").created

    assert server.stop() == 0
