"""
Traces by OpenTelemetry, from the worker's call into the commit: loaded only where they are
asked for by OpenTelemetry's own environment variables.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from registry_server.observing.observer import refused_for

SERVICE_NAME = "genre-registry"
FLUSH_S_MAX = 2.0
"""How long spans that were not sent yet may take to leave at the end."""
LINKS_MAX = 128
"""Most calls that a commit's span names; OpenTelemetry keeps no more by default."""

log = logging.getLogger(__name__)


def are_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables say that traces go somewhere."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    return bool(
        environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )


def traces_of(environment: Mapping[str, str]) -> "tuple[Traces | None, str]":
    """
    Return traces as *environment* asks for them, or None and why none can be made: where
    OpenTelemetry or the exporter is not installed. Not to be asked for them needs no reason.
    """
    if not are_asked_for(environment):
        return None, ""
    try:
        return Traces(_provider(environment)), ""
    except ImportError as error:
        return None, (
            f"the environment asks for traces, but {error.name or error} is missing: none are "
            "made; pip install 'genre-registry[traces]'"
        )
    except Exception as error:
        return None, f"the environment asks for traces, which can't be made: {error}"


def _provider(environment: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The service's name from the environment, if there is one, has the last word.
    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE_NAME}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    # It would tell of each batch anew that nobody takes it.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter: Any = _Exporter(_exporter(environment))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter(environment: Mapping[str, str]) -> Any:
    """
    Return the exporter that *environment* names.

    Raises:
        ImportError: it is not installed.
    """
    from importlib.metadata import entry_points

    name = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if name == "otlp":
        protocol = (
            environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "http/protobuf"
        )
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        return found.load()()
    raise ImportError(f"the exporter {name!r}")


class _Exporter:
    """Exports by another exporter; says once that nobody takes them."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[Any]) -> Any:
        result = self._exporter.export(spans)
        is_failing = result.name != "SUCCESS"
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            if is_failing:
                log.warning("traces can't be sent; they are lost until somebody takes them")
            else:
                log.info("traces are sent again")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


class Traces:
    """Makes the spans of calls and of commits."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("registry_server")
        self._propagator = TraceContextTextMapPropagator()

    async def close(self) -> None:
        """Send what was not sent yet, within `FLUSH_S_MAX`; then the process is to end."""
        with suppress(TimeoutError):
            # OpenTelemetry's own limit is not kept while it tries again to connect.
            await asyncio.wait_for(asyncio.to_thread(self._provider.force_flush), FLUSH_S_MAX)

    def around(
        self, method: str, handler: Callable[[Any, Any], Awaitable[Any]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Return *handler* within a span that continues the caller's, if it sent one."""
        service, _, name = method.partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        failed = self._trace.StatusCode.ERROR

        async def traced(asked: Any, context: Any) -> Any:
            carrier = {
                key: value
                for key, value in context.invocation_metadata() or ()
                if key in ("traceparent", "tracestate") and isinstance(value, str)
            }
            with self._tracer.start_as_current_span(
                method,
                context=self._propagator.extract(carrier),
                kind=self._trace.SpanKind.SERVER,
                attributes=attributes,
                # Refusals are answers, and what they quote need not leave this machine.
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    return await handler(asked, context)
                except BaseException as end:
                    span.set_status(failed, refused_for.get() or type(end).__name__)
                    raise

        return traced

    def current_span(self) -> Any:
        """Return the span of the call that asks."""
        return self._trace.get_current_span()

    @contextmanager
    def commit(self, spans: Sequence[Any]) -> Iterator[None]:
        """
        Make the span of a commit that serves the calls of *spans*: the child of the first, so
        that its trace leads here, linked with all of them, and each of them with it.
        """
        known = [span for span in spans if span.get_span_context().is_valid][:LINKS_MAX]
        with self._tracer.start_as_current_span(
            "commit",
            context=self._trace.set_span_in_context(known[0]) if known else None,
            links=[self._trace.Link(span.get_span_context()) for span in known],
            attributes={"genre_registry.calls": len(spans), "db.system": "sqlite"},
            record_exception=False,
        ) as commit:
            for span in known:
                span.add_link(commit.get_span_context())
            yield
