"""Prompts and what becomes of them."""

from typing import Any
from uuid import uuid4

from tests.conformance.check import check, expect, expect_equal
from tests.conformance.deployment import BRIEF, LONG, SLOW, Deployment, Recording, Run
from tests.conformance.judging import judge_ids, judge_replay
from tests.conformance.sse import TERMINAL, ends, events, ids, logged

EXECUTE = "/api/execute-remote"
BAD: list[Any] = [
    {}, [], "x", 1, {"userRequest": ""}, {"userRequest": "   "}, {"userRequest": 1}, {"userRequest": []},
    {"userRequest": [{"type": "text"}]}, {"userRequest": [{"type": "video", "text": "x"}]},
    {"userRequest": "x", "provider": "nobody"}, {"userRequest": "x", "onBusy": "never"},
    {"userRequest": "x", "github": {"repoUrl": "file:///etc"}}, b"", b"{", b"\xff\xfe", b'{"userRequest":NaN}',
]  # fmt: skip


@check("execute")
async def post_answers_with_a_stream(deployment: Deployment) -> None:
    """The POST names session, run and the place to resume before its first byte."""
    async with deployment.here.stream(EXECUTE, {"userRequest": BRIEF, "provider": "simulated"}) as stream:
        head = stream.head
        deployment.note_session(deployment.here, head.get("X-Session-ID"))
        where = f"/api/resume/{head.get('X-Session-ID')}"
        expect(head.get("X-Session-ID") and head.get("X-Run-ID"), "X-Session-ID and X-Run-ID", head.fields)
        expect(head.get("Location").endswith(where), f"Location: {where}", head.get("Location"))
        await stream.rest()
    expect_equal({frame.run_id for frame in logged(stream.seen)}, {head.get("X-Run-ID")}, "the runId of all events")


def _judge_scope(recording: Recording) -> None:
    first, last = recording.log[0], recording.log[-1]
    expect_equal((first.event, first.run_id), ("user_message", recording.run.run_id), "the first event")
    expect(last.event in TERMINAL and last.run_id == recording.run.run_id, "its own terminal event last", last.raw)


@check("post-scope")
async def post_ends_with_its_run(deployment: Deployment) -> None:
    """The stream of the POST begins with its `user_message`, ends behind its terminal event, and is the whole log."""
    sample = await deployment.sample()
    _judge_scope(sample)
    judge_ids(sample.log, 0, "the stream of the POST")
    expect_equal(len(ends(sample.frames)), 1, "terminal events")


@check("post-scope")
async def post_on_an_existing_session(deployment: Deployment) -> None:
    """On a session that is there already the stream begins with its own prompt, not with history, on any replica."""
    first = await deployment.record()
    again = await deployment.record(BRIEF, deployment.there, websiteSessionId=first.run.session_id)
    expect_equal(again.run.session_id, first.run.session_id, "the same session")
    _judge_scope(again)
    judge_ids(again.log, first.last, "behind the first run")


@check("post-scope")
async def post_that_waits_in_the_queue(deployment: Deployment) -> None:
    """A POST that waits sees everything between its own prompt and its own end, the other run's events too."""
    run = await deployment.start(SLOW)
    waited = await deployment.record(BRIEF, deployment.there, websiteSessionId=run.session_id)
    _judge_scope(waited)
    judge_ids(waited.log, (waited.log[0].id or 1) - 1, "while it waited")
    expect_equal(ends(waited.frames), [("completed", run.run_id), ("completed", waited.run.run_id)], "both ends")
    whole = logged(await deployment.replay(run))
    judge_replay(waited.log, whole, (waited.log[0].id or 1) - 1, "as in the log")


@check("post-scope")
async def nothing_behind_the_end_of_a_run(deployment: Deployment) -> None:
    """The terminal event is the last frame of the POST's stream, also where the run was over before it was asked."""
    body, key = {"userRequest": BRIEF, "provider": "simulated"}, uuid4().hex
    for caller in (deployment.here, *deployment.everywhere):
        async with caller.stream(EXECUTE, body, Idempotency_Key=key) as stream:
            deployment.note_session(caller, stream.head.get("X-Session-ID"))
            frames = [frame for frame in await stream.rest() if frame.event]
        expect(frames[-1].event in TERMINAL, "the terminal event last", frames[-1].raw)
        expect_equal(events(frames).count("caught_up"), 1, "caught_up before it, times", "caught-up")


@check("async")
async def respond_async(deployment: Deployment) -> None:
    """`Prefer: respond-async` answers 202 with session, run and status, and says where to resume."""
    body = {"userRequest": BRIEF, "provider": "simulated"}
    answer = await deployment.here.post(EXECUTE, body, Prefer="respond-async")
    run = deployment.note(answer)
    expect(answer.json()["status"] in ("running", "queued"), "running or queued", answer.json())
    expect(answer.head.get("Location").endswith(run.resume), f"Location: {run.resume}", answer.head.get("Location"))
    expect_equal(ends(await deployment.replay(run, deployment.there)), [("completed", run.run_id)], "its end")


