"""What most people write, as a process of its own: `python -m tests.bench.naive PORT DATABASE_URL`.

One transaction an event; a task a reader, which asks the database whenever something may have come, and encodes what it
gets for itself. No logins, no leases, no second replica: it does less than what it is compared with.
"""

import asyncio
import json
import sys
import time
from typing import Any
from uuid import uuid4

import asyncpg
from aiohttp import web

TABLE = """CREATE TABLE IF NOT EXISTS naive_events (
    session text NOT NULL, id bigint NOT NULL, type text NOT NULL, data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (session, id))"""


class Naive:
    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._changed: dict[str, asyncio.Condition] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, session: str, kind: str, data: dict[str, Any]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            newest = await connection.fetchval("SELECT max(id) FROM naive_events WHERE session = $1", session)
            await connection.execute(
                "INSERT INTO naive_events (session, id, type, data) VALUES ($1, $2, $3, $4)",
                session, (newest or 0) + 1, kind, json.dumps(data),
            )  # fmt: skip
        changed = self._condition(session)
        async with changed:
            changed.notify_all()

    def _condition(self, session: str) -> asyncio.Condition:
        return self._changed.setdefault(session, asyncio.Condition())

    async def produce(self, session: str, tokens: int, rate: float) -> None:
        began = time.monotonic()
        for number in range(tokens):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await self.append(session, "text_delta", {"messageId": session, "text": f"word {number} " + "x" * 50})
        await self.append(session, "completed", {"reason": "end_turn"})

    async def run(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        session = body.get("session") or str(uuid4())
        task = asyncio.create_task(self.produce(session, body["tokens"], body["rate"]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if body.get("session"):
            return web.json_response({}, status=202)
        return await self._stream(request, session, 0, to_end=True)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        cursor = int(request.headers.get("Last-Event-ID", "0"))
        return await self._stream(request, request.match_info["session"], cursor, to_end=False)

    async def _stream(self, request: web.Request, session: str, cursor: int, *, to_end: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Session-ID": session})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        query = "SELECT id, type, data FROM naive_events WHERE session = $1 AND id > $2 ORDER BY id"
        while True:
            rows = await self._pool.fetch(query, session, cursor)
            for row in rows:
                data = json.dumps(json.loads(row["data"]))
                await response.write(f"id: {row['id']}\nevent: {row['type']}\ndata: {data}\n\n".encode())
                cursor = row["id"]
                if to_end and row["type"] == "completed":
                    return response
            if not rows:
                changed = self._condition(session)
                async with changed:
                    try:
                        # A signal between the query and here would be missed; the next look is never far.
                        await asyncio.wait_for(changed.wait(), 0.5)
                    except TimeoutError:
                        continue


async def serve(port: int, database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=2, max_size=20) as pool:
        await pool.execute(TABLE)
        naive = Naive(pool)
        application = web.Application()
        application.router.add_post("/run", naive.run)
        application.router.add_get("/stream/{session}", naive.stream)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
