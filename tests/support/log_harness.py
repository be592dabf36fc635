"""The event log under a test's control: its statements on connections of the test's own (`LogDatabase`), and one
replica's writer and tails without anything that drives runs (`LogReplica`)."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from tests.support.pooling import settings_to
from tests.support.postgres import connect
from webedt.bus.interface import ABus, Commit, Follower, Handler, Topic
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.database.sql import load_queries
from webedt.domain.events import NewEvent, encode_data, encode_delta
from webedt.domain.runs import Outcome
from webedt.fleet.heartbeat import AHeartbeat, BeatListener
from webedt.kernel import ATransactions, ServiceProvider
from webedt.log.chunks import Chunk, TailKey
from webedt.log.interface import AEventWriter
from webedt.log.producer import RunLog
from webedt.log.tail import Tail
from webedt.log.tails import ATails, Tails
from webedt.log.writer import EventWriter
from webedt.telemetry.metrics import Metrics

EVENTS = load_queries("events")
RUNS = load_queries("runs")
USERS = load_queries("users")
INSTANCES = load_queries("instances")

WRITER_NAME = "webedt-writer"


class Claimed(NamedTuple):
    session_id: UUID
    run_id: UUID
    fence: int


class Logged(NamedTuple):
    """One event as a reader has it; `data` is the text, byte for byte."""

    id: int
    type: str
    data: str


class EntryOf(NamedTuple):
    """One entry of a batch for `append_batch`."""

    claimed: Claimed
    first_ordinal: int
    events: Sequence[NewEvent]
    checkpoint: str | None = None
    provider_state: str | None = None
    outcome: Outcome | None = None


def delta(claimed: Claimed, text: str, message_id: str = "m1") -> NewEvent:
    return NewEvent("text_delta", encode_delta(str(claimed.run_id), message_id, text))


def deltas(claimed: Claimed, *texts: str) -> list[NewEvent]:
    return [delta(claimed, text) for text in texts]


def ending(claimed: Claimed, outcome: Outcome = "completed") -> NewEvent:
    return NewEvent(outcome, encode_data({"runId": str(claimed.run_id)}))


def text_of(event: Logged) -> str:
    text: str = json.loads(event.data)["text"]
    return text


def texts(events: Iterable[Logged]) -> list[str]:
    return [text_of(event) for event in events if event.type == "text_delta"]


def parse_frames(payload: bytes) -> list[Logged]:
    """The events of the log in an SSE body; frames without an id, comments and `retry:` are no events of the log."""
    events = []
    for frame in payload.split(b"\n\n"):
        match = re.fullmatch(rb"id: (\d+)\nevent: (\w+)\ndata: ([^\n]*)", frame)
        if match is not None:
            events.append(Logged(int(match[1]), match[2].decode(), match[3].decode()))
        else:
            assert b"id:" not in frame.split(b"data:")[0], frame
    return events


def parse_items(body: bytes | None) -> list[Logged]:
    """The elements of a JSON page; `data` as the text that stands in it."""
    raw = msgspec.json.decode(b"[%s]" % (body or b""), type=list[dict[str, msgspec.Raw]])
    return [
        Logged(int(bytes(item["id"])), json.loads(bytes(item["type"])), bytes(item["data"]).decode()) for item in raw
    ]


class LogDatabase:
    """The statements of the log, each as the product sends it, on connections that belong to the test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections: list[Any] = []
        self.connection: Any = None
        self.user_id = uuid4()

    async def __aenter__(self) -> "LogDatabase":
        self.connection = await self.connect()
        await self.connection.execute(USERS["insert_user"], self.user_id, f"{self.user_id}@example.com", None, "-")
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.terminate()

    async def connect(self, **server_settings: str) -> Any:
        connection = await connect(self._url, server_settings=server_settings or None)
        self._connections.append(connection)
        return connection

    # Writing ---------------------------------------------------------------------------------------------------------

    async def new_session(self, session_id: UUID | None = None) -> UUID:
        session_id = session_id or uuid4()
        await self.connection.execute(
            RUNS["insert_session"], session_id, self.user_id, "A title", "simulated", "simulated-1", None, None
        )
        return session_id

    async def accept(self, session_id: UUID, connection: Any = None, text: str = "Hello") -> UUID:
        """A prompt, as a request accepts it; returns its run."""
        connection = connection or self.connection
        run_id = uuid4()
        async with connection.transaction():
            await connection.fetchrow(RUNS["lock_head"], session_id)
            await self.insert_prompt(connection, session_id, run_id, text)
        return run_id

    async def insert_prompt(self, connection: Any, session_id: UUID, run_id: UUID, text: str = "Hello") -> Any:
        data = encode_data({"runId": str(run_id), "content": [{"type": "text", "text": text}]})
        arguments = (session_id, run_id, data, "simulated", "simulated-1", None)
        return await connection.fetchrow(RUNS["insert_prompt"], *arguments)

    async def claim(self, session_id: UUID, owner: UUID | None = None) -> Claimed:
        """Claim the next run of the queue."""
        async with self.connection.transaction():
            assert await self.connection.fetchrow(RUNS["try_lock_head"], session_id) is not None
            row = await self.connection.fetchrow(RUNS["read_next_run"], session_id)
            return await self._start(session_id, row["id"], owner, "run_started", from_queue=1)

    async def take_over(self, claimed: Claimed, owner: UUID | None = None) -> Claimed:
        """Give a running run to another owner, whatever its present one says."""
        async with self.connection.transaction():
            await self.connection.fetchrow(RUNS["lock_head"], claimed.session_id)
            return await self._start(claimed.session_id, claimed.run_id, owner, "run_recovered", from_queue=0)

    async def _start(
        self, session_id: UUID, run_id: UUID, owner: UUID | None, event: str, *, from_queue: int
    ) -> Claimed:
        data = encode_data({"runId": str(run_id)})
        started = await self.connection.fetchrow(
            RUNS["start_attempt"], session_id, run_id, owner or uuid4(), event, data, from_queue
        )
        return Claimed(session_id, run_id, started["fence"])

    async def new_claim(self, session_id: UUID | None = None) -> Claimed:
        """A session with one running run: its log holds `user_message` (1) and `run_started` (2)."""
        session_id = await self.new_session(session_id)
        await self.accept(session_id)
        return await self.claim(session_id)

    async def append(self, *entries: EntryOf, connection: Any = None) -> list[Any]:
        """`append_batch`; its rows in the order of the entries."""
        rows: list[Any] = await (connection or self.connection).fetch(EVENTS["append_batch"], *arguments(entries))
        return rows

    # Reading ---------------------------------------------------------------------------------------------------------

    async def head(self, session_id: UUID) -> Any:
        return await self.connection.fetchrow("SELECT * FROM session_heads WHERE chat_session_id = $1", session_id)

    async def session(self, session_id: UUID) -> Any:
        return await self.connection.fetchrow("SELECT * FROM chat_sessions WHERE id = $1", session_id)

    async def run(self, run_id: UUID) -> Any:
        return await self.connection.fetchrow("SELECT * FROM runs WHERE id = $1", run_id)

    async def log(self, session_id: UUID) -> list[Logged]:
        """All events, straight from the table; checked to be numbered 1, 2, 3, … as the head says."""
        rows = await self.connection.fetch(
            "SELECT h.last_seq, e.seq, e.type, e.data::text AS data FROM session_heads h"
            " JOIN events e ON e.chat_session_id = h.chat_session_id"
            " WHERE h.chat_session_id = $1 ORDER BY e.seq",
            session_id,
        )
        events = [Logged(row["seq"], row["type"], row["data"]) for row in rows]
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert all(row["last_seq"] == len(events) for row in rows)
        return events

    async def types(self, session_id: UUID) -> list[str]:
        return [event.type for event in await self.log(session_id)]

    # Getting in the way ----------------------------------------------------------------------------------------------

    async def block_appends(self, session_id: UUID, key: int = 1, application: str = WRITER_NAME) -> "Block":
        """Have appends of this session by `application` wait, with the head locked, until the block is lifted."""
        holder = await self.connect()
        await holder.execute("SELECT pg_advisory_lock($1)", key)
        name = f"block_{key}"
        await self.connection.execute(
            f"""
            CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock({key});
                RETURN NEW;
            END $$;
            CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON session_heads FOR EACH ROW
            WHEN (NEW.chat_session_id = '{session_id}' AND current_setting('application_name') = '{application}')
            EXECUTE FUNCTION {name}();
            """
        )
        return Block(self.connection, holder, key)

    async def fail_appends(self, session_id: UUID, sqlstate: str, event_type: str = "text_delta") -> None:
        """Have every insert of such an event of this session fail with this SQLSTATE."""
        await self.connection.execute(
            f"""
            CREATE SEQUENCE failed_appends;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM nextval('failed_appends');
                RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}';
            END $$;
            CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW
            WHEN (NEW.chat_session_id = '{session_id}' AND NEW.type = '{event_type}') EXECUTE FUNCTION fail();
            """
        )

    async def failed_appends(self) -> int:
        """How often that has happened."""
        count: int = await self.connection.fetchval(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM failed_appends"
        )
        return count

    async def let_appends_be(self) -> None:
        await self.connection.execute("DROP TRIGGER fail ON events")

    async def backend_of(self, application: str) -> int | None:
        pid: int | None = await self.connection.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1", application
        )
        return pid

    async def terminate(self, application: str) -> None:
        """Kill the server's side of every connection of this name."""
        await self.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1",
            application,
        )


