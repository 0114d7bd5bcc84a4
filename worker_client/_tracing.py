"""
A span for each call, where the application has OpenTelemetry set up: only then is it loaded
already, and only then does a call cost anything for it. The trace goes on in the registry.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from worker_client._credentials import Metadata

_UNTRACED: AbstractContextManager[Metadata] = nullcontext(())


def span(rpc: str) -> AbstractContextManager[Metadata]:
    """
    Surround a call of *rpc*; give the metadata by which the registry learns of the span, in
    W3C's trace context.

    Source: https://www.w3.org/TR/trace-context/
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return _UNTRACED
    return _span(trace, rpc)


@contextmanager
def _span(trace: Any, rpc: str) -> Iterator[Metadata]:
    tracer = trace.get_tracer("worker_client")
    attributes = {"rpc.system": "grpc", "rpc.method": rpc}
    with tracer.start_as_current_span(
        f"genre_registry/{rpc}", kind=trace.SpanKind.CLIENT, attributes=attributes
    ) as made:
        context = made.get_span_context()
        if not context.is_valid:  # so it is where nothing was set up
            yield ()
            return
        flags = f"{context.trace_flags:02x}"
        parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags}"
        metadata: Metadata = (("traceparent", parent),)
        if context.trace_state:
            metadata += (("tracestate", context.trace_state.to_header()),)
        yield metadata
