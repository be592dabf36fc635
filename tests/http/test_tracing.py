"""What a trace shows of requests, queries and provider calls, and what it must never show."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from tests.http.client import LONG, SHORT, Running, token
from tests.http.conftest import StartReplica
from tests.http.wire import Connection
from tests.support.anthropic_fake import end, fake_anthropic
from tests.support.anthropic_fake import start as message_start
from tests.support.anthropic_fake import text as text_block
from tests.support.collector import Collector, collector
from tests.support.openai_fake import Refusal, answer, fake_openai
from tests.support.waiting import eventually
from webedt.database.interface import ADatabase
from webedt.database.sql import query_names
from webedt.telemetry.tracing import ATracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{CALLER}-01"
NOT_SAMPLED = f"00-{TRACE}-{CALLER}-00"
EXECUTE = "POST /api/execute-remote"
SECRET = "hunter2hunter2"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@asynccontextmanager
async def traced(start: StartReplica, **changes: Any) -> AsyncIterator[tuple[Running, Collector]]:
    async with collector() as at, start(otel_exporter_otlp_endpoint=at.url, **changes) as app:
        yield app, at


async def traceparents(app: Running) -> list[str | None]:
    rows = await app.service(ADatabase).fetch("SELECT traceparent FROM runs ORDER BY created_at")
    return [row["traceparent"] for row in rows]


async def test_the_caller_s_trace_goes_on_through_the_request_to_queries_run_and_provider(start: StartReplica) -> None:
    async with fake_openai(answer("Hello.")) as fake:
        settings = {"openai_base_url": fake.url, "openai_model": "fake-1", "openai_api_key": SECRET}
        async with traced(start, default_provider="openai", **settings) as (app, at):
            user = (await app.register()).with_headers(traceparent=SAMPLED)
            await user.finish("Say hello.")
            request, attempt = await at.one(EXECUTE), await at.one("run.attempt")
            chat, call = await at.one("chat openai"), await at.one("POST")
            [insert] = await at.until("insert_prompt")
            [stored] = await traceparents(app)
    assert [request.trace_id, request.parent_id] == [TRACE, CALLER]
    assert [insert.parent_id, attempt.parent_id] == [request.span_id, request.span_id]
    assert [chat.parent_id, call.parent_id] == [attempt.span_id, chat.span_id]
    assert stored == f"00-{TRACE}-{request.span_id}-01"
    assert fake.headers[0]["traceparent"] == f"00-{TRACE}-{call.span_id}-01"
    assert call.kind == "client"
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["server.address"] == "127.0.0.1"
    assert insert.attributes == {"db.system.name": "postgresql", "db.query.summary": "insert_prompt"}
    assert at.resources[0]["service.name"] == "webedt"
    # Of a query there is its name, and nothing is asked under no name.
    queries = {span.name for span in at.spans if "db.system.name" in span.attributes}
    assert queries <= {*query_names().values(), "BEGIN", "COMMIT", "ROLLBACK"}


async def test_the_trace_goes_to_anthropic_too_and_every_try_is_a_span(start: StartReplica) -> None:
    hello = [message_start(), *text_block(0, "Hello."), *end()]
    async with fake_anthropic((529, {"retry-after": "0"}), hello) as fake:
        settings = {"anthropic_base_url": fake.url, "anthropic_api_key": SECRET}
        async with traced(start, default_provider="anthropic", **settings) as (app, at):
            user = (await app.register()).with_headers(traceparent=SAMPLED)
            await user.finish("Say hello.")
            refused, answered = sorted(await at.until("POST", 2), key=lambda span: span.began_ns)
    assert (refused.failed, refused.attributes["error.type"]) == (True, "529")
    assert (answered.failed, answered.attributes["http.response.status_code"]) == (False, 200)
    assert [headers["traceparent"] for headers in fake.headers] == [
        f"00-{TRACE}-{span.span_id}-01" for span in (refused, answered)
    ]


async def test_what_a_provider_refuses_fails_its_spans_by_code_and_quotes_nobody(start: StartReplica) -> None:
    async with fake_openai(Refusal(401)) as fake:
        settings = {"openai_base_url": fake.url, "openai_model": "fake-1", "openai_api_key": SECRET}
        async with traced(start, default_provider="openai", **settings) as (app, at):
            await (await app.register()).finish("Say hello.")
            chat, attempt = await at.one("chat openai"), await at.one("run.attempt")
    assert (chat.failed, chat.attributes["error.type"]) == (True, "provider_unauthorized")
    assert (attempt.failed, attempt.attributes["webedt.run.outcome"]) == (True, "failed")
    assert SECRET.encode() not in at.raw


async def test_a_deployment_names_itself_and_its_service_as_opentelemetry_has_it(start: StartReplica) -> None:
    attributes = (("service.name", "of the attributes"), ("deployment.environment.name", "staging"))
    for name, expected in (("", "of the attributes"), ("of its own", "of its own")):
        async with traced(start, otel_service_name=name, otel_resource_attributes=attributes) as (app, at):
            await app.nobody.get("/api/auth/session")
            await at.one("GET /api/auth/session")
        assert at.resources[0]["service.name"] == expected
        assert at.resources[0]["deployment.environment.name"] == "staging"


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", "x" * 4000])
async def test_a_malformed_traceparent_is_as_none(start: StartReplica, given: str) -> None:
    async with traced(start) as (app, at):
        answered = await app.nobody.get("/api/auth/session", traceparent=given)
        span = await at.one("GET /api/auth/session")
    assert answered.status == 401
    assert (span.parent_id, len(span.trace_id)) == ("", 32)
    assert span.trace_id not in (TRACE, "0" * 32)


async def test_what_the_caller_does_not_record_is_not_recorded_here_nor_by_whoever_drives_the_run(
    start: StartReplica,
) -> None:
    async with fake_openai(answer("Hello.")) as fake:
        async with traced(start, openai_base_url=fake.url, openai_model="m", default_provider="openai") as (app, at):
            user = await app.register()
            await user.with_headers(traceparent=NOT_SAMPLED).finish("Say hello.")
            [stored] = await traceparents(app)
            await user.get("/api/auth/session")
            await at.until("GET /api/auth/session")
    assert stored is not None
    assert stored.startswith(f"00-{TRACE}-")
    assert stored.endswith("-00")
    assert fake.headers[0]["traceparent"].startswith(f"00-{TRACE}-")
    assert fake.headers[0]["traceparent"].endswith("-00")
    assert {span.trace_id for span in at.spans} & {TRACE} == set()


async def test_the_sampler_is_the_one_that_was_chosen(start: StartReplica) -> None:
    sampler = {"otel_traces_sampler": "parentbased_traceidratio", "otel_traces_sampler_arg": 0.0}
    async with traced(start, **sampler) as (app, at):
        await app.nobody.get("/api/auth/session")
        await app.nobody.get("/api/auth/session", traceparent=SAMPLED)
        span = await at.one("GET /api/auth/session")
    assert span.trace_id == TRACE


async def test_neither_tokens_nor_names_of_files_nor_words_of_prompts_leave(start: StartReplica) -> None:
    async with traced(start) as (app, at):
        user = await app.register("somebody@example.com")
        session_id = await user.finish(f"{SHORT} {SECRET}")
        shared = await user.post(f"/api/sessions/{session_id}/share", {})
        link = shared.json()["shareToken"]
        await app.nobody.get(f"/api/shared/{link}?{SECRET}=1", traceparent=SAMPLED)
        await app.nobody.get(f"/shared/{link}", traceparent=SAMPLED, tracestate=f"some={SECRET}", baggage=f"a={SECRET}")
        await app.nobody.get(f"/share/{link}", traceparent=SAMPLED)  # mistyped
        await user.ask("PUT", f"/api/sessions/{session_id}/files/{SECRET}.txt", SECRET.encode())
        await user.get(f"/api/sessions/{SECRET}")
        await user.ask("PROPFIND", f"/api/sessions/{session_id}")
        seen = await at.one("GET /api/shared/{token}")
        await at.until("PUT /api/sessions/{id}/files/{path}")
        await at.until("GET /shared/{token}")
        [unknown] = await at.until("GET")
        [odd] = await at.until("_OTHER")
        [no_session] = await at.until("GET /api/sessions/{id}")
    assert seen.attributes["http.route"] == "/api/shared/{token}"
    assert unknown.attributes["http.response.status_code"] == 404
    assert odd.attributes["http.request.method"] == "_OTHER"
    assert "webedt.session.id" not in no_session.attributes
    for secret in (link, SECRET, token(user), "somebody@"):
        assert secret.encode() not in at.raw, secret


async def test_the_span_of_a_stream_ends_when_it_begins_and_is_not_kept_while_it_is_open(start: StartReplica) -> None:
    follow, execute, updates = "GET /api/sessions/{id}/events/stream", EXECUTE, "GET /api/sessions/updates"

    def kept() -> int:
        # Timers that were cancelled (of queries, above all) stay with the loop until they are most of what it has.
        for _ in range(500):
            asyncio.get_running_loop().call_later(60, print).cancel()
        gc.collect()
        return len([one for one in gc.get_objects() if isinstance(one, ReadableSpan) and one.name == follow])

    async with traced(start) as (app, at), AsyncExitStack() as open_streams:
        user = await app.register()
        begun = await user.finish()
        for body in (LONG, LONG):
            await open_streams.enter_async_context(user.stream("/api/execute-remote", {"userRequest": body}))
        await open_streams.enter_async_context(user.stream("/api/sessions/updates"))
        for _ in range(30):
            stream = await open_streams.enter_async_context(user.stream(f"/api/sessions/{begun}/events/stream"))
            await stream.until("caught_up")
        ended = [*await at.until(follow, 30), *await at.until(execute, 3), *await at.until(updates)]
        assert app.open_streams("follow") == 30
        # Connections of the pool hold on to the last that used them, statements to the one that prepared them.
        await eventually(lambda: kept() < 10, "no stream keeps its span")
    assert {span.attributes["http.response.status_code"] for span in ended} == {200}


async def test_a_request_whose_client_leaves_is_cancelled_and_has_no_status(start: StartReplica) -> None:
    async with traced(start) as (app, at):
        user = await app.register()
        session = (await user.start(LONG))["sessionId"]
        async with Connection(app.port) as connection:
            path = f"/api/sessions/{session}/events?after=100000&wait=30"
            connection.request("GET", path, dict(user.headers), None, "HTTP/1.1")
            await eventually(lambda: app.open_streams("poll") == 1, "it waits")
        span = await at.one("GET /api/sessions/{id}/events")
    assert (span.failed, span.attributes["error.type"]) == (False, "cancelled")
    assert span.attributes["webedt.session.id"] == session
    assert "http.response.status_code" not in span.attributes


async def test_a_run_belongs_to_the_trace_of_its_own_prompt_whoever_claims_it(start: StartReplica) -> None:
    async with traced(start) as (app, at):
        user = await app.register()
        first = await user.with_headers(traceparent=SAMPLED).start("[[tokens=100000 rate=20]]")
        await at.until("run.claim")
        later = user.with_headers(traceparent=f"00-{'a' * 32}-{CALLER}-01")
        path = f"/api/sessions/{first['sessionId']}"
        second = (await later.post(f"{path}/send", {"message": SHORT})).json()
        await user.with_headers(traceparent=f"00-{'b' * 32}-{CALLER}-01").post(f"{path}/interrupt")
        attempts = {span.attributes["webedt.run.id"]: span for span in await at.until("run.attempt", 2)}
        chats = await at.until("chat simulated", 2)
    assert attempts[first["runId"]].trace_id == TRACE
    assert attempts[first["runId"]].attributes["webedt.run.outcome"] == "interrupted"
    assert attempts[second["runId"]].trace_id == "a" * 32
    assert {span.trace_id for span in chats} == {TRACE, "a" * 32}
    # Nothing that goes on by itself does so in the name of a request.
    assert all(span.name != "append_batch" for span in at.spans)


async def test_probes_and_whatever_a_replica_does_by_itself_leave_no_traces(start: StartReplica) -> None:
    async with traced(start, lease_seconds=1.0) as (app, at):
        await app.nobody.get("/ready")
        await app.nobody.get("/metrics")
        heartbeat = "SELECT max(heartbeat_at) FROM instances"
        database = app.service(ADatabase)
        beats = set()

        async def has_beaten_twice() -> bool:
            beats.add((await database.fetchrow(heartbeat))[0])
            return len(beats - {None}) > 1

        await eventually(has_beaten_twice, "a heartbeat after the first")
        await app.nobody.get("/api/auth/session")
        await at.one("GET /api/auth/session")
        await app.nobody.get("/ready", traceparent=SAMPLED)
        await at.one("GET /ready")
    assert sorted(span.name for span in at.spans) == ["GET /api/auth/session", "GET /ready"]


async def test_a_collector_that_refuses_is_told_of_once_and_once_more_when_it_is_back(
    start: StartReplica, capfd: pytest.CaptureFixture[str]
) -> None:
    async with collector(refusing=401) as at:
        settings = {"otel_exporter_otlp_endpoint": at.url, "otel_exporter_otlp_headers": (("x-key", SECRET),)}
        async with start(log_level="info", **settings) as app:
            user = await app.register()
            for refused in (1, 2, 3):
                await user.get("/api/auth/session")
                await eventually(lambda refused=refused: len(at.headers) >= refused, "it is tried again")
            at.refusing = 0
            await user.get("/api/auth/session")
            await at.until("GET /api/auth/session")
    shown = capfd.readouterr().err
    assert at.headers[0]["x-key"] == SECRET
    assert SECRET not in shown
    assert [shown.count(event) for event in ("traces_not_exported", "traces_exported_again")] == [1, 1]
    assert shown.count("Unauthorized") == 1, "the reason, and nothing beside it"


async def test_switched_off_nothing_is_stored_sent_or_asked(start: StartReplica) -> None:
    async with fake_openai(answer("Hello.")) as fake:
        async with start(openai_base_url=fake.url, openai_model="m", default_provider="openai") as app:
            await (await app.register()).with_headers(traceparent=SAMPLED).finish("Say hello.")
            assert await traceparents(app) == [None]
            assert not app.service(ATracing).enabled
            assert len(app.replica.application.middlewares) == 1
            async with app.service(ADatabase).acquire() as connection:
                assert type(connection._con) is asyncpg.Connection
    assert "traceparent" not in fake.headers[0]


async def test_of_many_runs_at_once_no_span_lands_in_another_s_trace(start: StartReplica) -> None:
    async with traced(start, max_streams_per_user=1000) as (app, at):
        user = await app.register()
        traces = [f"{number:032x}" for number in range(1, 17)]
        body = {"userRequest": "[[tokens=20 rate=200]]"}

        async def run(trace: str) -> str:
            headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
            async with user.stream("/api/execute-remote", body, **headers) as stream:
                await stream.rest()
                return stream.head["X-Run-ID"]

        runs = dict(zip(traces, await asyncio.gather(*map(run, traces)), strict=True))
        attempts = await at.until("run.attempt", len(traces))
    assert {span.trace_id: span.attributes["webedt.run.id"] for span in attempts} == runs
    parents = {span.span_id: span.trace_id for span in at.spans}
    assert all(parents.get(span.parent_id, span.trace_id) == span.trace_id for span in at.spans)
