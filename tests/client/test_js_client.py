"""The client module for web pages, driven by node against real replicas, over connections that are cut."""

import asyncio
import contextlib
import functools
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import argon2
import asyncpg
import pytest
import pytest_asyncio

from tests.http.client import Client, Running, running, token
from tests.support.fleet_proxy import FaultyProxy, proxied
from tests.support.pooling import settings_to
from tests.support.postgres import DatabaseServer
from webedt.config import Settings

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
]

DRIVER = Path(__file__).with_name("drive.mjs")
PROMPT = "[[tokens=60 rate=60 size=4 seed=1]]"


class Driver:
    """A node process that reads a stream; `lines` are what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        if not line:
            return None
        self.lines.append(json.loads(line))
        return self.lines[-1]

    async def until(self, event_id: int) -> None:
        while self.ids[-1:] < [event_id]:
            assert await self.next() is not None, self.lines

    async def end(self) -> None:
        while await self.next() is not None:
            pass
        assert await self._process.wait() == 0

    def interrupt(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def said(self, what: str) -> list[Any]:
        return [line[what] for line in self.lines if what in line]

    @property
    def ids(self) -> list[int]:
        return [event["id"] for event in self.said("event") if event["id"] is not None]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.said("event")]


@contextlib.asynccontextmanager
async def driving(user: Client, *addresses: str, **task: Any) -> AsyncIterator[Driver]:
    arguments = json.dumps({"addresses": addresses, "token": token(user), **task})
    process = await asyncio.create_subprocess_exec(
        "node", DRIVER, arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Driver(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(scope="module")
def quick_logins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cheap = functools.partial(argon2.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(argon2, "PasswordHasher", cheap)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own_url(database_server: DatabaseServer, database_names: Iterator[str]) -> AsyncIterator[str]:
    async with database_server.database(next(database_names), template=database_server.template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(own_url: str, quick_logins: None) -> AsyncIterator[list[Running]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                running(
                    Settings(
                        **settings_to(own_url),
                        environment="test",
                        container_id=name,
                        log_level="error",
                        session_secrets=("a-secret-of-the-tests-that-is-long-enough",),
                        auth_rate_limit_per_minute=0,
                    )
                )
            )
            for name in ("one", "two")
        ]


@pytest_asyncio.fixture(loop_scope="module")
async def user(replicas: list[Running]) -> Client:
    return await replicas[0].register()


@contextlib.asynccontextmanager
async def breakable(replica: Running) -> AsyncIterator[tuple[FaultyProxy, str]]:
    """A way to the replica that can be cut, and its address."""
    async with proxied(f"postgresql://127.0.0.1:{replica.port}") as proxy:
        yield proxy, f"http://127.0.0.1:{urlsplit(proxy.url).port}"


async def log_of(user: Client, session_id: str) -> list[int]:
    return [event["id"] for event in (await user.get(f"/api/sessions/{session_id}/events?limit=5000")).json()["events"]]


async def test_a_run_whose_answer_is_lost_and_whose_stream_is_cut_is_started_once_and_read_exactly(
    replicas: list[Running], user: Client
) -> None:
    async with breakable(replicas[0]) as (proxy, address):
        proxy.lose_answer("", b"POST /api/execute-remote")
        async with driving(user, address, prompt={"userRequest": PROMPT}) as driver:
            await driver.until(3)
            assert proxy.lost
            for seen in (10, 40):
                await driver.until(seen)
                assert proxy.cut() >= 1
            await driver.end()
    [session] = (await user.get("/api/sessions")).json()["sessions"]
    assert driver.ids == await log_of(user, session["id"]) == list(range(1, session["lastEventId"] + 1))
    assert driver.types[-1] == "completed"
    assert driver.said("gap") == []


async def test_another_replica_continues_the_stream_and_interrupts_the_run(
    replicas: list[Running], user: Client
) -> None:
    async with breakable(replicas[0]) as (proxy, address):
        ways = (address, replicas[1].origin)
        async with driving(user, *ways, prompt="[[tokens=100000 rate=50 size=4 seed=1]]") as driver:
            await driver.until(5)
            proxy.cut()
            await driver.until(driver.ids[-1] + 5)
            driver.interrupt()
            await driver.end()
    assert driver.said("replica") == [{"container": "two", "previous": "one"}]
    assert driver.said("interrupted")[0]["status"] == "interrupting"
    assert driver.types[-1] == "interrupted"
    assert driver.ids == list(range(1, driver.ids[-1] + 1))


async def test_a_log_that_was_compacted_and_a_cursor_beyond_it_are_explained(
    replicas: list[Running], user: Client, own_url: str
) -> None:
    session_id = await user.finish("[[tokens=9 rate=0 size=4 seed=1]]")
    database = await asyncpg.connect(own_url)
    deleted = await database.execute(
        "DELETE FROM events WHERE chat_session_id = $1 AND type = 'text_delta'", session_id
    )
    await database.close()
    assert deleted == "DELETE 9"
    async with driving(user, replicas[0].origin, sessionId=session_id, lastEventId=999) as driver:
        await driver.end()
    assert driver.types[0] == "reset"
    assert driver.ids == await log_of(user, session_id)
    assert driver.said("gap") == []