class Block(NamedTuple):
    """An advisory lock that others wait for."""

    watcher: Any
    holder: Any
    key: int

    async def reached(self) -> bool:
        """Whether somebody waits for it now."""
        waiting: bool = await self.watcher.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            self.key,
        )
        return waiting

    async def lift(self) -> None:
        await self.holder.execute("SELECT pg_advisory_unlock($1)", self.key)


def arguments(entries: Sequence[EntryOf]) -> tuple[list[Any], ...]:
    """The arrays of `append_batch`."""
    numbered = [
        (number, place, event) for number, entry in enumerate(entries, 1) for place, event in enumerate(entry.events, 1)
    ]
    return (
        [entry.claimed.session_id for entry in entries],
        [entry.claimed.fence for entry in entries],
        [entry.first_ordinal for entry in entries],
        [len(entry.events) for entry in entries],
        [entry.claimed.run_id for entry in entries],
        [entry.checkpoint for entry in entries],
        [entry.provider_state for entry in entries],
        [entry.outcome for entry in entries],
        [number for number, _, _ in numbered],
        [place for _, place, _ in numbered],
        [event.type for _, _, event in numbered],
        [event.data for _, _, event in numbered],
    )


class SwitchedHeartbeat(AHeartbeat):
    """A heartbeat that beats as the test says."""

    def __init__(self) -> None:
        self._on = asyncio.Event()
        self._on.set()

    def switch(self, *, on: bool) -> None:
        (self._on.set if on else self._on.clear)()

    @property
    def valid(self) -> bool:
        return self._on.is_set()

    @property
    def may_take_over(self) -> bool:
        return self._on.is_set()

    async def wait_until_valid(self) -> None:
        await self._on.wait()

    def on_beat(self, listener: BeatListener) -> None:
        pass

    def drain(self) -> None:
        pass


