"""One session's log in memory, a database that answers from it as slowly and as badly as it is told, and clients that
read it through the real tails and streams. Runs in virtual time: nothing here touches a socket or a server."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple
from uuid import UUID

from tests.support.log_harness import EVENTS, Logged, RecordingBus
from tests.support.stream_client import StreamClient
from webedt.bus.interface import ABus, Commit, Topic
from webedt.database.interface import ADatabase, DatabaseState, PoolStats
from webedt.domain.errors import Unavailable
from webedt.domain.events import DELTAS, TERMINAL, NewEvent
from webedt.domain.frames import log_frame
from webedt.http.log_stream import Until
from webedt.kernel import ServiceProvider
from webedt.log.producer import Entry, RunLog
from webedt.log.tails import ATails, Tails
from webedt.telemetry.metrics import Metrics

SESSION = UUID(int=1)


class ModelEvent(NamedTuple):
    run_id: UUID
    type: str
    data: str


class ModelLog:
    """What the database holds: events, what runs, what waits. Every change is one commit."""

    def __init__(self) -> None:
        self.events: list[ModelEvent] = []
        self.running: UUID | None = None
        self.queue: list[UUID] = []
        self.idle_at = {0}
        self.prompts: dict[UUID, int] = {}
        self.ends: dict[UUID, int] = {}

    @property
    def last_seq(self) -> int:
        return len(self.events)

    @property
    def idle(self) -> bool:
        return self.running is None and not self.queue

    def prompt(self) -> None:
        run_id = UUID(int=1000 + len(self.prompts))
        self.queue.append(run_id)
        self._store(ModelEvent(run_id, "user_message", '{"prompt":1}'))
        self.prompts[run_id] = self.last_seq

    def claim(self) -> bool:
        if self.running is not None or not self.queue:
            return False
        self.running = self.queue.pop(0)
        self._store(ModelEvent(self.running, "run_started", "{}"))
        return True

    def append(self, count: int, *, ends: bool) -> tuple[int, Entry]:
        """A commit of the running run: deltas, with a `message` among them, and the end of the run if it `ends`."""
        assert self.running is not None
        run_id = self.running
        first = self.last_seq + 1
        new = [
            NewEvent("message" if (first + k) % 5 == 0 else "text_delta", f'{{"n":{first + k}}}') for k in range(count)
        ]
        if ends:
            new.append(NewEvent("completed", '{"end":1}'))
            self.running = None
            self.ends[run_id] = first + len(new) - 1
        self._store(*(ModelEvent(run_id, event.type, event.data) for event in new))
        producer = RunLog(SESSION, run_id, 1, lambda _log: None)
        return first, Entry(producer, 1, new, None, None, "completed" if ends else None)

    def _store(self, *events: ModelEvent) -> None:
        self.events += events
        if self.idle:
            self.idle_at.add(self.last_seq)

    def visible(self, after: int, upto: int, *, deltas: bool) -> list[Logged]:
        return [
            Logged(seq, event.type, event.data)
            for seq, event in enumerate(self.events[after:upto], after + 1)
            if deltas or event.type not in DELTAS
        ]


class ModelDatabase(ADatabase):
    """Answers the statements of the log. `latencies` are (before, after) the moment that the answer speaks of, ms."""

    def __init__(self, log: ModelLog, latencies: Sequence[tuple[int, int]]) -> None:
        self._log = log
        self._latencies = latencies
        self.asked = 0
        self.failing = 0

    async def _answer(self, read: Callable[[], Any]) -> Any:
        before, after = self._latencies[self.asked % len(self._latencies)]
        self.asked += 1
        await asyncio.sleep(before / 1000)
        if self.failing:
            self.failing -= 1
            raise Unavailable("away")
        row = read()
        await asyncio.sleep(after / 1000)
        return row

    async def fetchrow(self, query: str, *args: Any) -> Any:
        if query == EVENTS["read_head"]:
            return await self._answer(self._head)
        if query == EVENTS["read_tail"]:
            return await self._answer(lambda: self._tail(*args))
        assert query == EVENTS["read_page"]
        return await self._answer(lambda: self._page(*args))

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        assert query == EVENTS["compare_positions"]
        rows: Sequence[Any] = await self._answer(lambda: [{"chat_session_id": SESSION, **self._head()}])
        return rows

    def _head(self) -> dict[str, Any]:
        log = self._log
        return {"last_seq": log.last_seq, "idle": log.idle, "status": "pending", "deleted": False}

    def _page(self, _session: UUID, after: int, upto: int, rows: int, size: int, deltas: bool) -> dict[str, Any]:
        page: list[Logged] = []
        used = 0
        for event in self._log.visible(after, upto, deltas=deltas)[:rows]:
            if used >= size:
                break
            used += len(event.data)
            page.append(event)
        frames = b"".join(log_frame(*event) for event in page)
        return {"frames": frames or None, "last_seq": page[-1].id if page else None, "rows": len(page)}

    def _tail(self, session: UUID, after: int, rows: int, size: int, deltas: bool) -> dict[str, Any]:
        page = self._page(session, after, self._log.last_seq, rows, size, deltas)
        ended = [
            (event.run_id, seq)
            for seq, event in enumerate(self._log.events[after : page["last_seq"] or after], after + 1)
            if event.type in TERMINAL
        ]
        return {
            **self._head(),
            "frames": page["frames"],
            "page_last_seq": page["last_seq"],
            "rows": page["rows"],
            "ended_runs": [run_id for run_id, _ in ended] or None,
            "ended_seqs": [seq for _, seq in ended] or None,
        }

    # Nothing of the log asks for these.

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        raise NotImplementedError

    async def commit_once(self, work: Any, look: Any) -> Any:
        raise NotImplementedError

    async def with_transaction(self, work: Any, *, attempts: int = 5) -> Any:
        raise NotImplementedError

    async def connect(self, purpose: str, *, command_timeout_seconds: float, **server_settings: str) -> Any:
        raise NotImplementedError

    @property
    def stats(self) -> PoolStats:
        raise NotImplementedError

    @property
    def state(self) -> DatabaseState:
        raise NotImplementedError

    async def wait_until_ready(self) -> None:
        raise NotImplementedError


class Client(StreamClient):
    """A client that knows what the log holds."""

    def __init__(self, log: ModelLog, until: Until, *, deltas: bool, cursor: int, run_id: UUID | None) -> None:
        super().__init__(SESSION, until, deltas=deltas, cursor=cursor, run_id=run_id, end_of=self._ask_for_end)
        self._log = log

    async def _ask_for_end(self, run_id: UUID) -> int | None:
        await asyncio.sleep(0.002)
        return self._log.ends.get(run_id)

    def check_up_to_date(self) -> None:
        """A client that is connected has all that there is for it by now."""
        if self.connected:
            log = self._log
            upto = log.last_seq if self.run_id is None else log.ends.get(self.run_id, log.last_seq)
            assert self.seen == log.visible(self.began_behind, upto, deltas=self.deltas)

    def check(self) -> None:
        """Whatever happened: what it saw is what the log holds from where it began, in order, byte for byte."""
        log = self._log
        assert self.seen == log.visible(self.began_behind, self.cursor, deltas=self.deltas)
        if not self.ended_by_server:
            return
        if self.run_id is not None:
            assert self.cursor == log.ends.get(self.run_id)
        else:
            assert self.until is Until.IDLE
            # Idle at the last event it saw, or at one behind it with nothing between that it wanted.
            assert any(
                seq >= self.cursor and not log.visible(self.cursor, seq, deltas=self.deltas) for seq in log.idle_at
            )


def commit_of(first_seq: int, entry: Entry) -> Commit:
    return Commit(SESSION, entry.producer.run_id, first_seq, entry.events, entry.outcome is not None)


class World:
    """The log, one replica's tails on it, and their clients."""

    def __init__(self, latencies: Sequence[tuple[int, int]]) -> None:
        self.log = ModelLog()
        self.database = ModelDatabase(self.log, latencies)
        self.bus = RecordingBus()
        self.tails = Tails(Metrics("test"), replay_concurrency=3)
        self.clients: list[Client] = []
        self.crashes: list[Any] = []
        self._provider = ServiceProvider()
        self._provider.register(ADatabase, self.database)
        self._provider.register(ABus, self.bus)
        self._provider.register(ATails, self.tails)

    async def start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.crashes.append(context))
        await self._provider.initialize()

    async def stop(self) -> None:
        for client in self.clients:
            await client.disconnect()
        await self._provider.reset()

    def subscribe(self, until: Until, *, deltas: bool, cursor: int, run_id: UUID | None = None) -> Client:
        client = Client(self.log, until, deltas=deltas, cursor=cursor, run_id=run_id)
        self.clients.append(client)
        client.connect(self.tails)
        return client

    def notify(self, delays_ms: Sequence[int]) -> None:
        """A signal for each delay; none at all is a lost one."""
        loop = asyncio.get_running_loop()
        for delay in delays_ms:
            loop.call_later(delay / 1000, self.bus.hear, Topic.EVENTS, [SESSION])

    def carry(self, stored: tuple[int, Entry], copies_ms: Sequence[int], signals_ms: Sequence[int]) -> None:
        """Another replica's commit comes whole, once for each of `copies_ms`; and it is told how far the log goes.

        That it was stored is told much later where somebody waited: what comes first is anybody's guess.
        """
        commit, loop = commit_of(*stored), asyncio.get_running_loop()
        for delay in copies_ms:
            loop.call_later(delay / 1000, self.tails.carried, commit)
        for delay in signals_ms:
            loop.call_later(delay / 1000, self.tails.grown, SESSION, commit.last_seq)

    def tell_commit(self, stored: tuple[int, Entry], delay_ms: int) -> None:
        """The writer of this replica has its answer after `delay_ms`."""
        first, entry = stored
        loop = asyncio.get_running_loop()
        settled = entry.outcome if self.log.idle else None
        commit = commit_of(first, entry)
        loop.call_later(delay_ms / 1000, lambda: self.tails.committed(commit, settled=settled, at=loop.time()))
