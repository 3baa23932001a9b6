"""Spans of a part of the requests, for a collector that speaks OTLP over HTTP; nothing at all unless one is named.

A request that comes with a sampled `traceparent` is traced as the client asks, one with an unsampled is not, and of
those without, a part is. Spans are made when the answer has been sent: on the way of a request there is nothing.
"""

import random
from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace import set_span_in_context as within

from service import __version__, trace
from service.http import Response
from service.trace import Parent

_STAGES: Final = ("read", "decode", "queue", "inference")
_FAILED: Final = 500  # statuses from here on are ours (OpenTelemetry's semantic conventions for HTTP servers)
_NS: Final = 1e9


class Tracing:
    """The spans of one worker, sent to *endpoint* (`http://HOST:4318/v1/traces`) in the background."""

    def __init__(self, endpoint: str, share: float) -> None:
        self._share = share
        resource = Resource.create({"service.name": "convserve", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
        self._tracer = self._provider.get_tracer("convserve", __version__)

    def note(self, headers: Mapping[bytes, bytes], name: str, started: float, response: Response) -> str | None:
        """Make the spans of a request that has been answered; return its trace's id, None if it is not traced.

        *name* is method and route, *started* on the clock of `time.perf_counter`.
        """
        value = headers.get(b"traceparent")
        parent = None if value is None else trace.parse(value)
        sampled = random.random() < self._share if parent is None else parent.sampled  # noqa: S311 (no secret)
        if not sampled:
            return None
        to_wall = time_ns() - perf_counter_ns()
        began = to_wall + round(started * _NS)
        context = None if parent is None else within(NonRecordingSpan(_context(parent)))
        span = self._tracer.start_span(name, context, kind=SpanKind.SERVER, start_time=began)
        method, _, route = name.partition(" ")
        span.set_attributes({"http.request.method": method, "http.route": route})
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= _FAILED:
            span.set_status(Status(StatusCode.ERROR))
        if response.outcome is not None:
            spec = response.outcome.model.spec
            span.set_attributes({"convserve.model": spec.name, "convserve.version": spec.version})
        if (timings := response.timings) is not None:
            at = began
            for stage, seconds in zip(_STAGES, timings[:4], strict=True):
                self._tracer.start_span(stage, within(span), start_time=at).end(at + round(seconds * _NS))
                at += round(seconds * _NS)
            answered = to_wall + round(timings.answered_at * _NS)
            self._tracer.start_span("respond", within(span), start_time=answered).end()
        span.end()
        return f"{span.get_span_context().trace_id:032x}"

    def stop(self) -> None:
        """Send what is left, and end the thread."""
        self._provider.shutdown()


def _context(parent: Parent) -> SpanContext:
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
