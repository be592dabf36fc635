"""What a scenario is given, a database and replicas to break, and the one line that it answers."""

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.deploy.balancer import start_balanced_fleet
from tests.support.fleet import Caller, Fleet, start_fleet
from tests.support.fleet_reader import Reader
from webedt.database.embedded import EmbeddedPostgres
from webedt.database.migrations import migrate

HTTP_FAILED = (aiohttp.ClientError, OSError, TimeoutError)
# What no fault of the surroundings excuses.
ALARMS = ("request_failed", "run_crashed", "task_crashed", "claim_failed", "append_refused", "ordinal_defect")


@dataclass
class Lab:
    """`database_url`: migrated and empty. `postgres`: a server to break, not started. `times`: how often to break."""

    database_url: str
    postgres: EmbeddedPostgres
    short: bool = True
    times: int | None = None
    seed: int = 1
    logs: Path | None = None
    balanced: bool = False
    """Readers and callers know HAProxy only, and not the replicas behind it."""
    dice: random.Random = field(init=False)
    alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def often(self, short: int, full: int) -> int:
        """How many times to break things."""
        return self.times if self.times is not None else short if self.short else full

    def pick(self, short: Any, full: Any) -> Any:
        """A size of the short form or of the full one."""
        return short if self.short else full

    @asynccontextmanager
    async def fleet(self, replicas: int = 2, **more: Any) -> AsyncIterator[tuple[Fleet, Caller]]:
        url = more.pop("database_url", self.database_url)
        urls = [url] * replicas if isinstance(url, str) else url
        start = start_balanced_fleet if self.balanced else start_fleet
        async with start(urls, logs=self.logs, **more) as fleet, fleet.caller() as caller:
            yield fleet, caller
            for replica in fleet.replicas:
                lines = [line for event in ALARMS for line in replica.logged(event)]
                self.alarms += [f"{replica.name} logged: {line}" for line in lines]

    async def own_database(self) -> str:
        """The URL of a migrated database on the server that may be broken."""
        url = await asyncio.to_thread(self.postgres.start)
        await migrate(url)
        return url


@dataclass
class Report:
    """What one scenario found. `recoveries`: seconds from the fault until readers went on.

    `skipped`: why this machine cannot break that; then nothing was found out.
    """

    name: str
    broken: str
    times: int = 0
    expected: int = 0
    seen: int = 0
    missing: int = 0
    doubled: int = 0
    recoveries: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    skipped: str = ""

    def read(self, readers: Sequence[Reader], expected: int, *, graceful: bool = False) -> None:
        """Add what readers of one session saw, each of which should have seen `expected` events."""
        for reader in readers:
            self.expected += expected
            self.seen += reader.seen
            self.missing += reader.missing + max(0, expected - reader.last_id)
            self.doubled += reader.doubled
            self.faults += reader.faults(graceful=graceful)
            if reader.last_id != expected:
                self.faults.append(f"session {reader.session_id}: read to {reader.last_id} of {expected}")

    def require(self, condition: object, fault: str) -> None:
        if not condition:
            self.faults.append(fault)

    def line(self) -> str:
        if self.skipped:
            return f"{self.name}: skipped: {self.skipped}"
        parts = [
            f"{self.name}: {self.broken}, {self.times} times",
            f"events {self.expected} expected, {self.seen} seen, {self.missing} missing, {self.doubled} doubled",
        ]
        if self.recoveries:
            median, worst = statistics.median(self.recoveries), max(self.recoveries)
            parts.append(f"recovered in {median:.2f} s (median), {worst:.2f} s (max)")
        return "; ".join(parts + self.notes + ([f"{len(self.faults)} FAULTS"] if self.faults else []))
