"""Traces (OpenTelemetry): where a job's time went, from its request to its webhook. They are off by
default, and then nothing of that library is imported here.

A job keeps the ``traceparent`` (W3C Trace Context) of the request that submitted it; the stages
of the job are children of that span. Captions stand in no span.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from jobs.settings import SharedSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

_TIMEOUT = 2.0  # seconds by which a collector that is away holds up the end of a process
_tracer: Tracer | None = None  # of this process; None: traces are off


def configure_tracing(settings: SharedSettings, process: str) -> None:
    """Send spans to the collector that the variables ``OTEL_…`` name, if traces are on.
    ``process``: which of the service's this is. Ends it with a sentence when OpenTelemetry is
    missing.
    """
    global _tracer
    if not settings.traces:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SystemExit(
            "mmml: MMML_TRACES needs OpenTelemetry, which is not installed. Run: pip install "
            "'mmml-service[otel]', or leave MMML_TRACES out."
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"mmml-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_TIMEOUT)))
    trace.set_tracer_provider(provider)  # FastAPI's spans of requests go there, too
    _tracer = trace.get_tracer("mmml")


def traceparent() -> str:
    """Of the span that is under way in this context; empty when there is none."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def trace_id(parent: str) -> str:
    """The trace of a ``traceparent``, 32 hexadecimal digits; empty for an empty one."""
    return parent.split("-")[1] if parent else ""


def span(name: str, parent: str, **attributes: Any) -> AbstractContextManager[object]:
    """The time of a block, as a child of ``parent``; nothing for a job without one."""
    if _tracer is None or not parent:
        return nullcontext()
    return _tracer.start_as_current_span(name, _context(parent), attributes=attributes)


def record_span(name: str, parent: str, start: float, end: float, **attributes: Any) -> None:
    """What is over by now, from ``start`` to ``end`` in seconds since 1970."""
    if _tracer is not None and parent:
        made = _tracer.start_span(
            name, _context(parent), attributes=attributes, start_time=int(start * 1e9)
        )
        made.end(int(end * 1e9))


def _context(parent: str) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})
