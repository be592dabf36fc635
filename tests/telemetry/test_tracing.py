"""The SDK behind the contract of tracing: its life, and what is left behind when it ends."""

import asyncio
import threading

import pytest

from tests.support.collector import collector
from webedt.kernel import ServiceProvider
from webedt.telemetry.opentelemetry import OpenTelemetryTracing
from webedt.telemetry.tracing import ATracing, NoTracing


def tracing(url: str) -> OpenTelemetryTracing:
    resource = {"service.name": "webedt", "service.instance.id": "a"}
    return OpenTelemetryTracing(f"{url}/v1/traces", {}, resource, sampler="always_on", ratio=1.0)


async def test_what_was_begun_before_the_start_and_what_ends_just_before_the_end_is_sent_and_it_may_start_again() -> (
    None
):
    async with collector() as at:
        services = ServiceProvider()
        traces = tracing(at.url)
        services.register(ATracing, traces)
        early = traces.start("early", {})
        await services.initialize()
        early.end()
        early.end()
        with traces.start("late", {}), traces.start("inner", {"some": "thing"}):
            pass
        await services.reset()
        assert sorted(span.name for span in at.spans) == ["early", "inner", "late"]
        await services.initialize()
        traces.start("again", {}).end()
        await services.reset()
        assert (await at.one("again")).parent_id == ""
    assert (await at.one("inner")).parent_id == (await at.one("late")).span_id
    await asyncio.to_thread(lambda: [one.join(5) for one in threading.enumerate() if one.name.startswith("Otel")])
    assert [one.name for one in threading.enumerate() if one.name.startswith("Otel")] == []


async def test_an_error_that_passes_is_told_by_its_code_or_class_and_never_by_its_text() -> None:
    class Refused(Exception):
        code = "too_much"

    async with collector() as at:
        services = ServiceProvider()
        traces = tracing(at.url)
        services.register(ATracing, traces)
        await services.initialize()
        with pytest.raises(Refused), traces.start("coded", {}):
            raise Refused("hunter2")
        with pytest.raises(LookupError), traces.start("plain", {}):
            raise KeyError("hunter2")
        with pytest.raises(asyncio.CancelledError), traces.start("stopped", {}):
            raise asyncio.CancelledError
        await services.reset()
    found = {span.name: (span.attributes["error.type"], span.failed) for span in at.spans}
    assert found == {"coded": ("too_much", True), "plain": ("KeyError", True), "stopped": ("cancelled", False)}
    assert b"hunter2" not in at.raw


def test_switched_off_a_span_is_one_object_for_all_that_does_nothing() -> None:
    off = NoTracing()
    with off.start("a", {}) as span, off.start("b", {}, kind="server", parent={"traceparent": "x"}) as other:
        span.set("some", "thing")
        span.fail("somehow")
    assert span is other is off.current
    assert (off.enabled, span.recording, span.traceparent) == (False, False, None)
