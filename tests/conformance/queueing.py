"""A prompt to a session that is busy."""

from tests.conformance.check import check, expect, expect_equal, together
from tests.conformance.deployment import BRIEF, LONG, Deployment
from tests.conformance.judging import judge_ids
from tests.conformance.sse import ends, logged


@check("busy")
async def queue_in_order(deployment: Deployment) -> None:
    """Prompts that wait run one after the other, in the order of the log, whichever replica took them."""
    run = await deployment.start("[[tokens=20 rate=30]] first")
    sent = [await deployment.send(run, BRIEF, caller) for caller in deployment.everywhere * 2]
    expect_equal([one["status"] for one in sent], ["queued"] * len(sent), "status")
    expect_equal([one["position"] for one in sent], list(range(1, len(sent) + 1)), "position")
    frames = await deployment.replay(run, deployment.there)
    judge_ids(frames, 0)
    order = [run.run_id, *(one["runId"] for one in sent)]
    expect_equal(ends(frames), [("completed", run_id) for run_id in order], "the ends in the log")
    marks = [frame.event for frame in frames if frame.event in ("run_started", "completed")]
    expect_equal(marks, ["run_started", "completed"] * len(order), "one at a time")


@check("busy")
async def prompts_at_once_are_all_there(deployment: Deployment) -> None:
    """Prompts sent to one session at all replicas in the same moment each run once, one at a time."""
    first = await deployment.record()
    callers = deployment.everywhere * 3
    sent = await together(*(deployment.send(first.run, BRIEF, caller) for caller in callers))
    frames = await deployment.replay(first.run, deployment.there, f"?lastEventId={first.last}")
    judge_ids(frames, first.last)
    prompts = [frame.run_id for frame in logged(frames) if frame.event == "user_message"]
    expect_equal(sorted(prompts), sorted(one["runId"] for one in sent), "the prompts in the log")
    expect_equal(ends(frames), [("completed", run_id) for run_id in prompts], "the ends in the order of the prompts")


@check("busy")
async def a_prompt_is_logged_when_it_is_accepted(deployment: Deployment) -> None:
    """The `user_message` of a prompt that waits is in the log when the POST is answered."""
    run = await deployment.start(LONG)
    sent = await deployment.send(run, [{"type": "text", "text": BRIEF}])
    page = (await deployment.there.get(f"{run.session}/events?limit=1000")).expect(200).json()
    prompts = [event["runId"] for event in page["events"] if event["type"] == "user_message"]
    expect_equal(prompts, [run.run_id, sent["runId"]], "the prompts in the log")
    (await deployment.there.delete(run.session)).expect(204)


@check("busy")
async def a_prompt_that_interrupts(deployment: Deployment) -> None:
    """`onBusy: interrupt` ends what runs and then runs, by send and by execute-remote."""
    run = await deployment.start(LONG)
    sent = await deployment.send(run, LONG, deployment.there, onBusy="interrupt")
    async with deployment.here.stream(run.follow) as stream:
        # Until then the first run may be the one that a prompt interrupts, again.
        await stream.until(lambda frame: frame.event == "run_started" and frame.run_id == sent["runId"])
    last = await deployment.start(BRIEF, deployment.there, websiteSessionId=run.session_id, onBusy="interrupt")
    wanted = [("interrupted", run.run_id), ("interrupted", sent["runId"]), ("completed", last.run_id)]
    expect_equal(ends(await deployment.replay(run)), wanted, "the ends in the log")


@check("busy")
async def a_prompt_that_is_rejected(deployment: Deployment) -> None:
    """`onBusy: reject` is a conflict on a busy session, logs nothing there, and runs on one at rest."""
    run = await deployment.start(LONG)
    body = {"message": BRIEF, "onBusy": "reject"}
    (await deployment.there.post(f"{run.session}/send", body)).problem(409)
    again = {"userRequest": BRIEF, "provider": "simulated", "websiteSessionId": run.session_id, "onBusy": "reject"}
    (await deployment.here.post("/api/execute-remote", again)).problem(409)
    (await deployment.interrupt(run)).expect(202)
    frames = await deployment.replay(run)
    expect_equal([frame.run_id for frame in frames if frame.event == "user_message"], [run.run_id], "the prompts")
    sent = await deployment.send(run, BRIEF, onBusy="reject")
    expect(sent["status"] == "running", "running at once", sent)
