"""Replicas that die while agents elsewhere work for them: nothing is lost, doubled or asked twice (G4)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.chaos.audit import ask
from tests.chaos.lab import Lab, Report
from tests.chaos.load import Load, judge
from tests.support.claude_fake import AGENT, ENVIRONMENT
from tests.support.claude_mapping import our_items, remote_items
from tests.support.fleet import ROOT, Caller, Replica, Run, leashed
from tests.support.fleet_reader import Reader

RUNS_A_KILL = 3
RUN_SECONDS = 2.0
PROMPT = "[[messages=4 tools=2 deltas=5 rate=25]]"
BOUND_SECONDS = 3.0
SLACK_SECONDS = 15.0  # a busy machine; the figures are printed


class Upstream:
    """The fake API as a process of its own: what it knows, it knows from those who are killed, not from us."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def asked(self, path: str) -> Any:
        async with self._http.get(f"{self.url}/_fake/{path}") as answer:
            answer.raise_for_status()
            return await answer.json()


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    process = await asyncio.create_subprocess_exec(
        *leashed("-m", "tests.support.claude_fake"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("asked for pipes")
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as http:
            yield Upstream(url, http)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def claude(lab: Lab) -> Report:
    """kill -9 of the replica that drives agents, each of its runs at a moment of its own."""
    report = Report("claude", f"kill -9 of the replica that drives {RUNS_A_KILL} remote agents, lease 2 s")
    async with upstream() as agents:
        settings = {
            "ANTHROPIC_BASE_URL": agents.url,
            "ANTHROPIC_API_KEY": "a-key",
            "CLAUDE_AGENT_ID": AGENT,
            "CLAUDE_ENVIRONMENT_ID": ENVIRONMENT,
            "MAX_ATTEMPTS": "20",
        }
        async with lab.fleet(lab.pick(2, 3), lease_seconds=2.0, **settings) as (fleet, caller):
            load = Load(caller)
            kills = lab.often(1, 50)
            for number in range(kills):
                driver = fleet[number % len(fleet.replicas)]
                runs = await _begin(lab, caller, load, driver, fleet.others(driver))
                driver.kill()
                killed = time.monotonic()
                report.times += 1
                for run in runs:
                    reader = load.readers_of(run)[0]
                    await reader.until(lambda one: bool(one.endings), "the run ends", 60)
                    if (moved := reader.first_mark("run_recovered", after=killed)) is not None:
                        report.recoveries.append(_went_on(reader, moved) - killed)
                if number + 1 < kills:
                    driver.start()
                    await driver.ready()
            await load.finish(report)
            await judge(report, load, lab.database_url)
        await _compare(report, load, agents, lab.database_url)
    bound = BOUND_SECONDS + SLACK_SECONDS
    report.require(max(report.recoveries, default=0) <= bound, f"slower than {bound:g} s")
    return report


async def _begin(lab: Lab, caller: Caller, load: Load, driver: Replica, others: list[Replica]) -> list[Run]:
    """Runs with readers elsewhere, and the moment to kill their driver: often one of the first calls of the last."""
    runs = []
    for _ in range(RUNS_A_KILL):
        await asyncio.sleep(lab.dice.uniform(0, RUN_SECONDS / RUNS_A_KILL))
        run = await caller.start(driver, f"{PROMPT} {len(load.runs)}", provider="claude")
        load.watch(run, [others, [*others[::-1], driver]])
        runs.append(run)
    await asyncio.sleep(lab.dice.uniform(0, lab.dice.choice([0.15, RUN_SECONDS / 2])))
    return runs


def _went_on(reader: Reader, moved: float) -> float:
    """When the first event behind the take-over came: something that the agent did."""
    return next((at for at in reader.arrived if at > moved), moved)


async def _compare(report: Report, load: Load, agents: Upstream, database_url: str) -> None:
    """Our logs against those of the agents: one remote session and one prompt a run, every event of it once."""
    state = await agents.asked("state")
    report.faults += [f"the fake failed: {failure}" for failure in state["failures"]]
    asked = {name: state["arrived"].get(name, 0) for name in ("create", "user.message")}
    report.require(len(state["sessions"]) == len(load.runs), f"{len(state['sessions'])} remote sessions")
    report.require(set(asked.values()) == {len(load.runs)}, f"of {len(load.runs)} runs the agents were asked {asked}")
    compared = 0
    for run in load.runs:
        rows = await ask(
            database_url, "SELECT provider_state::text FROM chat_sessions WHERE id::text = $1", run.session_id
        )
        remote_id = (json.loads(rows[0][0] or "{}")).get("session")
        log = await ask(
            database_url,
            "SELECT type, data::text FROM events WHERE chat_session_id::text = $1 ORDER BY seq",
            run.session_id,
        )
        ours, theirs = our_items(tuple(row) for row in log), []
        if remote_id is not None:
            theirs = remote_items(await agents.asked(f"sessions/{remote_id}/log"))
            prompts = state["sessions"][remote_id]["arrived"].get("user.message", 0)
            report.require(prompts == 1, f"session {run.session_id}: {prompts} prompts")
        report.require(ours == theirs and theirs, f"session {run.session_id}: {len(ours)} of {len(theirs)} there")
        compared += len(theirs)
    attempts = await ask(database_url, "SELECT count(*) FROM runs WHERE attempt > 1")
    found = "not all of them ingested once" if report.faults else "each ingested once"
    report.notes.append(f"{len(load.runs)} runs, {attempts[0][0]} moved, {compared} remote events, {found}")
