"""What a workload runs on: a database, a replica and the naive implementation beside it, started when first asked for.

Workloads that look at memory take a replica of their own: one that has served others has room left in its heap.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from tests.bench.server import Server, database, naive, server
from webedt.domain.events import NewEvent, encode_delta


class Bench:
    """`sizes`: 1 for the real size, 10 for a tenth, 100 for a hundredth."""

    def __init__(self, server_url: str, http: aiohttp.ClientSession, stack: AsyncExitStack, sizes: int) -> None:
        self.server_url = server_url
        self.http = http
        self.sizes = sizes
        self._stack = stack
        self._url = ""
        self._replica: Server | None = None
        self._naive: Server | None = None

    def size(self, full: int, least: int = 1) -> int:
        return max(least, full // self.sizes)

    def seconds(self, full: int) -> int:
        """Of something that goes by the clock, and so cannot be made small by a hundred."""
        return full if self.sizes <= 10 else max(1, full // 10)

    @property
    def runs(self) -> int:
        """How often a short measurement is taken; the median counts."""
        return 3 if self.sizes == 1 else 1

    async def url(self) -> str:
        """The database of the replica and of the naive one."""
        if not self._url:
            self._url = await self._stack.enter_async_context(database(self.server_url))
        return self._url

    async def connection(self) -> Any:
        """A connection to it, closed with the rest."""
        connection = await asyncpg.connect(await self.url())
        self._stack.push_async_callback(connection.close)
        return connection

    async def replica(self) -> Server:
        if self._replica is None:
            self._replica = await self._stack.enter_async_context(server(await self.url(), self.http))
        return self._replica

    async def naive(self) -> Server:
        if self._naive is None:
            self._naive = await self._stack.enter_async_context(naive(await self.url()))
        return self._naive


@asynccontextmanager
async def bench(server_url: str, sizes: int) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Bench(server_url, http, stack, sizes)


async def new_session(http: aiohttp.ClientSession, server: Server) -> str:
    """A session with one run that is over."""
    body = {"userRequest": "[[tokens=1 rate=0]]", "provider": "simulated"}
    async with http.post(f"{server.url}/api/execute-remote", json=body, headers=server.headers) as answer:
        answer.raise_for_status()
        await answer.read()
        return answer.headers["X-Session-ID"]


async def last_id(connection: Any, session_id: str) -> int:
    query = "SELECT last_seq FROM session_heads WHERE chat_session_id = $1"
    return int(await connection.fetchval(query, UUID(session_id)))


async def fill(connection: Any, session_id: str, events: int) -> None:
    """Put a long log there, up to the id `events`."""
    run_id = uuid4()
    await connection.execute(
        """INSERT INTO events (chat_session_id, seq, run_id, type, data)
           SELECT $1, n, $2, 'text_delta', $3::text::json FROM generate_series($4::bigint, $5::bigint) n""",
        UUID(session_id), run_id, delta(run_id, 1).data, await last_id(connection, session_id) + 1, events,
    )  # fmt: skip
    await connection.execute(
        "UPDATE session_heads SET last_seq = $2 WHERE chat_session_id = $1", UUID(session_id), events
    )
    await connection.execute("VACUUM ANALYZE events")


async def fill_naive(connection: Any, session: str, events: int) -> None:
    await connection.execute(
        """INSERT INTO naive_events (session, id, type, data)
           SELECT $1, n, 'text_delta', $2::text::jsonb FROM generate_series(1, $3::bigint) n""",
        session, delta(uuid4(), 1).data, events,
    )  # fmt: skip
    await connection.execute("VACUUM ANALYZE naive_events")


async def written_at(connection: Any, session_ids: list[str], *, naive: bool = False) -> dict[tuple[str, int], float]:
    """When PostgreSQL wrote each event: shortly before its commit, which is therefore part of every latency."""
    query = (
        "SELECT session, id, extract(epoch FROM created_at)::float8 FROM naive_events WHERE session = ANY ($1)"
        if naive
        else """SELECT chat_session_id::text, seq, extract(epoch FROM created_at)::float8
                FROM events WHERE chat_session_id = ANY ($1::text[]::uuid[])"""
    )
    return {(session, number): at for session, number, at in await connection.fetch(query, session_ids)}


async def claimed_run(connection: Any, user_id: UUID) -> tuple[UUID, UUID]:
    """A session with one running run under fence 1, put there directly."""
    session_id, run_id = uuid4(), uuid4()
    await connection.execute(
        """INSERT INTO chat_sessions (id, user_id, title, status, provider)
           VALUES ($1, $2, 'bench', 'running', 'simulated')""",
        session_id,
        user_id,
    )
    await connection.execute(
        "INSERT INTO session_heads (chat_session_id, fence, running_run_id) VALUES ($1, 1, $2)", session_id, run_id
    )
    await connection.execute(
        """INSERT INTO runs (chat_session_id, id, prompt_seq, provider, status)
           VALUES ($1, $2, 0, 'simulated', 'running')""",
        session_id,
        run_id,
    )
    return session_id, run_id


async def make_user(connection: Any) -> UUID:
    user_id = uuid4()
    await connection.execute(
        "INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '')", user_id, f"{user_id}@bench.local"
    )
    return user_id


def delta(run_id: UUID, number: int) -> NewEvent:
    text = f"word {number} of an answer that goes on "
    return NewEvent("text_delta", encode_delta(str(run_id), f"msg_{run_id.hex}", text))
