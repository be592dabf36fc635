"""What leaves for an upstream carries the trace on: a `traceparent`, and a span from asking to the head of the answer.

By aiohttp's own hooks, given to the sessions of providers while tracing is on. A span names the host and never the
path, the query, a header or a body. What belongs to no run or request of ours (the leader's sync) carries nothing.
"""

from types import SimpleNamespace

import aiohttp

from webedt.telemetry.tracing import ATracing, Attribute


def trace_outgoing(tracing: ATracing) -> aiohttp.TraceConfig:
    """For `trace_configs` of a `ClientSession`."""

    async def asked(
        _session: aiohttp.ClientSession, here: SimpleNamespace, asking: aiohttp.TraceRequestStartParams
    ) -> None:
        here.span = None
        if tracing.current.traceparent is None:
            return
        attributes: dict[str, Attribute] = {
            "http.request.method": asking.method,
            "server.address": asking.url.host or "",
            "server.port": asking.url.port or 0,
        }
        here.span = tracing.start(asking.method, attributes, kind="client")
        asking.headers["traceparent"] = here.span.traceparent

    async def answered(
        _session: aiohttp.ClientSession, here: SimpleNamespace, answer: aiohttp.TraceRequestEndParams
    ) -> None:
        if here.span is not None:
            here.span.set("http.response.status_code", answer.response.status)
            if answer.response.status >= 400:
                here.span.fail(str(answer.response.status))
            here.span.end()

    async def failed(
        _session: aiohttp.ClientSession, here: SimpleNamespace, failure: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if here.span is not None:
            here.span.fail(type(failure.exception).__name__)
            here.span.end()

    config = aiohttp.TraceConfig()
    config.on_request_start.append(asked)
    config.on_request_end.append(answered)
    config.on_request_exception.append(failed)
    return config
