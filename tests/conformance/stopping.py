"""Interrupts, from anywhere."""

import time
from uuid import uuid4

from tests.conformance.check import check, expect, expect_equal, together
from tests.conformance.deployment import LONG, Deployment
from tests.conformance.judging import judge_ids
from tests.conformance.sse import ends, logged

SOON_SECONDS = 10.0


@check("interrupt")
async def interrupt_from_another_replica(deployment: Deployment) -> None:
    """A run that one replica drives is ended by an interrupt at another, within seconds, and says so."""
    run = await deployment.start(LONG)
    async with deployment.here.stream(run.resume) as stream:
        await stream.until("text_delta")
        began = time.monotonic()
        answer = (await deployment.interrupt(run, deployment.there)).expect(202)
        wanted = {"sessionId": run.session_id, "runId": run.run_id, "status": "interrupting"}
        expect_equal(answer.json(), wanted, "the answer")
        frames = await stream.rest()
    expect(time.monotonic() - began < SOON_SECONDS, f"an end within {SOON_SECONDS:g} s", time.monotonic() - began)
    judge_ids(frames, 0)
    last = logged(frames)[-1]
    expect_equal((last.event, last.run_id), ("interrupted", run.run_id), "the last event")
    expect(last.data.get("by"), "by whom", last.raw)
    expect_equal(await deployment.status(run), "interrupted", "the session's status")


@check("interrupt")
async def interrupt_without_a_body(deployment: Deployment) -> None:
    """Without a body the run that is running is meant."""
    run = await deployment.start(LONG)
    async with deployment.there.stream(run.resume) as stream:
        await stream.until("run_started")
        answer = await deployment.there.post(f"{run.session}/interrupt")
        expect_equal(answer.expect(202).json()["runId"], run.run_id, "runId")
        expect_equal(ends(await stream.rest()), [("interrupted", run.run_id)], "its end")


@check("interrupt")
async def interrupt_twice(deployment: Deployment) -> None:
    """The same interrupt many times, at all replicas at once, gets one answer (409 once it has ended) and ends it
    once."""
    run = await deployment.start(LONG)
    answers = await together(*(deployment.interrupt(run, caller) for caller in deployment.everywhere * 3))
    statuses = [answer.status for answer in answers]
    expect(set(statuses) <= {202, 409} and 202 in statuses, "202, or 409 once it has ended", statuses)
    for answer in answers:
        if answer.status == 409:
            answer.problem(409)
    bodies = {answer.body for answer in answers if answer.status == 202}
    expect(len(bodies) == 1, "one and the same answer", bodies)
    expect_equal(ends(await deployment.replay(run)), [("interrupted", run.run_id)], "its end")


@check("interrupt")
async def interrupt_what_has_ended(deployment: Deployment) -> None:
    """Nothing running is a conflict, and so is a run that has ended, even while another one runs."""
    first = await deployment.record()
    (await deployment.there.post(f"{first.run.session}/interrupt")).problem(409)
    (await deployment.interrupt(first.run)).problem(409)
    await deployment.send(first.run, LONG)
    (await deployment.interrupt(first.run, deployment.there)).problem(409)
    expect_equal(await deployment.status(first.run), "running", "the other run's session")
    (await deployment.there.post(f"{first.run.session}/interrupt")).expect(202)


@check("interrupt")
async def interrupt_a_run_that_is_not_there(deployment: Deployment) -> None:
    """A malformed or unknown run id, or one of another session, is not found and stops nothing."""
    run, other = await deployment.start(LONG), await deployment.start(LONG)
    for run_id in ("x", "", str(uuid4()), other.run_id):
        (await deployment.there.post(f"{run.session}/interrupt", {"runId": run_id})).problem(404)
    for body in ([], {"runId": 1}, b"{"):
        (await deployment.here.post(f"{run.session}/interrupt", body)).problem(400)
    for one in (run, other):
        expect_equal(await deployment.status(one), "running", "the session's status")
        (await deployment.interrupt(one)).expect(202)


@check("interrupt")
async def interrupt_a_queued_run(deployment: Deployment) -> None:
    """A run that waits is ended where it stands; what runs goes on, and what waits behind it runs."""
    run = await deployment.start("[[tokens=40 rate=40]] runs")
    second = await deployment.send(run)
    third = await deployment.send(run)
    path = f"{run.session}/interrupt"
    answer = await deployment.there.post(path, {"runId": second["runId"]})
    expect_equal(answer.expect(202).json()["runId"], second["runId"], "runId")
    wanted = [("interrupted", second["runId"]), ("completed", run.run_id), ("completed", third["runId"])]
    expect_equal(ends(await deployment.replay(run, deployment.there)), wanted, "the ends in the log")
    (await deployment.there.post(path, {"runId": second["runId"]})).problem(409)


@check("queue-goes-on")
async def queue_goes_on_behind_an_interrupt(deployment: Deployment) -> None:
    """After an interrupt the next of the queue runs."""
    run = await deployment.start(LONG)
    second = await deployment.send(run)
    (await deployment.interrupt(run)).expect(202)
    wanted = [("interrupted", run.run_id), ("completed", second["runId"])]
    expect_equal(ends(await deployment.replay(run, deployment.there)), wanted, "the ends in the log")
