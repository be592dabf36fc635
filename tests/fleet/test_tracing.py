"""Traces of a real fleet at a real collector: one run is one trace, whoever drives it."""

import re
from pathlib import Path

from tests.support.collector import Collector, collector
from tests.support.fleet import Caller, Replica, Run, start_fleet
from tests.support.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def on(at: Collector) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": at.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}


async def started(caller: Caller, replica: Replica, prompt: str) -> Run:
    """A run whose request belongs to the trace of its caller."""
    body = {"userRequest": prompt, "provider": "simulated"}
    headers = {**TRACEPARENT, "Prefer": "respond-async"}
    status, answer = await caller.call("POST", replica, "/api/execute-remote", body, headers)
    assert status == 202, answer
    return Run(answer["sessionId"], answer["runId"])


async def completed(caller: Caller, replica: Replica, run: Run) -> None:
    async def is_completed() -> bool:
        _, answer = await caller.call("GET", replica, f"/api/sessions/{run.session_id}")
        return bool(answer["session"]["status"] == "completed")

    await eventually(is_completed, "the run ends", seconds=30)


def lines(replica: Replica, event: str) -> list[str]:
    """Those of the replica's log with that event name, without colours."""
    return [line for line in COLOURS.sub("", replica.log()).splitlines() if f" {event} " in line]


async def test_a_run_that_is_taken_over_remains_one_trace(database_url: str, tmp_path: Path) -> None:
    async with collector() as at, start_fleet(database_url, 2, logs=tmp_path, **on(at)) as fleet:
        first, second = fleet.replicas
        async with fleet.caller() as caller:
            run = await started(caller, first, "[[tokens=60 rate=20]]")
            request = await at.one("POST /api/execute-remote")
            await at.until("run.claim")
            first.kill()
            await completed(caller, second, run)
            attempt = await at.one("run.attempt")
            claims = {span.attributes["webedt.run.attempt"]: span for span in await at.until("run.claim", 2)}
            call = await at.one("chat simulated")

    assert (request.kind, request.trace_id, request.parent_id) == ("server", TRACE, CALLER)
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["webedt.run.id"] == run.run_id
    # The attempt of a replica that was killed is never told; its claim is.
    assert {number: span.container for number, span in claims.items()} == {1: "r1", 2: "r2"}
    assert attempt.container == "r2"
    assert (attempt.attributes["webedt.run.attempt"], attempt.attributes["webedt.run.recovered"]) == (2, True)
    assert attempt.attributes["webedt.run.outcome"] == "completed"
    assert {span.trace_id for span in (attempt, call, *claims.values())} == {TRACE}
    assert {span.parent_id for span in (attempt, *claims.values())} == {request.span_id}
    assert call.parent_id == attempt.span_id
    known = {CALLER, *(span.span_id for span in at.spans)}
    assert [span.name for span in at.spans if span.trace_id == TRACE and span.parent_id not in known] == []
    # The ids are on the lines of the request and of both attempts.
    [asked] = [line for line in lines(first, "request") if "route=/api/execute-remote" in line]
    assert f"trace_id={TRACE}" in asked
    assert f"span_id={request.span_id}" in asked
    for replica in fleet.replicas:
        [driven] = lines(replica, "run_driven")
        assert "request_id=" not in driven
        assert f"trace_id={TRACE}" in driven
    [last] = lines(second, "run_ended")
    assert f"span_id={attempt.span_id}" in last


async def test_a_run_that_is_handed_over_tells_of_both_attempts(database_url: str) -> None:
    async with collector() as at, start_fleet(database_url, 2, **on(at)) as fleet, fleet.caller() as caller:
        run = await started(caller, fleet[0], "[[tokens=60 rate=20]]")
        await at.until("run.claim")
        fleet[0].terminate()
        assert await fleet[0].ended() == 0
        await completed(caller, fleet[1], run)
        attempts = {span.container: span for span in await at.until("run.attempt", 2)}
    assert attempts["r1"].attributes["webedt.run.outcome"] == "released"
    assert attempts["r2"].attributes["webedt.run.outcome"] == "completed"
    assert {span.trace_id for span in attempts.values()} == {TRACE}


async def test_a_collector_that_hangs_holds_up_neither_a_run_nor_the_end(database_url: str) -> None:
    async with collector(silent=True) as at, start_fleet(database_url, 1, **on(at)) as fleet, fleet.caller() as caller:
        run = await started(caller, fleet[0], "[[tokens=20 rate=100]]")
        await eventually(at.asked.is_set, "the collector is asked")
        await completed(caller, fleet[0], run)
        fleet[0].terminate()
        assert await fleet[0].ended(15) == 0
        assert len(lines(fleet[0], "traces_not_flushed")) == 1


async def test_without_an_endpoint_nothing_of_opentelemetry_is_even_imported(database_url: str) -> None:
    async with start_fleet(database_url, 1, PYTHONPROFILEIMPORTTIME="1") as fleet, fleet.caller() as caller:
        await completed(caller, fleet[0], await started(caller, fleet[0], "[[tokens=5 rate=0]]"))
        log = COLOURS.sub("", fleet[0].log())
    assert "webedt.telemetry.tracing" in log, "imports are in the log"
    assert re.findall(r"\|\s+(\S*(?:opentelemetry|google\.protobuf)\S*)", log) == []
    assert "run_ended" in log
    assert "trace_id" not in log