class RecordingBus(ABus):
    """A bus to nobody, which remembers what was published; `hear` plays another replica."""

    def __init__(self) -> None:
        self.published: list[tuple[Topic, frozenset[UUID]]] = []
        self.commits: list[Commit] = []
        self.followers: list[Follower] = []
        self._handlers: dict[Topic, list[Handler]] = {topic: [] for topic in Topic}
        self._reconnected: list[Callable[[], None]] = []

    def publish(self, topic: Topic, ids: Iterable[UUID], *, local: bool = True) -> None:
        changed = frozenset(ids)
        self.published.append((topic, changed))
        if local:
            self.hear(topic, changed)

    def carry(self, commits: Sequence[Commit]) -> None:
        self.published += [(Topic.EVENTS, frozenset({commit.session_id})) for commit in commits]
        self.commits += commits

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def follow(self, follower: Follower) -> None:
        self.followers.append(follower)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnected.append(callback)

    @property
    def connected(self) -> bool:
        return True

    @property
    def ways(self) -> Sequence[str]:
        return ()

    def hear(self, topic: Topic, ids: Iterable[UUID]) -> None:
        changed = set(ids)
        for handler in self._handlers[topic]:
            handler(changed)


class CollectingReader:
    """A reader at the head of a tail that takes everything."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.wakes = 0

    def push(self, chunk: Chunk) -> bool:
        self.chunks.append(chunk)
        return True

    def wake(self) -> None:
        self.wakes += 1

    @property
    def payload(self) -> bytes:
        return b"".join(chunk.payload for chunk in self.chunks)


class LogReplica:
    """Writer and tails of one replica on a real database; heartbeat and bus belong to the test."""

    def __init__(self, database_url: str, direct_url: str = "", lease_seconds: float = 5.0) -> None:
        ways = {**settings_to(database_url), **({"database_direct_url": direct_url} if direct_url else {})}
        settings = Settings(**ways, environment="test", lease_seconds=lease_seconds)
        metrics = Metrics("test")
        self.database = PostgresDatabase(settings, metrics)
        self.heartbeat = SwitchedHeartbeat()
        self.bus = RecordingBus()
        self.tails = Tails(metrics, replay_concurrency=4)
        self.writer = EventWriter(metrics, lease_seconds)
        self.metrics = metrics
        self._provider = ServiceProvider()
        self._provider.register(ADatabase, self.database)
        self._provider.register(ATransactions, self.database)
        self._provider.register(ABus, self.bus)
        self._provider.register(AHeartbeat, self.heartbeat)
        self._provider.register(ATails, self.tails)
        self._provider.register(AEventWriter, self.writer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["LogReplica"]:
        await self._provider.initialize()
        try:
            async with asyncio.timeout(10):
                await self.database.wait_until_ready()
            yield self
        finally:
            await self._provider.reset()

    def open(self, claimed: Claimed) -> RunLog:
        return self.writer.open(claimed.session_id, claimed.run_id, claimed.fence)

    async def follow(self, session_id: UUID) -> tuple[Tail, CollectingReader]:
        """A reader at the head of the session's tail: it sees what comes from now on."""
        reader = CollectingReader()
        tail = self.tails.open(TailKey(session_id, deltas=True), reader)
        await tail.refresh()
        tail.join(reader)
        return tail, reader

    async def replay(self, session_id: UUID, after: int = 0) -> bytes:
        """The frames of the whole log, page by page."""
        upto = int((await self.database.fetchrow(EVENTS["read_head"], session_id))["last_seq"])
        payload = b""
        while after < upto:
            page = await self.tails.replay.page(TailKey(session_id, deltas=True), after, upto)
            payload += page.payload
            after = page.last
        return payload

    async def json_pages(self, session_id: UUID, limit: int = 500) -> list[Logged]:
        """The whole log through the pages for clients without SSE."""
        events: list[Logged] = []
        while True:
            page = await self.tails.replay.json_page(session_id, events[-1].id if events else 0, limit)
            if not page["rows"]:
                return events
            events += parse_items(page["items"])


async def within(awaitable: Any, seconds: float = 10.0) -> Any:
    """Await with a deadline."""
    async with asyncio.timeout(seconds):
        return await awaitable
