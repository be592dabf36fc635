"""Tabs of one browser that follow the same stream, in a real Chromium, against a real replica: one connection for all,
no event lost and none twice in any of them, whatever happens to the tab that holds it."""

import functools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import argon2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from tests.http.client import Client, Running, running, token
from tests.support.browser import launched
from tests.support.chromium import MISSING, find_chromium, must_be_there
from tests.support.pooling import settings_to
from tests.support.postgres import DatabaseServer
from tests.support.waiting import eventually
from webedt.config import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT_MS = 60_000
IMPATIENT_MS = 300
SLOWEST_MS = 20_000  # below the time in which a patient tab asks for the leader
FOLLOW = """async ([token, path, answerMs]) => {
    const { createClient } = await import('/assets/client.js');
    const { shareStreams } = await import('/assets/client-shared.js');
    const shared = shareStreams(createClient({ token, backoff: { baseMs: 50 } }), { answerMs });
    const seen = window.seen = { events: [], gaps: 0, state: '', error: '' };
    const options = {
        onEvent: (event) => seen.events.push(event),
        onGap: () => { seen.gaps += 1; },
        onState: ({ state }) => { seen.state = state; },
        onError: ({ code }) => { seen.error = code; },
    };
    window.shared = shared;
    window.stream = path ? shared.follow(path, options) : shared.updates(options);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own_chromium() -> AsyncIterator[Browser]:
    program = find_chromium()
    if program is None:
        (pytest.fail if must_be_there() else pytest.skip)(MISSING)
    async with launched(program) as browser:
        yield browser


@pytest.fixture(scope="module")
def quick_logins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cheap = functools.partial(argon2.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(argon2, "PasswordHasher", cheap)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    quick_logins: None, database_server: DatabaseServer, database_names: Iterator[str]
) -> AsyncIterator[Running]:
    async with database_server.database(next(database_names), template=database_server.template) as url:
        settings = Settings(
            **settings_to(url),
            environment="test",
            container_id="replica",
            log_level="error",
            session_secrets=("a-secret-of-the-tests-that-is-long-enough",),
            auth_rate_limit_per_minute=0,
        )
        async with running(settings) as replica:
            yield replica


@pytest_asyncio.fixture(loop_scope="module")
async def context(own_chromium: Browser) -> AsyncIterator[BrowserContext]:
    opened = await own_chromium.new_context()
    opened.set_default_timeout(SLOWEST_MS)
    yield opened
    await opened.close()


class Tab:
    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    async def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.page.evaluate("JSON.stringify(window.seen)"))
        return found

    @property
    async def ids(self) -> list[int]:
        return [event["id"] for event in (await self.seen)["events"] if event["id"] is not None]

    async def has(self, count: int) -> None:
        """Until it has seen so many events of the log."""
        await self.page.wait_for_function("(count) => seen.events.filter(({ id }) => id).length >= count", arg=count)

    async def leader(self, candidates: int) -> str:
        """Which tab holds the connection, once so many others wait for it."""

        async def look() -> Any:
            locks = await self.page.evaluate("navigator.locks.query()")
            return len(locks["held"]) == 1 and len(locks["pending"]) == candidates and locks["held"][0]["clientId"]

        return str(await eventually(look, f"one tab leads and {candidates} would like to"))

    async def has_ended(self) -> str:
        await self.page.wait_for_function("() => stream.state === 'ended'")
        return str((await self.seen)["error"])


async def tab(
    context: BrowserContext, server: Running, bearer: str | None, session_id: str | None, answer_ms: int = PATIENT_MS
) -> Tab:
    page = await context.new_page()
    await page.goto(f"{server.origin}/assets/client.d.ts")  # a page of this origin that does nothing itself
    await page.evaluate(FOLLOW, [bearer, session_id, answer_ms])
    return Tab(page)


async def begin(user: Client) -> str:
    """A session whose run goes on until `end`."""
    return str((await user.start("[[tokens=100000 rate=40 size=4 seed=1]]"))["sessionId"])


async def end(user: Client, session_id: str) -> int:
    """Interrupt the run; how many events there are in the end."""
    assert (await user.post(f"/api/sessions/{session_id}/interrupt")).status == 202

    async def ended() -> Any:
        session = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
        return session["lastEventId"] if session["status"] == "interrupted" else None

    return int(await eventually(ended, "the run ends"))


async def test_tabs_share_one_connection_and_see_every_event_once_whichever_tab_closes(
    server: Running, context: BrowserContext
) -> None:
    user = await server.register()
    session_id = await begin(user)
    first = await tab(context, server, token(user), session_id)
    await first.has(3)
    late = [await tab(context, server, token(user), session_id) for _ in range(2)]
    for one in late:
        await one.has(3)
    assert server.open_streams("follow") == 1
    await first.page.close()
    begun = len(await late[0].ids)
    await late[0].has(begun + 5)
    last = await end(user, session_id)
    for one in late:
        await one.has(last)
        assert await one.ids == list(range(1, last + 1))
        assert (await one.seen)["gaps"] == 0
    assert server.open_streams("follow") == 1


async def test_a_tab_that_hangs_with_the_connection_is_relieved(server: Running, context: BrowserContext) -> None:
    user = await server.register()
    session_id = await begin(user)
    hung = await tab(context, server, token(user), session_id, IMPATIENT_MS)
    await hung.has(3)
    other = await tab(context, server, token(user), session_id, IMPATIENT_MS)
    await other.has(5)
    devtools = await context.new_cdp_session(hung.page)
    await devtools.send("Debugger.enable")
    await devtools.send("Debugger.pause")
    begun = len(await other.ids)
    await other.has(begun + 5)
    await devtools.send("Debugger.disable")
    last = await end(user, session_id)
    for one in (hung, other):
        await one.has(last)
        assert await one.ids == list(range(1, last + 1))
    assert server.open_streams("follow") == 1


async def test_a_tab_that_is_frozen_gives_the_connection_away_and_stands_again_when_it_thaws(
    server: Running, context: BrowserContext
) -> None:
    """Told as the browser tells it; that the page really sleeps cannot be had without a window."""
    user = await server.register()
    session_id = await begin(user)
    frozen = await tab(context, server, token(user), session_id)
    await frozen.has(3)
    other = await tab(context, server, token(user), session_id)
    await other.has(5)
    leader = await frozen.leader(candidates=1)
    await frozen.page.evaluate("document.dispatchEvent(new Event('freeze'))")
    assert await other.leader(candidates=0) != leader
    await other.has(len(await other.ids) + 5)
    await frozen.page.evaluate("document.dispatchEvent(new Event('resume'))")
    assert await other.leader(candidates=1) != leader
    last = await end(user, session_id)
    for one in (frozen, other):
        await one.has(last)
        assert await one.ids == list(range(1, last + 1))


async def test_two_logins_of_one_browser_do_not_mix(server: Running, context: BrowserContext) -> None:
    ann, ben = await server.register(), await server.register()
    await ann.finish()
    tabs = [await tab(context, server, token(user), None) for user in (ann, ben)]
    for one, sessions in zip(tabs, (1, 0), strict=True):
        await one.page.wait_for_function("() => seen.events.length > 0")
        assert len((await one.seen)["events"][0]["data"]["sessions"]) == sessions
    assert server.open_streams("updates") == 2
    await ann.finish()
    await tabs[0].page.wait_for_function("() => seen.events.some(({ type }) => type === 'created')")
    assert [event["type"] for event in (await tabs[1].seen)["events"]] == ["snapshot"]


async def test_a_login_that_another_tab_changed_is_noticed_before_anything_of_the_other_user_shows(
    server: Running, context: BrowserContext
) -> None:
    ann, ben = await server.register(), await server.register()
    await ben.finish()
    await log_in(context, server, ann)
    leader, follower = await tab(context, server, None, None), await tab(context, server, None, None)
    for one in (leader, follower):
        await one.page.wait_for_function("() => seen.events.length > 0")
    await log_in(context, server, ben)
    await leader.page.close()
    assert await follower.has_ended() == "login_changed"
    assert {len(event["data"]["sessions"]) for event in (await follower.seen)["events"]} == {0}


async def test_a_logout_ends_the_streams_of_all_tabs(server: Running, context: BrowserContext) -> None:
    user = await server.register()
    tabs = [await tab(context, server, token(user), None) for _ in range(3)]
    for one in tabs:
        await one.page.wait_for_function("() => seen.events.length > 0")
    await tabs[1].page.evaluate("shared.end()")
    assert [await one.has_ended() for one in tabs] == ["unauthenticated"] * 3
    await eventually(lambda: server.open_streams("updates") == 0, "the connection is closed")


async def test_tabs_of_the_web_app_need_two_connections_together(server: Running, context: BrowserContext) -> None:
    user = await server.register()
    session_id = await user.finish("[[tokens=3 rate=0]] say something")
    await log_in(context, server, user)
    for _ in range(2):
        page = await context.new_page()
        await page.goto(f"{server.origin}/#/s/{session_id}")
        await page.get_by_text("say something").first.wait_for()
        await page.get_by_text("Caught up").wait_for()
    assert (server.open_streams("follow"), server.open_streams("updates")) == (1, 1)


async def log_in(context: BrowserContext, server: Running, user: Client) -> None:
    await context.add_cookies([{"name": "webedt_session", "value": token(user), "url": server.origin}])
