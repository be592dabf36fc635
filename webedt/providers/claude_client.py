"""Managed agent sessions of Anthropic, as few calls as the `claude` provider needs, through the official SDK.

One connection a run, made with that run's key. Remote events are plain JSON values: the SDK's objects would cost more
than they tell. Every fault becomes a `ProviderError`; `Unsure` says that a request may have been carried out.
Source of the protocol: the SDK's `resources/beta/sessions`, and platform.claude.com/docs/en/managed-agents.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, ClassVar, TypeVar

import aiohttp
import msgspec
import structlog

from webedt.config import Settings
from webedt.domain.secrets import Secret
from webedt.kernel import AService, BaseService
from webedt.providers import refusals
from webedt.providers.anthropic_sdk import UPSTREAM, AnthropicSDK
from webedt.providers.breaker import CircuitBreaker
from webedt.providers.claude_turn import gone
from webedt.providers.event_stream import EventStream, EventTooLarge
from webedt.providers.interface import ProviderError, RemoteStatus

PAGE = 200
PREVIEWS = ["agent.message"]
RUN = "webedt_run"
CALL_SECONDS = 30.0

# Shorter than a driver waits for a provider that it has told to stop.
LAST_ANSWER_SECONDS = 0.4

Event = dict[str, Any]
Permission = Callable[[], Awaitable[None]]
T = TypeVar("T")


async def _always() -> None:
    """Whoever writes alone may write."""


class Unsure(Exception):
    """No answer came: the request may or may not have been carried out. `error` is what a person is told of it."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


class ClaudeConnection:
    """Calls with one key. Those that read are repeated by the SDK; those that write are not, and may raise `Unsure`.

    `may_write` is awaited before each of the latter: see `RunRequest.still_ours`.
    """

    def __init__(
        self, sdk: AnthropicSDK, reader: Any, writer: Any, breaker: CircuitBreaker, may_write: Permission
    ) -> None:
        self._sdk = sdk
        self._sessions = reader.beta.sessions
        self._writing = writer.beta.sessions
        self._breaker = breaker
        self._may_write = may_write
        self._log = structlog.get_logger(component="ClaudeConnection")

    async def create(self, **fields: Any) -> str:
        """A new remote session; returns its id. `fields` as of `client.beta.sessions.create`. Raises `Unsure`."""
        await self._may_write()
        async with self._faults(writing=True):
            session = await _answered(self._writing.create(**fields))
            return str(session.id)

    async def find(self, agent_id: str, run_id: str) -> str | None:
        """The session that was made for a run, if any: newest first, so it is among the first."""
        async with self._faults():
            answer = await self._sessions.with_raw_response.list(agent_id=agent_id, limit=100)
            page = msgspec.json.decode(await answer.read())
        found = (session for session in page["data"] if (session.get("metadata") or {}).get(RUN) == run_id)
        return next((session["id"] for session in found), None)

    async def send(self, session_id: str, events: Sequence[Event]) -> None:
        """Raises `Unsure`."""
        await self._may_write()
        async with self._faults(writing=True):
            await _answered(self._writing.events.send(session_id, events=events))

    async def log(self, session_id: str, **filters: Any) -> AsyncGenerator[Event]:
        """The remote log, oldest first unless `order` says otherwise. `filters` as of `events.list`."""
        filters = {"order": "asc", "limit": PAGE, **{key: value for key, value in filters.items() if value is not None}}
        while True:
            async with self._faults():
                answer = await self._sessions.events.with_raw_response.list(session_id, **filters)
                page = msgspec.json.decode(await answer.read())
            for event in page["data"]:
                yield event
            if not page.get("next_page"):
                return
            filters["page"] = page["next_page"]

    async def count_prompts(self, session_id: str) -> int:
        """How many prompts the remote session was ever sent, the waiting ones included."""
        async with aclosing(self.log(session_id, types=["user.message"])) as events:
            return len([event async for event in events])

    @asynccontextmanager
    async def stream(self, session_id: str) -> AsyncIterator[AsyncGenerator[list[Event]]]:
        """Live events, with previews of messages: lists of what came together, until the upstream ends the stream.

        Entered, nothing that happens from now on is missed, as long as the stream goes on.
        """
        async with self._faults():
            opening = self._sessions.events.with_streaming_response.stream(session_id, event_deltas=PREVIEWS)
            async with opening as response, aclosing(self._read(response)) as events:
                yield events

    async def _read(self, response: Any) -> AsyncGenerator[list[Event]]:
        stream = EventStream()
        async with self._faults(reading=True):
            async for chunk in response.iter_bytes():
                came: list[Event] = [msgspec.json.decode(data) for data in stream.feed(chunk)]
                if events := [event for event in came if event.get("type") not in ("ping", "error")]:
                    yield events
                if len(events) < len(came) and any(event.get("type") == "error" for event in came):
                    raise refusals.disconnected(UPSTREAM)

    async def status(self, session_id: str) -> RemoteStatus:
        try:
            async with self._faults():
                answer = await self._sessions.with_raw_response.retrieve(session_id)
                session = msgspec.json.decode(await answer.read())
        except ProviderError as error:
            if error.code == gone().code:
                return "gone"
            raise
        if session.get("archived_at") is not None or session["status"] == "terminated":
            return "gone"
        return "idle" if session["status"] == "idle" else "running"

    async def is_resting(self, session_id: str) -> bool:
        """Whether it would take a prompt and begin with it at once, by its log: the status trails that a little."""
        kinds = ["session.status_running", "session.status_idle", "session.status_rescheduled"]
        async with aclosing(self.log(session_id, order="desc", limit=1, types=kinds)) as events:
            newest = await anext(events, None)
        if newest is None:
            return await self.status(session_id) == "idle"
        stopped = (newest.get("stop_reason") or {}).get("type")
        return bool(newest["type"] == "session.status_idle" and stopped != "requires_action")

    async def archive(self, session_id: str) -> None:
        try:
            async with self._faults():
                await self._sessions.archive(session_id)
        except ProviderError as error:
            if error.code != gone().code:
                raise

    @asynccontextmanager
    async def _faults(self, *, writing: bool = False, reading: bool = False) -> AsyncIterator[None]:
        """What goes wrong inside becomes a `ProviderError`, or `Unsure` if something may have been written.

        `reading`: an answer had begun.
        """
        try:
            yield
        except (ProviderError, Unsure):
            raise
        except Exception as error:
            failure = self._failure(error, begun=reading)
            if failure is None:
                raise
            self._log.warning("provider_failed", code=failure.code, error=type(error).__name__)
            if refusals.counts_as_failure(failure):
                self._breaker.failed()
            else:
                self._breaker.succeeded()
            # An overloaded upstream says so before it does anything.
            if writing and refusals.counts_as_failure(failure) and failure.code != "provider_overloaded":
                raise Unsure(failure) from error
            raise failure from error
        else:
            self._breaker.succeeded()

    def _failure(self, error: Exception, *, begun: bool) -> ProviderError | None:
        if isinstance(error, msgspec.DecodeError | EventTooLarge):
            return refusals.malformed(UPSTREAM)
        failure = self._sdk.provider_error(error, begun=begun)
        return gone() if failure is not None and failure.code == "provider_not_found" else failure


