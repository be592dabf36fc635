"""What the streams are held against, as a process of its own: `python -m tests.bench.floor KIND PORT`.

`writes`: nothing but one `transport.write` of a prepared chunk a delivery, begun by SIGUSR1. `aiohttp`: a bare handler
that holds a stream open.
"""

import asyncio
import signal
import sys

from aiohttp import web

EVENTS, RATE = 60, 20


async def writes(port: int) -> None:
    transports: list[asyncio.Transport] = []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    loop = asyncio.get_running_loop()
    go = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, go.set)
    await loop.create_server(Connection, "127.0.0.1", port, backlog=1024)
    await go.wait()
    for number in range(1, EVENTS + 1):
        payload = b"id: %d\nevent: text_delta\ndata: %s\n\n" % (number, b"x" * 180)
        chunk = b"%x\r\n%s\r\n" % (len(payload), payload)
        for transport in transports:
            if not transport.is_closing():
                transport.write(chunk)
        await asyncio.sleep(1 / RATE)
    await asyncio.Event().wait()


async def bare_aiohttp(port: int) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        await asyncio.Event().wait()
        return response

    application = web.Application()
    application.router.add_get("/", stream)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, number = sys.argv[1], int(sys.argv[2])
    asyncio.run(writes(number) if kind == "writes" else bare_aiohttp(number))
