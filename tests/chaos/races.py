"""Requests that meet each other on several replicas."""

import asyncio
import time
from uuid import uuid4

from tests.chaos.audit import ask
from tests.chaos.lab import HTTP_FAILED, Lab, Report
from tests.chaos.load import Load, judge
from tests.support.fleet import Caller, Fleet, Run
from tests.support.fleet_proxy import proxied
from tests.support.fleet_reader import Reader

SAME = 20


async def idempotency(lab: Lab) -> Report:
    """Twenty identical prompts under one key, sent to three replicas at once; and another body under that key."""
    report = Report("idempotency", f"{SAME} identical POSTs under one Idempotency-Key, raced over three replicas")
    async with lab.fleet(3) as (fleet, caller):
        load = Load(caller)
        for number in range(lab.often(5, 50)):
            key = {"Prefer": "respond-async", "Idempotency-Key": uuid4().hex}
            body = {"userRequest": f"[[tokens=5 rate=0]] {number}", "provider": "simulated"}

            async def post(turn: int, sent: dict[str, str] = body, key: dict[str, str] = key) -> tuple[int, object]:
                return await caller.call("POST", fleet[turn % 3], "/api/execute-remote", sent, key)

            began = time.monotonic()
            answers = await asyncio.gather(*(post(turn) for turn in range(SAME)))
            report.recoveries.append(time.monotonic() - began)
            report.times += 1
            accepted = {(answer["sessionId"], answer["runId"]) for status, answer in answers if status == 202}
            refusals = [status for status, _answer in answers if status != 202]
            report.require(not refusals, f"answers {refusals}")
            report.require(len(accepted) == 1, f"{len(accepted)} runs for one key")
            status, _answer = await post(number, {**body, "userRequest": "another"})
            report.require(status == 409, f"another body was answered {status}")
            for session_id, run_id in accepted:
                load.watch(Run(session_id, run_id), [[fleet[number % 3]]])
        await load.finish(report)
        found = await judge(report, load, lab.database_url)
        report.require(len(found.runs) == report.times, f"{len(found.runs)} runs in the log for {report.times} keys")
        report.notes.append("time: until all are answered")
    return report


async def on_busy(lab: Lab) -> Report:
    """queue, interrupt and reject raced from three replicas on one session, one of which is killed in between."""
    report = Report(
        "on-busy", "12 prompts (queue, interrupt, reject) raced on one session over three replicas, one killed"
    )
    async with lab.fleet(3) as (fleet, caller):
        for number in range(lab.often(1, 30)):
            load = Load(caller)
            first = await load.run(fleet[number % 3], 40, 100, [fleet.replicas])
            victim = fleet[lab.dice.randrange(3)]
            sends = [_send(caller, fleet, first, turn, lab.dice.choice(POLICIES)) for turn in range(12)]
            killing = asyncio.create_task(_kill_after(load.readers[0], lab.dice.randrange(3, 40), victim.kill))
            answers = await asyncio.gather(*sends)
            await killing
            report.times += 1
            victim.start()
            await victim.ready()
            unexpected = [status for status, _answer in answers if status not in (202, 409, 502, 503, 0)]
            report.require(not unexpected, f"answers {unexpected}")
            await load.finish(report)
            await judge(report, load, lab.database_url)
            await _judge_order(report, lab, load.readers[0], answers)
    return report


POLICIES = ("queue", "queue", "interrupt", "reject")


async def _send(caller: Caller, fleet: Fleet, run: Run, turn: int, policy: str) -> tuple[int, object]:
    try:
        return await caller.send(fleet[turn % 3], run.session_id, "[[tokens=8 rate=100]]", onBusy=policy)
    except HTTP_FAILED:
        return 0, None


async def _kill_after(reader: Reader, events: int, kill: object) -> None:
    await reader.has_seen(events)
    kill()


async def _judge_order(report: Report, lab: Lab, reader: Reader, answers: list[tuple[int, object]]) -> None:
    """Runs of a session never overlap, and begin in the order in which their prompts stand in the log."""
    open_run: str | None = None
    begun: list[str] = []
    for kind, run_id, _at in reader.marks:
        if kind == "run_started":
            report.require(open_run is None, f"run {run_id} began while {open_run} ran")
            open_run = run_id
            begun.append(run_id)
        elif kind in ("completed", "failed", "interrupted"):
            if open_run == run_id:
                open_run = None
        else:
            report.require(open_run == run_id, f"{kind} of {run_id} while {open_run} ran")
    rows = await ask(lab.database_url, "SELECT id::text FROM runs WHERE id::text = ANY ($1) ORDER BY prompt_seq", begun)
    report.require(begun == [row["id"] for row in rows], "runs began in another order than their prompts came")
    accepted = [answer["runId"] for status, answer in answers if status == 202]
    lost = set(accepted) - set(reader.endings)
    report.require(not lost, f"accepted prompts without an end: {lost}")