async def _answered(call: Awaitable[T]) -> T:
    """What was asked is not left in doubt when we are cancelled: a moment is given to the answer, if it comes at all.

    A request that was written is carried out though nobody waits any more; and who comes after us, at once when a run
    is handed over, counts what is there.
    """
    asked = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        await asyncio.wait({asked}, timeout=LAST_ANSWER_SECONDS)
        raise
    finally:
        asked.cancel()
        if not asked.done():
            await asyncio.wait({asked})  # its connection is closed before the client is


class AClaudeWebClient(AService):
    """The way to managed agent sessions."""

    order: ClassVar[int] = 50

    @property
    @abstractmethod
    def breaker(self) -> CircuitBreaker:
        """Told of everything that goes well or wrong on the way."""

    @abstractmethod
    def connect(
        self, api_key: Secret, may_write: Permission = _always
    ) -> AbstractAsyncContextManager[ClaudeConnection]:
        """A connection of its own with this key, closed at the end of the block."""


class ClaudeWebClient(BaseService, AClaudeWebClient):
    def __init__(self, settings: Settings, trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> None:
        self._settings = settings
        self._sdk = AnthropicSDK(
            base_url=settings.anthropic_base_url,
            max_retries=settings.provider_max_retries,
            resources=("anthropic.resources.beta.sessions.events",),
            trace_configs=trace_configs,
        )
        self._breaker = CircuitBreaker()

    async def initialize(self) -> None:
        if self._settings.claude_agent_id:
            await self._sdk.load()

    @property
    def breaker(self) -> CircuitBreaker:
        return self._breaker

    @asynccontextmanager
    async def connect(self, api_key: Secret, may_write: Permission = _always) -> AsyncIterator[ClaudeConnection]:
        await self._sdk.load()
        reader = self._sdk.client(api_key, read_seconds=self._settings.provider_silence_seconds * 2)
        # What writes is not repeated blindly: first one looks whether it was carried out.
        writer = self._sdk.client(api_key, read_seconds=CALL_SECONDS, max_retries=0)
        async with reader, writer:
            yield ClaudeConnection(self._sdk, reader, writer, self._breaker, may_write)
