"""The fake Managed Agents API through the official SDK: its resources, pages, refusals and faults."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx2
import pytest

from tests.support.claude_fake import AGENT, ENVIRONMENT, fake_claude
from tests.support.claude_fake_client import check, client_of, kinds, listed, prompt, say, session_with, until_idle
from tests.support.waiting import eventually

REPOSITORY: Any = {
    "type": "github_repository",
    "url": "https://github.com/someone/something",
    "authorization_token": "ghp_secret",
    "checkout": {"type": "branch", "name": "main"},
}


async def test_sessions_are_created_shown_changed_archived_and_deleted() -> None:
    async with fake_claude() as fake, client_of(fake) as client:
        sessions = client.beta.sessions
        created = await sessions.create(
            agent={"type": "agent_with_overrides", "id": AGENT, "model": {"id": "claude-sonnet-5", "effort": "low"}},
            environment_id=ENVIRONMENT,
            title="One",
            metadata={"run": "1"},
            resources=[REPOSITORY],
            initial_events=[prompt()],
        )
        check(created)
        assert (created.agent.model.id, created.title, created.metadata) == ("claude-sonnet-5", "One", {"run": "1"})
        assert "ghp_secret" not in created.to_json()
        await fake.logged(created.id, "session.status_idle")
        updated = await sessions.update(created.id, title="Two", metadata={"run": None, "more": "2"})
        assert (updated.title, updated.metadata) == ("Two", {"more": "2"})
        shown = await sessions.retrieve(created.id)
        check([updated, shown])
        assert shown.usage.list_cost is not None
        assert shown.usage.list_cost.amount == "6"
        resources = await sessions.resources.list(created.id)
        check([*resources.data, await sessions.resources.retrieve(resources.data[0].id, session_id=created.id)])
        stream = await sessions.events.stream(created.id)
        archived = await sessions.archive(created.id)
        check(archived)
        assert archived.archived_at is not None
        with pytest.raises(anthropic.BadRequestError, match="archived"):
            await say(client, created.id, prompt())
        assert [session.id async for session in sessions.list()] == []
        assert [session.id async for session in sessions.list(include_archived=True)] == [created.id]
        check(await sessions.delete(created.id))
        assert kinds([event async for event in stream]) == ["session.status_terminated", "session.deleted"]
        with pytest.raises(anthropic.NotFoundError):
            await sessions.retrieve(created.id)
        assert fake.log(created.id)[-1]["type"] == "session.status_terminated"
        assert (fake.arrived["archive"], fake.arrived["delete"]) == (1, 1)


async def test_a_running_session_is_neither_archived_nor_deleted_and_its_status_may_lag() -> None:
    async with session_with(status_lag=0.2) as (fake, client, session_id):
        await say(client, session_id, prompt("[[gate=go]]"))
        await fake.logged(session_id, "agent.message")
        for cleanup in (client.beta.sessions.archive, client.beta.sessions.delete):
            with pytest.raises(anthropic.BadRequestError, match="while running"):
                await cleanup(session_id)
        fake.open_gate("go")
        await fake.logged(session_id, "session.status_idle")
        assert (await client.beta.sessions.retrieve(session_id)).status == "running"
        await asyncio.sleep(0.25)
        assert (await client.beta.sessions.archive(session_id)).status == "terminated"


@pytest.mark.parametrize("ties", [1, 4])
async def test_events_come_in_pages_and_by_time_type_and_order(ties: int) -> None:
    async with session_with(ties=ties) as (fake, client, session_id):
        await say(client, session_id, prompt())
        await fake.logged(session_id, "session.status_idle")
        everything = await listed(client, session_id)
        assert len(everything) == 13
        assert len({event.processed_at for event in everything}) == -(-13 // ties)
        fake.requests.clear()
        assert await listed(client, session_id, limit=5) == everything
        assert len(fake.requests) == 3
        assert await listed(client, session_id, limit=6, order="desc") == everything[::-1]
        assert kinds(await listed(client, session_id, types=["agent.message", "agent.tool_use"])) == [
            "agent.message",
            "agent.tool_use",
            "agent.message",
        ]
        middle = everything[5].processed_at
        later = [event for event in everything if event.processed_at > middle]
        assert await listed(client, session_id, created_at_gt=middle) == later
        assert len(await listed(client, session_id, created_at_gte=middle)) == len(later) + ties
        page = await client.beta.sessions.events.list(session_id, limit=5)
        with pytest.raises(anthropic.BadRequestError, match="other filters"):
            await client.beta.sessions.events.list(session_id, order="desc", page=page.next_page or "")
        # What the log grows by between two pages is on the later of them.
        fake.emit(session_id, "session.status_running")
        assert [*page.data, *[event async for event in await page.get_next_page()]][-1].type == "session.status_running"


async def test_sessions_belong_to_the_workspace_of_their_key() -> None:
    async with fake_claude(keys={"sk-one": "wrkspc_1", "sk-again": "wrkspc_1", "sk-two": "wrkspc_2"}) as fake:
        async with client_of(fake) as one, client_of(fake, "sk-again") as again, client_of(fake, "sk-two") as two:
            session = await one.beta.sessions.create(agent=AGENT, environment_id=ENVIRONMENT)
            assert (await again.beta.sessions.retrieve(session.id)).id == session.id
            with pytest.raises(anthropic.NotFoundError):
                await two.beta.sessions.retrieve(session.id)
            with pytest.raises(anthropic.NotFoundError):
                await two.beta.sessions.events.stream(session.id)
            fake.revoke("sk-one")
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await one.beta.sessions.retrieve(session.id)
            assert refused.value.type == "authentication_error"
            assert refused.value.request_id
        assert len({seen.key for seen in fake.requests}) == 3


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"agent": AGENT}, anthropic.BadRequestError),
        ({"agent": "agent_no", "environment_id": ENVIRONMENT}, anthropic.NotFoundError),
        ({"agent": AGENT, "environment_id": "env_no"}, anthropic.NotFoundError),
        ({"agent": AGENT, "environment_id": ENVIRONMENT, "model": "x"}, anthropic.BadRequestError),
        ({"agent": {"type": "agent", "id": AGENT, "system": "x"}, "environment_id": "e"}, anthropic.BadRequestError),
        ({"agent": AGENT, "environment_id": ENVIRONMENT, "metadata": {"a": 1}}, anthropic.BadRequestError),
    ],
)
async def test_bodies_are_held_to_their_shape(body: Any, error: type[Exception]) -> None:
    async with fake_claude() as fake, client_of(fake) as client:
        with pytest.raises(error):
            await client.post("/v1/sessions?beta=true", body=body, cast_to=object, options=_BETA)
        assert not fake.sessions


_BETA: Any = {"headers": {"anthropic-beta": "managed-agents-2026-04-01"}}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, anthropic.AuthenticationError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.ServiceUnavailableError),
        (529, anthropic.OverloadedError),
    ],
)
async def test_faults_are_the_sdks_errors_for_as_many_requests_as_said(status: int, error: type[Exception]) -> None:
    async with session_with() as (fake, client, session_id):
        fake.fail("retrieve", "status", status=status, retry_after=3, skip=1)
        await client.beta.sessions.retrieve(session_id)
        with pytest.raises(error) as refused:
            await client.beta.sessions.retrieve(session_id)
        assert isinstance(refused.value, anthropic.APIStatusError)
        assert refused.value.response.headers["retry-after"] == "3"
        await client.beta.sessions.retrieve(session_id)


async def test_connections_break_before_or_after_the_work() -> None:
    async with session_with() as (fake, client, session_id):
        for kind, carried_out in (("refuse", 0), ("lose", 1)):
            fake.fail("send", kind)
            with pytest.raises(anthropic.APIConnectionError):
                await say(client, session_id, prompt())
            fake.fail("create", kind)
            with pytest.raises(anthropic.APIConnectionError):
                await client.beta.sessions.create(agent=AGENT, environment_id=ENVIRONMENT)
            assert (fake.arrived["user.message"], len(fake.sessions)) == (carried_out, 1 + carried_out)
        await fake.refuse_connections()
        with pytest.raises(anthropic.APIConnectionError):
            await client.beta.sessions.retrieve(session_id)
        await fake.listen()
        await client.beta.sessions.retrieve(session_id)
        fake.fail("list", "slow", seconds=0.1)
        started = time.monotonic()
        await listed(client, session_id)
        assert time.monotonic() - started >= 0.1


async def test_streams_break_fall_silent_and_repeat_themselves_while_the_agent_goes_on() -> None:
    async with session_with(ping=0.01) as (fake, client, session_id):
        for kind in ("cut", "end", "silent", "duplicate", "error_event"):
            fake.fail("stream", kind, after=3, status=529)
        streams = [await client.beta.sessions.events.stream(session_id) for _ in range(5)]
        await say(client, session_id, prompt())
        await fake.logged(session_id, "session.status_idle")
        cut: list[Any] = []
        with pytest.raises(httpx2.HTTPError):
            async for event in streams[0]:
                cut.append(event)
        assert len(cut) == 3
        assert len([event async for event in streams[1]]) == 3
        silent: list[Any] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                async for event in streams[2]:
                    silent.append(event)
        assert len(silent) == 3
        seen = await until_idle(streams[3])
        assert seen[3] == seen[4]
        with pytest.raises(anthropic.APIStatusError):
            async for _ in streams[4]:
                pass
        await streams[2].close()
        await eventually(lambda: fake.streams == 0, "no stream is open")


async def test_it_runs_as_a_process_of_its_own_until_stdin_closes() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.claude_fake"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    async with aiohttp.ClientSession(url) as control, anthropic.AsyncAnthropic(api_key="k", base_url=url) as client:
        script = {"script": [{"do": "gate", "name": "go"}, {"do": "message", "text": "Scripted"}]}
        await (await control.post("/_fake/script", json=script)).read()
        await (await control.post("/_fake/faults", json={"endpoint": "send", "kind": "status"})).read()
        session = await client.beta.sessions.create(agent=AGENT, environment_id=ENVIRONMENT)
        stream = await client.beta.sessions.events.stream(session.id)
        await say(client, session.id, prompt())  # a second time, upon the fault
        await (await control.post("/_fake/gates/go")).read()
        seen = await until_idle(stream)
        assert "Scripted" in json.dumps([event.to_dict(mode="json") for event in seen])
        log = await (await control.get(f"/_fake/sessions/{session.id}/log")).json()
        assert [event["id"] for event in log] == [event.id for event in seen[1:]]
        state = await (await control.get("/_fake/state")).json()
        assert state["arrived"] == {"create": 1, "user.message": 1}
        requests = await (await control.get("/_fake/requests")).json()
        assert [request["status"] for request in requests if request["endpoint"] == "send"] == [500, 200]
        await (await control.post("/_fake/down", json={"seconds": 0.2})).read()
        with pytest.raises(anthropic.APIConnectionError):
            await asyncio.sleep(0.1)
            await client.with_options(max_retries=0).beta.sessions.retrieve(session.id)
        await client.with_options(max_retries=5).beta.sessions.retrieve(session.id)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
