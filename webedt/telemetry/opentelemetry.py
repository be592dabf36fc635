"""Traces by the SDK of OpenTelemetry, sent to a collector by OTLP over HTTP.

Nothing global is set: no tracer provider, no propagator, no patched library. The instrumentation packages patch classes
for the whole process, put the text of queries and the paths of requests (share tokens, names of files) into spans, and
would trace every heartbeat. Imported only while tracing is on.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from types import TracebackType

import structlog
from opentelemetry import context as current_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from webedt.kernel import BaseService
from webedt.telemetry.tracing import ASpan, ATracing, Attribute, Kind

# At shutdown a collector that does not answer is not waited for any longer.
FLUSH_SECONDS = 3.0
KINDS: Mapping[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}


class OpenTelemetrySpan(ASpan):
    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def recording(self) -> bool:
        return self._span.is_recording()

    @property
    def traceparent(self) -> str | None:
        place = self._span.get_span_context()
        if not place.is_valid:
            return None
        return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"

    def set(self, name: str, value: Attribute) -> None:
        if self._span.is_recording():
            self._span.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        if self._span.is_recording():
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        if self._span.is_recording():
            self._span.end()

    def __enter__(self) -> ASpan:
        self._token = current_context.attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            current_context.detach(self._token)
        if isinstance(error, asyncio.CancelledError):
            self.set("error.type", "cancelled")
        elif error is not None:
            self.fail(_type_of(error))
        self.end()


class OpenTelemetryTracing(BaseService, ATracing):
    """`sampler` and `ratio` are `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. How much is kept and how often it
    is sent the SDK reads from its own variables (`OTEL_BSP_…`); what does not fit is dropped, nobody waits."""

    enabled = True

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        resource: Mapping[str, str],
        *,
        sampler: str,
        ratio: float,
    ) -> None:
        self._endpoint = endpoint
        self._headers = dict(headers)
        self._sampler = _sampler(sampler, ratio)
        self._resource = Resource.create(dict(resource))
        self._propagator = TraceContextTextMapPropagator()
        self._open()

    def _open(self) -> None:
        """Spans may be started from now on; they are sent once `initialize` was called."""
        self._provider = TracerProvider(sampler=self._sampler, resource=self._resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("webedt")

    async def initialize(self) -> None:
        exporter = Exporter(OTLPSpanExporter(self._endpoint, headers=self._headers), self._endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))

    async def dispose(self) -> None:
        """Send what is left, for a moment. In a thread that the process does not wait for: the SDK's own patience with
        a collector that hangs is longer than that of whoever stops us."""
        loop = asyncio.get_running_loop()
        flushed = asyncio.Event()
        provider = self._provider
        self._open()

        def flush() -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # too late: the loop is closed
                loop.call_soon_threadsafe(flushed.set)

        threading.Thread(target=flush, name="traces-flush", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await flushed.wait()
        except TimeoutError:
            self.log.warning("traces_not_flushed", seconds=FLUSH_SECONDS)
        await super().dispose()

    @property
    def current(self) -> ASpan:
        return OpenTelemetrySpan(get_current_span())

    def start(
        self,
        name: str,
        attributes: Mapping[str, Attribute],
        *,
        kind: Kind = "internal",
        parent: Mapping[str, str] | None = None,
    ) -> ASpan:
        place = None if parent is None else self._propagator.extract(parent, Context())
        span = self._tracer.start_span(name, place, KINDS[kind], attributes)
        return OpenTelemetrySpan(span)


class Exporter(SpanExporter):
    """Says once that the collector does not take what it is sent, with the first reason, and once that it does again.

    The library says it at every try. Called in a thread of the SDK.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._reason = ""
        self._failing = False
        self._log = structlog.get_logger(component="Exporter")
        self._library = logging.getLogger(OTLPSpanExporter.__module__)
        self._library.addFilter(self._heard)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._reason = ""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            self._log.warning("traces_not_exported", endpoint=self._endpoint, reason=self._reason)
        elif self._failing and not failing:
            self._log.info("traces_exported_again", endpoint=self._endpoint)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
        self._library.removeFilter(self._heard)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _heard(self, record: logging.LogRecord) -> bool:
        self._reason = self._reason or record.getMessage()
        return False


def _type_of(error: BaseException) -> str:
    """The code that an error of ours or of PostgreSQL has, else its class; never its text, which may quote anybody."""
    code = getattr(error, "code", None) or getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else type(error).__name__


def _sampler(name: str, ratio: float) -> sampling.Sampler:
    root: sampling.Sampler
    match name.removeprefix("parentbased_"):
        case "always_on":
            root = sampling.ALWAYS_ON
        case "always_off":
            root = sampling.ALWAYS_OFF
        case _:
            root = sampling.TraceIdRatioBased(ratio)
    return sampling.ParentBased(root) if name.startswith("parentbased_") else root
