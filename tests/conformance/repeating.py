"""The same request again: `Idempotency-Key`."""

import json
from typing import Any
from uuid import uuid4

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal, together
from tests.conformance.deployment import BRIEF, LONG, Deployment, Run
from tests.conformance.judging import judge_replay
from tests.conformance.sse import ends, logged

PARALLEL = 20


def _body(text: str = BRIEF) -> dict[str, Any]:
    return {"userRequest": text, "provider": "simulated"}


async def _start(deployment: Deployment, caller: Caller, key: str, body: Any = None) -> Run:
    answer = await caller.post("/api/execute-remote", body or _body(), Prefer="respond-async", Idempotency_Key=key)
    return deployment.note(answer, caller)


@check("idempotency")
async def same_key_same_run(deployment: Deployment) -> None:
    """The same key and body again, on any replica, with other spaces and another order of members, is the same run."""
    key = uuid4().hex
    run = await _start(deployment, deployment.here, key)
    other = json.dumps(dict(reversed(_body().items())), indent=2).encode()
    for caller in deployment.everywhere:
        expect_equal(await _start(deployment, caller, key), run, "the first run")
        expect_equal(await _start(deployment, caller, key, other), run, "the first run")
    expect_equal(ends(await deployment.replay(run)), [("completed", run.run_id)], "the ends in the log")


@check("idempotency")
async def same_key_same_stream(deployment: Deployment) -> None:
    """The same key again gives the same stream, from its `user_message` to its end, also when the run is over."""
    key = uuid4().hex
    run = await _start(deployment, deployment.here, key, _body("[[tokens=20 rate=40]] twice"))
    live = logged(await deployment.replay(run))
    for caller in deployment.everywhere:
        body = _body("[[tokens=20 rate=40]] twice")
        async with caller.stream("/api/execute-remote", body, Idempotency_Key=key) as stream:
            expect_equal(stream.head.get("X-Run-ID"), run.run_id, "X-Run-ID")
            judge_replay(await stream.rest(), live, 0, "the stream of the repeated POST")


@check("idempotency")
async def same_key_another_body(deployment: Deployment) -> None:
    """The same key with another body is a conflict and starts nothing; another key is another run."""
    key = uuid4().hex
    run = await _start(deployment, deployment.here, key)
    other = _body(f"{BRIEF} and different")
    for headers in ({"Prefer": "respond-async"}, {}):
        answer = await deployment.there.post("/api/execute-remote", other, Idempotency_Key=key, **headers)
        answer.problem(409)
    another = await _start(deployment, deployment.there, uuid4().hex)
    expect(another.run_id != run.run_id, "another run for another key", another)


@check("idempotency")
async def twenty_at_once(deployment: Deployment) -> None:
    """Twenty identical requests raced over all replicas make one run."""
    key = uuid4().hex
    callers = [deployment.everywhere[number % len(deployment.addresses)] for number in range(PARALLEL)]
    runs = await together(*(_start(deployment, caller, key) for caller in callers))
    expect(len(set(runs)) == 1, "one run", sorted({run.run_id for run in runs}))
    frames = await deployment.replay(runs[0], deployment.there)
    prompts = [frame.run_id for frame in frames if frame.event == "user_message"]
    expect_equal(prompts, [runs[0].run_id], "the prompts in the log")


@check("idempotency")
async def same_key_for_a_follow_up(deployment: Deployment) -> None:
    """A follow-up with the same key again is the same run, in parallel too; another body is a conflict."""
    recording = await deployment.record()
    path, key = f"{recording.run.session}/send", uuid4().hex
    callers = deployment.everywhere * 4
    answers = await together(*(caller.post(path, {"message": BRIEF}, Idempotency_Key=key) for caller in callers))
    found = {answer.expect(202).json()["runId"] for answer in answers}
    expect(len(found) == 1, "one run", found)
    (await deployment.there.post(path, {"message": LONG}, Idempotency_Key=key)).problem(409)
    frames = await deployment.replay(recording.run, deployment.there, f"?lastEventId={recording.last}")
    expect_equal(ends(frames), [("completed", found.pop())], "the ends in the log")


@check("idempotency")
async def keys_are_per_user(deployment: Deployment) -> None:
    """Another user's request with the same key is a run of their own."""
    key = uuid4().hex
    guest = await deployment.guest()
    mine, theirs = await _start(deployment, deployment.here, key), await _start(deployment, guest, key)
    expect(mine.session_id != theirs.session_id, "two sessions", mine)
    (await guest.get(mine.session)).problem(404, "strangers")


@check("idempotency")
async def keys_are_per_route(deployment: Deployment) -> None:
    """A key that began a session is free for a follow-up to it."""
    key = uuid4().hex
    run = await _start(deployment, deployment.here, key)
    answer = await deployment.there.post(f"{run.session}/send", {"message": BRIEF}, Idempotency_Key=key)
    expect(answer.expect(202).json()["runId"] != run.run_id, "another run", answer.json())


@check("idempotency", needs_runs=False)
async def a_key_that_is_too_long(deployment: Deployment) -> None:
    """A key of more than 200 characters is refused."""
    (await deployment.here.post("/api/execute-remote", _body(), Idempotency_Key="k" * 201)).problem(400)
