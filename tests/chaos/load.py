"""Runs with readers on them, and what both amount to in the end."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.audit import Audit, ask, audit
from tests.chaos.lab import Lab, Report
from tests.support.fleet import Caller, Fleet, Replica, Run, eventually
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


async def begin(lab: Lab, fleet: Fleet, caller: Caller, seconds: float) -> Load:
    """Runs on all replicas that last so long at least, each with a reader here and one elsewhere."""
    load = Load(caller)
    runs, rate = lab.pick((6, 25), (50, 20))
    for number in range(runs):
        replica = fleet[number % len(fleet.replicas)]
        other = fleet.others(replica)[0]
        await load.run(replica, int(rate * seconds), rate, [[replica, other], [other, replica]])
    await load.until(lambda reader: reader.last_id >= rate // 2, "all runs are under way")
    return load


def went_on(report: Report, readers: Sequence[Reader], since: float) -> None:
    """Seconds until each reader saw the next event."""
    for reader in readers:
        after = next((at for at in reader.arrived if at > since), None)
        if after is not None:
            report.recoveries.append(after - since)


async def all_say(fleet: Fleet, ready: int) -> None:
    """Every replica comes to answer `/ready` so, and says meanwhile that it lives."""

    async def said() -> bool:
        answers = await asyncio.gather(*(replica.probe("/ready") for replica in fleet.replicas))
        return all(status == ready for status, _body in answers)

    await eventually(said, f"/ready answers {ready} everywhere", 30)
    for replica in fleet.replicas:
        status, _body = await replica.probe("/live")
        if status != 200:
            raise AssertionError(f"/live of {replica.name} answers {status}")


async def moves(reader: Reader, since: float) -> None:
    """It sees something new, or has seen its end."""
    await reader.until(
        lambda one: bool(one.endings) or bool(one.arrived and one.arrived[-1] > since), "events come again", 40
    )


async def commit_delays(database_url: str, readers: Sequence[Reader]) -> list[list[float]]:
    """Of each reader, seconds from the commit of each event, by the database's clock, until it came: the database is
    on this machine, too."""
    offset = time.time() - time.monotonic()
    rows = await ask(
        database_url,
        "SELECT chat_session_id::text AS id, seq, extract(epoch FROM created_at)::float8 AS at"
        " FROM events WHERE chat_session_id::text = ANY ($1)",
        list({reader.session_id for reader in readers}),
    )
    committed = {(row["id"], row["seq"]): row["at"] for row in rows}
    return [
        [at + offset - committed[reader.session_id, number] for number, at in enumerate(reader.arrived, 1)]
        for reader in readers
    ]
