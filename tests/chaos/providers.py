"""A provider that cannot continue: its run is asked again elsewhere, and the old question is let go of (G3)."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

from aiohttp import web

from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, judge
from tests.support.fleet import eventually

DELTAS = 60
DELTA_SECONDS = 0.02
QUIET_AFTER = 10


class FakeMessages:
    """The Messages API, streaming the same answer to everybody; the first call falls silent in the middle of it.

    `calls` were made; `silent` of them are open and say nothing.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.silent = 0
        self.url = ""
        self._ended = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.calls += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        first = self.calls == 1
        self.silent += first
        try:
            await self._say(response, "message_start", message=_EMPTY)
            await self._say(response, "content_block_start", index=0, content_block={"type": "text", "text": ""})
            for number in range(DELTAS):
                if first and number == QUIET_AFTER:
                    await self._ended.wait()
                await asyncio.sleep(DELTA_SECONDS)
                delta = {"type": "text_delta", "text": f"word{number} "}
                await self._say(response, "content_block_delta", index=0, delta=delta)
            await self._say(response, "content_block_stop", index=0)
            await self._say(
                response, "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": DELTAS}
            )
            await self._say(response, "message_stop")
        finally:
            self.silent -= first
        return response

    async def _say(self, response: web.StreamResponse, kind: str, **fields: object) -> None:
        await response.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator["FakeMessages"]:
        application = web.Application()
        application.router.add_post("/v1/messages", self.answer)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self._ended.set()
            await runner.cleanup()


_EMPTY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "fake",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 0},
}


async def restarts(lab: Lab) -> Report:
    """The driver of a run that cannot be continued is killed, or frozen while its provider is silent."""
    report = Report("restarts", "driver of an `anthropic` run killed or frozen beyond its lease of 2 s, in turns")
    async with FakeMessages().served() as fake:
        settings = {"ANTHROPIC_API_KEY": "a-key", "ANTHROPIC_BASE_URL": fake.url}
        async with lab.fleet(2, lease_seconds=2.0, **settings) as (fleet, caller):
            load = Load(caller)
            for number in range(lab.often(1, 10)):
                fake.calls, old = 0, fleet[0]
                run = await caller.start(old, "Say sixty words.", provider="anthropic")
                (reader,) = load.watch(run, [[fleet[1]]])
                await reader.has_seen(2 + QUIET_AFTER)
                killed = number % 2
                (old.kill if killed else old.freeze)()
                failed = time.monotonic()
                await reader.until(lambda one: one.first_mark("run_restarted") is not None, "the run is asked again")
                report.recoveries.append(time.monotonic() - failed)
                report.times += 1
                if killed:
                    old.start()
                else:
                    old.thaw()
                    # Its provider says nothing, so that it does not learn from an append that the run is lost.
                    await eventually(
                        lambda: fake.silent == 0, "the replica that lost the run lets go of its provider", 15
                    )
                await old.ready()
                await reader.until(lambda one: bool(one.endings), "the run ends")
                report.require(reader.outcomes[run.run_id] == "completed", f"ended as {reader.outcomes}")
                report.require(fake.calls == 2, f"the provider was asked {fake.calls} times")
            await load.finish(report)
            await judge(report, load, lab.database_url)
    return report