async def interrupts(lab: Lab) -> Report:
    """Interrupts from another replica: in the middle, twice at once, and at the very moment of completion."""
    report = Report("interrupts", "runs interrupted from another replica, twice at once, mid-run or as they complete")
    async with lab.fleet(3) as (fleet, caller):
        load = Load(caller)
        completed = 0
        for number in range(lab.often(10, 100)):
            driver, first, second = (fleet[(number + turn) % 3] for turn in range(3))
            at_the_end = number % 2
            run = await load.run(driver, 20 if at_the_end else 500, 100, [[first]])
            reader = load.readers_of(run)[0]
            await reader.has_seen(20 if at_the_end else lab.dice.randrange(3, 12))
            await asyncio.sleep(lab.dice.uniform(0, 0.03))  # somewhere around the end
            asked = time.monotonic()
            answers = await asyncio.gather(caller.interrupt(first, run), caller.interrupt(second, run))
            report.times += 1
            report.require(set(answers) <= {202, 409}, f"answers {answers}")
            await reader.until(lambda one: bool(one.endings), "the run ends")
            outcome = reader.outcomes[run.run_id]
            completed += outcome == "completed"
            if outcome == "interrupted":
                report.recoveries.append(reader.marks[-1][2] - asked)
            else:
                report.require(at_the_end, "an interrupt in the middle was not honoured")
        await load.finish(report)
        await judge(report, load, lab.database_url)
        worst = max(report.recoveries, default=0)
        report.require(worst <= 1.0 + 9.0, f"an interrupt took {worst:.1f} s")
        report.notes.append(f"{completed} completed before")
    return report


async def interrupt_of_the_dead(lab: Lab) -> Report:
    """The interrupt comes while the driver is dead and nobody has taken the run over yet."""
    report = Report("interrupt-dead", "interrupt of a run whose replica was killed a moment ago, lease 2 s")
    async with lab.fleet(2, lease_seconds=2.0) as (fleet, caller):
        load = Load(caller)
        for _ in range(lab.often(1, 10)):
            run = await load.run(fleet[0], 5000, 50, [[fleet[1]]])
            reader = load.readers_of(run)[0]
            await reader.has_seen(10)
            driver = fleet.named(reader.drivers[-1])
            driver.kill()
            asked = time.monotonic()
            report.require(await caller.interrupt(fleet[1], run) == 202, "not accepted")
            await reader.until(lambda one: bool(one.endings), "the run ends")
            report.times += 1
            report.recoveries.append(time.monotonic() - asked)
            report.require(reader.outcomes[run.run_id] == "interrupted", f"ended as {reader.outcomes}")
            report.require(len(reader.marks) == 2, "it was taken over before it was ended")
            driver.start()
            await driver.ready()
        await load.finish(report)
        await judge(report, load, lab.database_url)
    return report


async def lost_commits(lab: Lab) -> Report:
    """The answer to a COMMIT is lost: what was asked for is done, once, and nobody is told that it was not."""
    report = Report("lost-commits", "answer to the COMMIT of a prompt, a follow-up, an interrupt or a delete lost")
    async with (
        proxied(lab.database_url) as proxy,
        lab.fleet(database_url=[proxy.url, lab.database_url], MAX_ACTIVE_RUNS="0") as (fleet, caller),
        lab.fleet(1),
    ):
        # The replica that is asked drives nothing itself, so that the lost commit is that of the request.
        losing = fleet[0]
        load = Load(caller)
        for _ in range(lab.often(1, 25)):
            proxy.lose_answer("pool", b"COMMIT")
            run = await caller.start(losing, "[[tokens=3000 rate=50]]")
            report.require(proxy.lost, "the commit of the prompt was not lost")
            (reader,) = load.watch(run, [[fleet[1]]])
            await reader.has_seen(5)
            proxy.lose_answer("pool", b"COMMIT")
            status, answer = await caller.send(losing, run.session_id, "[[tokens=3 rate=0]]")
            report.require(status == 202, f"the follow-up was answered {status}: {answer}")
            proxy.lose_answer("pool", b"COMMIT")
            status = await caller.interrupt(losing, run)
            report.require(status in (202, 503), f"the interrupt was answered {status}")
            again = await caller.interrupt(losing, run)
            report.require(again in (202, 409), f"the interrupt was answered {again} when it was repeated")
            await reader.until(lambda one: len(one.endings) == 2, "both runs end")
            report.require(sorted(reader.outcomes.values()) == ["completed", "interrupted"], f"{reader.outcomes}")
            await load.finish(report)
            proxy.lose_answer("pool", b"COMMIT")
            status, _answer = await caller.call("DELETE", losing, f"/api/sessions/{run.session_id}")
            report.require(status in (204, 503), f"the delete was answered {status}")
            status, _answer = await caller.call("GET", fleet[1], f"/api/sessions/{run.session_id}/events")
            report.require(status == 404, f"the deleted session answers {status}")
            report.times += 4
        found = await judge(report, load, lab.database_url)
        report.require(
            len(found.runs) == 2 * len(load.runs), f"{len(found.runs)} runs for {2 * len(load.runs)} prompts"
        )
        report.require(not losing.logged("request_failed"), "a request failed for a reason of ours")
    return report
