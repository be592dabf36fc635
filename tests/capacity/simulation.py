"""A fleet in virtual time: writers that gather while a commit is in flight, tails elsewhere that hear and read.

The mechanism is that of `webedt/log/writer.py`, `webedt/bus/` and `webedt/log/tail.py`; what each step costs comes from
the prices. A replica has one core, PostgreSQL several; a flush of the disk takes its time, however many wait for it.
Runs emit at an even rate with phases drawn from a seed, so that every run of it takes the same course.
"""

import asyncio
import random
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from tests.capacity.measured import Prices
from tests.support.virtual_time import run_in_virtual_time
from webedt.bus.postgres import COALESCE_SECONDS


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Sessions are spread over the replicas in turn; each reader of one is on the next replica after its driver."""

    replicas: int
    sessions: int
    events_per_session_second: float
    readers_per_session: int = 1
    bus: Literal["notify", "redis"] = "notify"
    database_cores: int = 2
    seconds: float = 5.0
    seed: int = 1


@dataclass(frozen=True)
class Course:
    """What happened. CPU is that of all replicas, or of PostgreSQL, an event."""

    events: int
    delivered: int
    commits_per_second: float
    events_per_commit: float
    reads_per_event: float
    statements_per_second: float
    replica_cpu_us: float
    database_cpu_us: float
    delivery_p50_ms: float
    delivery_p99_ms: float


def simulate(fleet: Fleet, prices: Prices) -> Course:
    return run_in_virtual_time(_Simulation(fleet, prices).run())


class _Cores:
    """Work that takes a core for its time."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.used_us = 0.0

    async def work(self, us: float) -> None:
        self.used_us += us
        async with self._free:
            await asyncio.sleep(us / 1e6)


class _Replica:
    def __init__(self) -> None:
        self.cpu = _Cores(1)
        self.queue: list[int] = []
        self.filled = asyncio.Event()
        self.outbox: dict[int, int] = {}
        self.told = asyncio.Event()
        self.positions: dict[int, int] = {}
        self.reading: set[int] = set()
        self.stale: set[int] = set()


