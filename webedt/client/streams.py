"""Following a session or a single run over as many connections as it takes.

Owns the cursor: every new connection asks for what comes after it, and a ledger checks that nothing comes twice and
nothing is missing. What is missing is read again from the last good event.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from webedt.client.errors import (
    ConnectionFailed,
    MissingEvents,
    ProtocolError,
    RateLimited,
    Unavailable,
    WebEDTError,
)
from webedt.client.events import Event, decode_event
from webedt.client.ledger import Ledger
from webedt.client.retrying import Backoff, Patience, Retry
from webedt.client.sse import Frame, FrameTooLarge, SSEParser
from webedt.client.transport import Transport

LONGEST_RETRY_SECONDS = 60.0
MOST_REREADS = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """What starts a run: the body of the request, and the key under which repeating it gives the same run."""

    body: Mapping[str, Any]
    idempotency_key: str


@dataclass(slots=True)
class _Connection:
    """What one connection has brought so far."""

    useful: bool = False
    draining: bool = False
    last_ends_run: bool = False

    @property
    def ended_with_a_run(self) -> bool:
        return self.last_ends_run and not self.draining


class EventStream:
    """An async iterable of events.

    `session_id` and `run_id` are known once the server has accepted the prompt; with a `run_id` only that run's events
    are given and the stream ends with its terminal event, without one it ends when nothing runs or waits any more.
    Iterating again after an interruption (a cancelled wait, say) goes on after `cursor`, the last id that was given.

    `on_retry`, if set, is called before each wait; `on_gap`, when events are missing and will be read again.
    `container` is the replica that answers.

    Besides log events it gives `caught_up` and `reset` (the server's log is another one: forget everything, ids start
    over). Raises Unauthenticated, NotFound and the like at once; ConnectionFailed, Unavailable and RateLimited only
    once patience is gone; ProtocolError when the server breaks the contract, as by MissingEvents that stay missing.
    """

    def __init__(
        self,
        transport: Transport,
        patience: Patience,
        *,
        prompt: Prompt | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        after: int = 0,
    ) -> None:
        self.session_id = session_id
        self.run_id = run_id
        self.cursor = after
        self.container: str | None = None
        self.on_retry: Callable[[Retry], None] | None = None
        self.on_gap: Callable[[MissingEvents], None] | None = None
        self._transport = transport
        self._patience = patience
        self._prompt = prompt
        self._log_was_read = False
        self._finished = False
        self._retry_seconds: float | None = None
        # Where a prompt to an old session stands in its log, its first event says.
        self._is_placed = prompt is None or "websiteSessionId" not in prompt.body
        self._ledger = Ledger(after)
        self._rereads = 0

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        backoff = Backoff(self._patience)
        while not self._finished:
            connection = _Connection()
            failure: WebEDTError | None = None
            self._ledger.restart(self.cursor if self._is_placed else None)
            try:
                async with self._connect() as response:
                    if response.status == HTTPStatus.NO_CONTENT:
                        self._accept_silence()
                        return
                    self._note_ids(response)
                    backoff.accepted()
                    if response.status == HTTPStatus.ACCEPTED:
                        raise ConnectionFailed(self._transport.base_url, "the stream cannot begin yet")
                    async for event in self._read(response):
                        for admitted in self._admit(event, connection, backoff):
                            yield admitted
                            if self._is_last(admitted):
                                return
            except MissingEvents as error:
                failure = self._read_again(error)
            except (ConnectionFailed, RateLimited, Unavailable) as error:
                failure = error
            if failure is None and connection.ended_with_a_run:
                continue  # Most likely that was all; the answer to one more question, asked at once, is 204.
            if failure is None and not connection.useful:
                failure = ConnectionFailed(self._transport.base_url, "the server ends every stream at once")
            await self._wait(backoff, failure)

    def _connect(self) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # Until an event came, repeating the prompt is the safe way back: the key makes it the same run. Afterwards the
        # cursor is, and it costs the server less.
        if self._prompt is not None and not self._log_was_read:
            key = {"Idempotency-Key": self._prompt.idempotency_key}
            return self._transport.open_stream("POST", "/api/execute-remote", body=self._prompt.body, headers=key)
        cursor = {"Last-Event-ID": str(self.cursor)} if self.cursor else {}
        path = f"/api/resume/{quote(self.session_id or '', safe='')}"
        return self._transport.open_stream("GET", path, headers=cursor)

    def _note_ids(self, response: aiohttp.ClientResponse) -> None:
        self.session_id = response.headers.get("X-Session-ID") or self.session_id
        self.container = response.headers.get("X-Container-ID") or self.container
        if self._prompt is not None:
            self.run_id = self.run_id or response.headers.get("X-Run-ID")
        if not self.session_id or (self._prompt is not None and not self.run_id):
            raise ProtocolError(f"{self._transport.base_url} accepted the prompt but did not name its session and run")

    async def _read(self, response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
        parser = SSEParser()
        async for chunk in response.content.iter_any():
            try:
                frames = parser.feed(chunk)
            except FrameTooLarge as error:
                raise ProtocolError(str(error)) from error
            for frame in frames:
                self._note_retry(frame)
                event = decode_event(frame)
                if event is not None:
                    yield event

    def _note_retry(self, frame: Frame) -> None:
        if frame.retry_ms is not None:
            self._retry_seconds = min(frame.retry_ms / 1000, LONGEST_RETRY_SECONDS)

    def _admit(self, event: Event, connection: _Connection, backoff: Backoff) -> Iterator[Event]:
        """What the reader gets because of `event`; the cursor moves with each of them. Raises MissingEvents."""
        if event.id is None:
            connection.useful = True
            if event.type == "draining":
                connection.draining = True
                return
            if event.type == "reset":
                self.cursor = 0
                self._log_was_read = self._is_placed = True
                self._ledger.restart(0)
            last_id = event.data.get("lastEventId")
            if event.type == "caught_up" and isinstance(last_id, int):
                self._ledger.settle(last_id)
            backoff.alive()
            yield event
            return
        for good in self._ledger.take(event):
            self.cursor = good.id or self.cursor
            self._log_was_read = self._is_placed = True
            self._rereads = 0
            connection.useful = True
            connection.last_ends_run = good.ends_run
            backoff.progress()
            self._finished = self._is_last(good)
            if self.run_id is None or good.run_id == self.run_id:
                yield good

    def _is_last(self, event: Event) -> bool:
        return event.ends_run and self.run_id is not None and event.run_id == self.run_id

    def _read_again(self, error: MissingEvents) -> MissingEvents:
        self._rereads += 1
        if self.on_gap is not None:
            self.on_gap(error)
        if self._rereads > MOST_REREADS:
            raise error
        return error

    def _accept_silence(self) -> None:
        if self.run_id is not None:
            raise ProtocolError(f"session {self.session_id} is idle, yet nothing says how run {self.run_id} ended")
        self._finished = True

    async def _wait(self, backoff: Backoff, failure: WebEDTError | None) -> None:
        asked = failure.retry_after_seconds if isinstance(failure, (RateLimited, Unavailable)) else None
        retry = backoff.next_retry(failure, asked if asked is not None else self._retry_seconds)
        if self.on_retry is not None:
            self.on_retry(retry)
        await asyncio.sleep(retry.delay_seconds)
