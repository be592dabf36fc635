"""What the streams are held against, as a process of its own: `python -m tests.bench.floor KIND PORT`.

`writes`: nothing but one `transport.write` of a prepared chunk a delivery, begun by SIGUSR1. `aiohttp`: a bare handler
that holds a stream open. `answers`: every request is answered with `ANSWERED` prepared events at once.
"""

import asyncio
import signal
import sys

from aiohttp import web

EVENTS, RATE = 60, 20
ANSWERED = 100
OPENING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nretry: 1000\n\n\r\n"


def frame(number: int) -> bytes:
    return b"id: %d\nevent: text_delta\ndata: %s\n\n" % (number, b"x" * 115)  # about 150 bytes


def chunked(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


async def writes(port: int) -> None:
    transports: list[asyncio.Transport] = []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(OPENING)

    loop = asyncio.get_running_loop()
    go = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, go.set)
    await loop.create_server(Connection, "127.0.0.1", port, backlog=1024)
    await go.wait()
    for number in range(1, EVENTS + 1):
        chunk = chunked(frame(number))
        for transport in transports:
            if not transport.is_closing():
                transport.write(chunk)
        await asyncio.sleep(1 / RATE)
    await asyncio.Event().wait()


async def answers(port: int) -> None:
    answer = OPENING + chunked(b"".join(frame(number) for number in range(1, ANSWERED + 1)))

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer)

    await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
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
    asyncio.run({"writes": writes, "answers": answers, "aiohttp": bare_aiohttp}[kind](number))
