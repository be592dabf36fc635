"""One user asks for far more streams than a user may have, while another one reads (G7)."""

import asyncio
import itertools
import statistics
import time
from collections import Counter

import aiohttp

from tests.chaos.lab import HTTP_FAILED, Lab, Report
from tests.chaos.load import Load, commit_delays, judge
from tests.support.fleet import Caller, Fleet, Replica, Run, eventually

LIMIT = 20
PAUSE_SECONDS = 0.05  # of each client: what is measured is the replicas, not how fast this process can ask
EVENT_SOURCE = {"Accept": "text/event-stream"}


async def stream_flood(lab: Lab) -> Report:
    """The flooding user has all streams that it may have on each replica, asks for more, and is refused each time."""
    clients, seconds = lab.pick((20, 2), (40, 30))
    report = Report(
        "stream-flood", f"streams beyond a user's {LIMIT} asked for by {clients} clients beside another user's"
    )
    async with (
        lab.fleet(2, lease_seconds=10.0, MAX_STREAMS_PER_USER=str(LIMIT)) as (fleet, caller),
        fleet.caller(await fleet.new_user()) as flooding,
    ):
        load = Load(caller)
        calm = await _delays(lab, load, fleet, 1)
        flood = Flood(report, flooding, await flooding.start(fleet[0], "[[tokens=100000 rate=5]]"))
        for replica in fleet.replicas:
            await flood.take_all_places(replica)
        asking = [asyncio.create_task(flood.ask_for_ever(fleet[number % 2])) for number in range(clients)]
        began = time.monotonic()
        crowded = await _delays(lab, load, fleet, seconds)
        flood.over = True
        await asyncio.gather(*asking)
        asked_seconds = time.monotonic() - began
        report.require(not any(held.done() for held in flood.held), "a stream within the limit was ended")
        stopped = time.monotonic()
        await flood.let_go()
        for replica in fleet.replicas:
            await eventually(lambda one=replica: _is_quiet(one), f"no stream is open on {replica.name}")
            await flood.take_all_places(replica)
        report.recoveries.append(time.monotonic() - stopped)
        await flood.let_go()
        _status, page = await flooding.call("GET", fleet[1], "/api/sessions")
        report.require(
            len(page["sessions"]) == 1, f"the user has {len(page['sessions'])} sessions: a refused run began"
        )
        status = await flooding.interrupt(fleet[1], flood.run)
        report.require(status == 202, f"the interrupt was answered {status}")
        await load.finish(report)
        await eventually(lambda: _has_ended(flooding, fleet[0], flood.run), "the run of the flooding user ends")
        await judge(report, load, lab.database_url)
    report.times = sum(flood.answers.values())
    report.require(len(flood.answers) == len(KINDS), f"only {sorted(flood.answers)} were asked for")
    report.require(statistics.median(crowded) < 2.0, "the other user was held up")
    report.notes += [
        f"{report.times / asked_seconds:.0f} a second",
        f"delivery to the other user {_spread(calm)} without, {_spread(crowded)} beside them",
        "time: until all places could be taken again",
    ]
    return report


KINDS = ("EventSource", "EventSource of the list", "fetch", "POST")


class Flood:
    """Asks for streams as one user. `held`: those that it got and reads, `answers`: how often it was refused."""

    def __init__(self, report: Report, caller: Caller, run: Run) -> None:
        self.run = run
        self.over = False
        self.held: list[asyncio.Task[None]] = []
        self.answers: Counter[str] = Counter()
        self._report = report
        self._caller = caller
        self._stream = f"/api/sessions/{run.session_id}/events/stream"

    async def take_all_places(self, replica: Replica) -> None:
        opened = [asyncio.Event() for _ in range(LIMIT)]
        self.held += [asyncio.create_task(self._read(replica, event)) for event in opened]
        await eventually(lambda: all(event.is_set() for event in opened), f"all places of {replica.name} are taken")

    async def _read(self, replica: Replica, opened: asyncio.Event) -> None:
        async with self._caller.http.get(replica.url + self._stream, headers=EVENT_SOURCE) as answer:
            seen = b""
            async for data in answer.content.iter_any():
                seen = seen if opened.is_set() else seen + data
                if b"event: caught_up" in seen:
                    opened.set()

    async def let_go(self) -> None:
        for task in self.held:
            task.cancel()
        await asyncio.gather(*self.held, return_exceptions=True)
        self.held.clear()

    async def ask_for_ever(self, replica: Replica) -> None:
        for kind in itertools.cycle(KINDS):
            if self.over:
                return
            await self._ask(replica, kind)
            self.answers[kind] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, replica: Replica, kind: str) -> None:
        path = "/api/sessions/updates" if kind == "EventSource of the list" else self._stream
        url = replica.url + (path if kind != "POST" else "/api/execute-remote")
        body = {"userRequest": "[[tokens=1]]", "provider": "simulated"} if kind == "POST" else None
        headers = None if kind == "fetch" else EVENT_SOURCE
        limits = aiohttp.ClientTimeout(total=30)
        method = "POST" if kind == "POST" else "GET"
        try:
            async with self._caller.http.request(method, url, json=body, headers=headers, timeout=limits) as answer:
                text = await answer.text()
        except HTTP_FAILED as error:
            self._report.faults.append(f"{kind}: neither refused nor ended: {error!r}")
            return
        if kind.startswith("EventSource"):
            clear = answer.status == 200 and text.startswith("retry: ") and text.count("\n") == 2
        else:
            clear = answer.status == 429 and int(answer.headers["Retry-After"]) >= 1 and '"rate_limited"' in text
        self._report.require(clear, f"{kind}: answered {answer.status}, {text[:200]!r}")


async def _is_quiet(replica: Replica) -> bool:
    return await replica.metric("webedt_sse_streams") == 0


async def _has_ended(caller: Caller, replica: Replica, run: Run) -> bool:
    _status, answer = await caller.call("GET", replica, f"/api/sessions/{run.session_id}")
    return answer["session"]["status"] == "interrupted"


async def _delays(lab: Lab, load: Load, fleet: Fleet, seconds: int) -> list[float]:
    """Seconds from commit to reader of all that two readers on each replica get of a run on each."""
    rate = 40
    runs = [
        await load.run(driver, rate * seconds, rate, [[one] for one in fleet.replicas]) for driver in fleet.replicas
    ]
    mine = [reader for run in runs for reader in load.readers_of(run)]
    await asyncio.gather(*(reader.until(lambda one: bool(one.endings), "the run ends") for reader in mine))
    return [delay for of_reader in await commit_delays(lab.database_url, mine) for delay in of_reader[5:]]


def _spread(delays: list[float]) -> str:
    p50, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
    return f"{p50 * 1000:.1f} ms (p50), {p99 * 1000:.1f} ms (p99), {max(delays) * 1000:.0f} ms (max)"