class _Simulation:
    def __init__(self, fleet: Fleet, prices: Prices) -> None:
        self.fleet, self.prices = fleet, prices
        self.replicas = [_Replica() for _ in range(fleet.replicas)]
        self.database = _Cores(fleet.database_cores)
        self.flush_seconds = max(0.0, prices.append_seconds - prices.database_append_us / 1e6)
        self.written: dict[int, list[float]] = defaultdict(list)
        self.latencies: list[float] = []
        self.commits = self.reads = self.notifications = self.emitted = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.expected = self.fleet.sessions * self._events_each
        self.stored = 0
        self.all_delivered = asyncio.Event()

    async def run(self) -> Course:
        fleet, phases = self.fleet, random.Random(self.fleet.seed)
        for replica in self.replicas:
            self._start(self._write(replica))
            self._start(self._tell(replica))
        runs = [self._emit(session, phases.random()) for session in range(fleet.sessions)]
        await asyncio.gather(*runs)
        await self.all_delivered.wait()
        for task in self.tasks:
            task.cancel()
        used = sum(replica.cpu.used_us for replica in self.replicas)
        statements = self.commits + self.reads + self.notifications
        ms = [seconds * 1000 for seconds in self.latencies] or [0.0]
        return Course(
            events=self.emitted,
            delivered=len(self.latencies),
            commits_per_second=self.commits / fleet.seconds,
            events_per_commit=self.emitted / self.commits,
            reads_per_event=self.reads / self.emitted,
            statements_per_second=statements / fleet.seconds,
            replica_cpu_us=used / self.emitted,
            database_cpu_us=self.database.used_us / self.emitted,
            delivery_p50_ms=statistics.median(ms),
            delivery_p99_ms=statistics.quantiles(ms, n=100)[98] if len(ms) > 1 else ms[0],
        )

    def _start(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @property
    def _events_each(self) -> int:
        return round(self.fleet.seconds * self.fleet.events_per_session_second)

    def _look_for_the_end(self) -> None:
        if self.stored == self.expected and len(self.latencies) == self.expected * self.fleet.readers_per_session:
            self.all_delivered.set()

    def _driver(self, session: int) -> int:
        return session % self.fleet.replicas

    def _reader(self, session: int) -> int:
        return (session + 1) % self.fleet.replicas

    # A run and its writer ------------------------------------------------------------------------------------------

    async def _emit(self, session: int, phase: float) -> None:
        every = 1 / self.fleet.events_per_session_second
        replica = self.replicas[self._driver(session)]
        await asyncio.sleep(phase * every)
        for _ in range(self._events_each):
            self.emitted += 1
            self._start(self._produce(replica, session))
            await asyncio.sleep(every)

    async def _produce(self, replica: _Replica, session: int) -> None:
        await replica.cpu.work(self.prices.replica_event_us)
        replica.queue.append(session)
        replica.filled.set()

    async def _write(self, replica: _Replica) -> None:
        while True:
            await replica.filled.wait()
            replica.filled.clear()
            batch, replica.queue = replica.queue, []
            await replica.cpu.work(self.prices.replica_append_us + len(batch) * self.prices.replica_appended_us)
            await self.database.work(self.prices.database_append_us + len(batch) * self.prices.database_appended_us)
            written = asyncio.get_running_loop().time()
            await asyncio.sleep(self.flush_seconds)
            self.commits += 1
            for session in batch:
                self.written[session].append(written)
            self.stored += len(batch)
            self._look_for_the_end()
            for session in dict.fromkeys(batch):
                reading = self.replicas[self._reader(session)]
                if not self.fleet.readers_per_session:
                    continue
                if reading is replica:
                    await self._deliver(replica, session)
                else:
                    replica.outbox[session] = len(self.written[session])
                    replica.told.set()
            if replica.queue:
                replica.filled.set()

    # The others ----------------------------------------------------------------------------------------------------

    async def _tell(self, replica: _Replica) -> None:
        while True:
            await replica.told.wait()
            replica.told.clear()
            changed, replica.outbox = replica.outbox, {}
            await replica.cpu.work(self.prices.replica_notify_us)
            if self.fleet.bus == "notify":
                others = self.fleet.replicas * self.prices.database_hearing_us
                await self.database.work(self.prices.database_notify_us + others)
                await asyncio.sleep(self.flush_seconds)
                self.notifications += 1
            for other in self.replicas:
                if other is not replica:
                    self._start(self._hear(other, changed))
            await asyncio.sleep(COALESCE_SECONDS)

    async def _hear(self, replica: _Replica, changed: dict[int, int]) -> None:
        await replica.cpu.work(self.prices.replica_hearing_us)
        for session, last in changed.items():
            if self.replicas[self._reader(session)] is not replica or replica.positions.get(session, 0) >= last:
                continue
            if self.fleet.bus == "redis":
                await self._deliver(replica, session, upto=last)
            elif session in replica.reading:
                replica.stale.add(session)
            else:
                replica.reading.add(session)
                self._start(self._read(replica, session))

    async def _read(self, replica: _Replica, session: int) -> None:
        """One read of a tail at a time; many signals meanwhile are one more."""
        while True:
            replica.stale.discard(session)
            self.reads += 1
            await replica.cpu.work(self.prices.replica_tail_read_us)
            await self.database.work(self.prices.database_tail_read_us)
            await self._deliver(replica, session)
            if session not in replica.stale:
                break
        replica.reading.discard(session)

    async def _deliver(self, replica: _Replica, session: int, upto: int | None = None) -> None:
        first = replica.positions.get(session, 0)
        last = len(self.written[session]) if upto is None else max(first, upto)
        if last == first:
            return
        replica.positions[session] = last
        await replica.cpu.work(self.fleet.readers_per_session * self.prices.replica_delivery_us)
        now = asyncio.get_running_loop().time()
        for written in self.written[session][first:last]:
            self.latencies += [now - written] * self.fleet.readers_per_session
        self._look_for_the_end()