@check("detached")
async def run_survives_its_connection(deployment: Deployment) -> None:
    """A run whose client hangs up after the first events completes all the same, and another replica has all of it."""
    async with deployment.here.stream(EXECUTE, {"userRequest": SLOW, "provider": "simulated"}) as stream:
        run = Run(stream.head.get("X-Session-ID"), stream.head.get("X-Run-ID"))
        deployment.note_session(deployment.here, run.session_id)
        await stream.until("text_delta")
    frames = await deployment.replay(run, deployment.there)
    judge_replay([frame for frame in frames if frame.id in ids(stream.seen)], logged(stream.seen), 0, "what it saw")
    expect_equal(ends(frames), [("completed", run.run_id)], "its end")


@check("message")
async def the_message_is_its_deltas(deployment: Deployment) -> None:
    """`message` holds what the deltas said, thinking included, and names the first of them."""
    sample = await deployment.sample()
    texts = {
        kind: "".join(frame.data["text"] for frame in sample.log if frame.event == kind)
        for kind in ("thinking_delta", "text_delta")
    }
    [message] = [frame for frame in sample.log if frame.event == "message"]
    wanted = [{"type": "thinking", "thinking": texts["thinking_delta"]}, {"type": "text", "text": texts["text_delta"]}]
    expect_equal(message.data["content"], wanted, "content")
    expect_equal(message.data["role"], "assistant", "role")
    deltas = [frame for frame in sample.log if frame.data.get("messageId") == message.data["messageId"]]
    expect_equal(message.data["replacesFrom"], deltas[0].id, "replacesFrom")


@check("one-end")
async def one_end_each_run(deployment: Deployment) -> None:
    """Each run has one prompt, one start and one end, in this order."""
    recording = await deployment.record()
    names = [name for name in events(recording.log) if name in ("user_message", "run_started", *TERMINAL)]
    expect_equal(names, ["user_message", "run_started", "completed"], "prompt, start, end")
    expect_equal(await deployment.status(recording.run), "completed", "the session's status")


@check("failed")
async def a_run_that_fails(deployment: Deployment) -> None:
    """A run whose provider fails ends with `failed` behind what it had said, and its session is `failed`."""
    recording = await deployment.record("[[tokens=10 rate=0 error_after=4]] fail")
    _judge_scope(recording)
    expect_equal(events(recording.log).count("text_delta"), 4, "the deltas before")
    last = recording.log[-1]
    expect_equal(last.event, "failed", "the last event")
    expect_equal((last.run_id, last.data.get("retryable")), (recording.run.run_id, True), "runId and retryable")
    expect(last.data.get("code") and last.data.get("message"), "code and message", last.raw)
    expect_equal(await deployment.status(recording.run), "failed", "the session's status")
    again = await deployment.record(BRIEF, websiteSessionId=recording.run.session_id)
    expect_equal(again.log[-1].event, "completed", "the next run of the session")


@check("events")
async def content_blocks(deployment: Deployment) -> None:
    """A prompt of blocks, an image among them, is logged as it was; a string is one text block."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    blocks = [{"type": "text", "text": BRIEF}, image]
    recording = await deployment.record(blocks)
    expect_equal(recording.log[0].data, {"runId": recording.run.run_id, "content": blocks}, "user_message")


@check("problems", needs_runs=False)
async def a_prompt_that_is_none(deployment: Deployment) -> None:
    """What is no prompt is refused with `invalid_request` and makes no session."""
    before = (await deployment.here.get("/api/sessions?limit=1")).expect(200).json()["sessions"]
    for body in BAD:
        (await deployment.here.post(EXECUTE, body)).problem(400)
    after = (await deployment.there.get("/api/sessions?limit=1")).expect(200).json()["sessions"]
    expect_equal([one["id"] for one in after], [one["id"] for one in before], "the newest session")


@check("own-session")
async def only_an_own_session(deployment: Deployment) -> None:
    """`websiteSessionId` that is unknown or malformed is `not_found`."""
    for session_id in (str(uuid4()), "x", ""):
        body = {"userRequest": BRIEF, "provider": "simulated", "websiteSessionId": session_id}
        (await deployment.here.post(EXECUTE, body)).problem(404)


@check("send")
async def a_follow_up(deployment: Deployment) -> None:
    """A message to a session at rest runs at once, seen from any replica."""
    first = await deployment.record()
    sent = await deployment.send(first.run, BRIEF, deployment.there)
    expect_equal((sent["status"], sent["position"]), ("running", 0), "status and position")
    frames = await deployment.replay(first.run, deployment.here, f"?lastEventId={first.last}")
    judge_ids(frames, first.last)
    expect_equal(ends(frames), [("completed", sent["runId"])], "its end")
    for body in ({}, {"message": ""}, {"message": 1}, {"message": BRIEF, "onBusy": "never"}, b"{"):
        (await deployment.here.post(f"{first.run.session}/send", body)).problem(400)
    (await deployment.here.post(f"/api/sessions/{uuid4()}/send", {"message": LONG})).problem(404)
