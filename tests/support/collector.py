"""A collector of one's own: takes OTLP over HTTP on loopback as the real one does, and keeps the spans."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.waiting import eventually

KINDS = {Span.SPAN_KIND_INTERNAL: "internal", Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}


@dataclass(frozen=True)
class Exported:
    """One span as it came; `container` is from its resource."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: Mapping[str, Any]
    container: str


@dataclass
class Collector:
    """`refusing`: the status that every request is answered with. `silent`: none is. `raw` is all that ever came."""

    refusing: int = 0
    silent: bool = False
    url: str = ""
    spans: list[Exported] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    resources: list[Mapping[str, Any]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def traces(self, request: web.Request) -> web.Response:
        self.asked.set()
        self.headers.append(request.headers)
        body = await request.read()
        if self.silent:
            await asyncio.Event().wait()
        if self.refusing:
            return web.Response(status=self.refusing)
        assert request.content_type == "application/x-protobuf"
        plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.raw += plain
        export = ExportTraceServiceRequest.FromString(plain)
        for of_resource in export.resource_spans:
            resource = attributes_of(of_resource.resource)
            self.resources.append(resource)
            for scope in of_resource.scope_spans:
                self.spans += [exported(span, resource) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Exported]:
        return [span for span in self.spans if span.name == name]

    async def until(self, name: str, count: int = 1) -> list[Exported]:
        """The spans of this name, once there are so many."""
        await eventually(lambda: len(self.named(name)) >= count, f"{count} spans {name}")
        return self.named(name)

    async def one(self, name: str) -> Exported:
        [span] = await self.until(name)
        return span


def attributes_of(owner: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in owner.attributes}


def exported(span: Span, resource: Mapping[str, Any]) -> Exported:
    return Exported(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=attributes_of(span),
        container=resource["service.instance.id"],
    )


@contextlib.asynccontextmanager
async def collector(**state: Any) -> AsyncIterator[Collector]:
    collected = Collector(**state)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/v1/traces", collected.traces)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collected.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collected
    finally:
        await runner.cleanup()
