"""Runs with readers on them, and what both amount to in the end."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.audit import Audit, audit
from tests.chaos.lab import Report
from tests.support.fleet import Caller, Replica, Run
from tests.support.fleet_reader import Reader

FINISH_SECONDS = 120.0


class Load:
    """Runs with readers on them."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.runs: list[Run] = []
        self.readers: list[Reader] = []
        self._following: list[asyncio.Task[Reader]] = []

    async def run(self, replica: Replica, tokens: int, rate: float, readers_on: Sequence[Sequence[Replica]]) -> Run:
        """Start a run on `replica` and a reader for each element of `readers_on`: the replicas that it goes to."""
        run = await self.caller.start(replica, f"[[tokens={tokens} rate={rate:g}]] {len(self.runs)}")
        self.watch(run, readers_on)
        return run

    def watch(self, run: Run, readers_on: Sequence[Sequence[Replica]], **more: Any) -> list[Reader]:
        self.runs.append(run)
        readers = [
            Reader(self.caller.http, run.session_id, [replica.url for replica in replicas], **more)
            for replicas in readers_on
        ]
        self.readers += readers
        self._following += [asyncio.create_task(reader.follow()) for reader in readers]
        return readers

    def readers_of(self, run: Run) -> list[Reader]:
        return [reader for reader in self.readers if reader.session_id == run.session_id]

    async def until(self, condition: Callable[[Reader], bool], what: str, seconds: float = 60.0) -> None:
        """Every reader comes to this."""
        await asyncio.gather(*(reader.until(condition, what, seconds) for reader in self.readers))

    async def finish(self, report: Report, seconds: float = FINISH_SECONDS) -> bool:
        """Every reader comes to its end; who does not is a fault, and is stopped."""
        _done, pending = await asyncio.wait(self._following, timeout=seconds)
        for task in pending:
            task.cancel()
        outcomes = await asyncio.gather(*self._following, return_exceptions=True)
        for reader, outcome in zip(self.readers, outcomes, strict=True):
            if isinstance(outcome, asyncio.CancelledError):
                report.faults.append(
                    f"session {reader.session_id}: a reader did not end within {seconds:g} s, it is at {reader.last_id}"
                )
            elif isinstance(outcome, BaseException):
                report.faults.append(f"session {reader.session_id}: {outcome!r}")
        return not pending


async def judge(report: Report, load: Load, database_url: str, *, graceful: bool = False) -> Audit:
    """Hold what readers saw against the log, and the log against what it should be."""
    found = await audit(database_url)
    report.faults += found.faults
    for session_id in dict.fromkeys(run.session_id for run in load.runs):
        readers = [reader for reader in load.readers if reader.session_id == session_id]
        report.read(readers, found.events.get(session_id, 0), graceful=graceful)
    return found
