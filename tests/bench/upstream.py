"""Upstreams of one's own, as a process, so that their CPU is nobody else's: `python -m tests.bench.upstream PORT`.

Prompts carry the directive of the simulated provider, `[[tokens=500 rate=100]]`: number of deltas, deltas a second
(0: as fast as possible). A provider's protocol is a function in `PROTOCOLS` that makes the frames of an answer.
"""

import asyncio
import json
import sys
from collections.abc import Callable

from aiohttp import web

from tests.support.anthropic_fake import end, start, text
from webedt.providers.simulated import Directive, parse_directive

TOGETHER = 32


def anthropic(deltas: int) -> list[bytes]:
    events = [start(), *text(0, *(f"word {number} of an answer " for number in range(deltas))), *end()]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


PROTOCOLS: dict[str, Callable[[int], list[bytes]]] = {"/v1/messages": anthropic}


async def answer(request: web.Request) -> web.StreamResponse:
    directive = parse_directive(await request.text())
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await _write(response, PROTOCOLS[request.path](directive.tokens), directive)
    return response


async def _write(response: web.StreamResponse, frames: list[bytes], directive: Directive) -> None:
    if not directive.rate:
        for at in range(0, len(frames), TOGETHER):
            await response.write(b"".join(frames[at : at + TOGETHER]))
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    for number, frame in enumerate(frames):
        await asyncio.sleep(began + number / directive.rate - clock())
        await response.write(frame)


async def serve(port: int) -> None:
    application = web.Application()
    for path in PROTOCOLS:
        application.router.add_post(path, answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
