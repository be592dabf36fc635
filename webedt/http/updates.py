"""The user's list of sessions as a stream. Few events and a queue of its own: aiohttp-sse serves it as it is."""

import asyncio
from uuid import UUID

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from webedt.domain.frames import draining_frames, retry_frame
from webedt.domain.sessions import ChatSession
from webedt.domain.users import Principal
from webedt.http.event_connection import GOODBYE_SECONDS, STALL_SECONDS, Stalled
from webedt.http.problems import SSE_HEADERS
from webedt.http.stream_registry import KEEP_ALIVE_SECONDS, AStreams
from webedt.services.lists import ALists, Change, Subscription

EVENTS = ("snapshot", "created", "updated", "status_changed", "deleted", "draining")


class Snapshot(msgspec.Struct):
    sessions: list[ChatSession]


class ListStream:
    """One list stream: an `OpenStream` of the registry. Keep-alives are the library's."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._ended = asyncio.Event()
        self._farewell = b""
        self._transport: asyncio.Transport | None = None
        self._cut: asyncio.TimerHandle | None = None

    def keep_alive(self) -> None:
        pass

    def finish(self, *, draining: bool) -> None:
        if not self._ended.is_set():
            self._farewell = draining_frames() if draining else b""
            self._ended.set()
            # It may be waiting for a socket that takes nothing.
            self._cut = asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self.cut)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def send(self, request: web.Request) -> web.StreamResponse:
        response = EventSourceResponse(sep="\n", ping_interval=KEEP_ALIVE_SECONDS, send_timeout=STALL_SECONDS)
        response.headers.update(SSE_HEADERS)
        await response.prepare(request)
        self._transport = request.transport
        try:
            async with response:
                await response.write(retry_frame())
                await _send(response, "snapshot", Snapshot(self._subscription.snapshot))
                while (change := await self._next()) is not None:
                    await _send(response, change.kind, {"session": change.session})
                if self._farewell:
                    await response.write(self._farewell)
                await response.write_eof()
        except TimeoutError:
            raise Stalled from None  # the library has cut the connection
        finally:
            if self._cut is not None:
                self._cut.cancel()
        return response

    async def _next(self) -> Change | None:
        """The next change, or None when the stream ends: on shutdown, on logout, or because it fell too far behind."""
        if self._subscription.overflowed:
            return None
        change = asyncio.create_task(self._subscription.changes.get(), name="list-change")
        ended = asyncio.create_task(self._ended.wait(), name="list-ended")
        try:
            await asyncio.wait({change, ended}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._ended.is_set() else change.result()
        finally:
            change.cancel()
            ended.cancel()


async def stream_updates(streams: AStreams, lists: ALists, request: web.Request, who: Principal) -> web.StreamResponse:
    user_id: UUID = who.user.id
    with streams.admitted(who):
        subscription = await lists.subscribe(user_id)
        try:
            stream = ListStream(subscription)
            with streams.opened(stream, who, "updates"):
                return await stream.send(request)
        finally:
            lists.unsubscribe(user_id, subscription)


async def _send(response: EventSourceResponse, event: str, data: object) -> None:
    await response.send(msgspec.json.encode(data).decode(), event=event)
