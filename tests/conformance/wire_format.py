"""The bytes of a stream."""

import re
from typing import Any

from tests.conformance.check import Violation, check, expect, expect_equal, expect_members, violate
from tests.conformance.deployment import BRIEF, Deployment
from tests.conformance.sse import TERMINAL, events, ids, logged, parse, parse_all
from tests.conformance.wire import Head

# The members of each event of the log, beside `runId`, and their types.
TEXT, NUMBER, OBJECT, LIST, TRUTH = (str,), (int, float), (dict,), (list,), (bool,)
MEMBERS: dict[str, dict[str, tuple[type, ...]]] = {
    "user_message": {"content": LIST},
    "run_started": {"attempt": NUMBER, "provider": TEXT, "model": (str, type(None)), "container": TEXT},
    "text_delta": {"messageId": TEXT, "text": TEXT},
    "thinking_delta": {"messageId": TEXT, "text": TEXT},
    "tool_use": {"messageId": TEXT, "toolUseId": TEXT, "name": TEXT, "input": OBJECT},
    "tool_result": {"toolUseId": TEXT, "content": (str, list, dict, type(None)), "isError": TRUTH},
    "message": {"messageId": TEXT, "role": TEXT, "content": LIST, "replacesFrom": (int, type(None))},
    "usage": {"inputTokens": NUMBER, "outputTokens": NUMBER},
    "run_restarted": {"attempt": NUMBER, "reason": TEXT},
    "run_recovered": {"attempt": NUMBER, "container": TEXT},
    "completed": {"stopReason": TEXT, "durationMs": NUMBER},
    "failed": {"code": TEXT, "message": TEXT, "retryable": TRUTH},
    "interrupted": {"by": TEXT},
}
STATUSES = ("pending", "running", "completed", "failed", "interrupted")
HOSTILE = (
    "one\ntwo\r\nthree\rfour\n\nid: 99\nevent: completed\ndata: {}\n\n"
    "\u2028 \u2029 \x85 \x0b \x0c \x1c \ufeff \ufffd \U0001f600 \\n \" ' </script> : retry: 1\n\n"
)


async def _bodies(deployment: Deployment) -> dict[str, bytes]:
    """Whole bodies of streams that the server ended."""
    sample = await deployment.sample()
    found = {"POST /api/execute-remote": sample.body}
    for caller in deployment.everywhere:
        answer = await caller.get(sample.run.resume)
        found[f"GET {caller.address.url}{sample.run.resume}"] = answer.expect(200).body
    return found


def _judge_headers(head: Head) -> None:
    expect(head.media_type() == "text/event-stream", f"{head.asked}: text/event-stream", head.get("Content-Type"))
    given = {word.strip().lower() for word in head.get("Cache-Control").split(",")}
    expect(given >= {"no-cache", "no-transform"}, f"{head.asked}: no-cache, no-transform", sorted(given))
    expect("content-length" not in dict(head.fields), f"{head.asked}: no Content-Length", head.fields)
    buffering = head.get("X-Accel-Buffering")
    # nginx takes this header for itself.
    taken = head.get("Server").lower().startswith("nginx") and not buffering
    expect(taken or buffering == "no", f"{head.asked}: X-Accel-Buffering: no", buffering or "none")


@check("headers")
async def stream_headers(deployment: Deployment) -> None:
    """Every kind of stream says that it is one, that nobody may cache, change or buffer it, and not how long it is."""
    sample = await deployment.sample()
    for caller in deployment.everywhere:
        for path in (sample.run.resume, sample.run.follow, "/api/sessions/updates"):
            async with caller.stream(path) as stream:
                _judge_headers(stream.head)
    async with deployment.here.stream("/api/execute-remote", {"userRequest": BRIEF, "provider": "simulated"}) as stream:
        deployment.note_session(deployment.here, stream.head.get("X-Session-ID"))
        _judge_headers(stream.head)


@check("lines")
async def line_ends(deployment: Deployment) -> None:
    """Lines end with LF alone, in UTF-8 without a byte order mark, and the last frame is whole."""
    for what, body in (await _bodies(deployment)).items():
        where = body.find(b"\r")
        expect(where < 0, f"{what}: no CR", body[max(0, where - 40) : where + 10])
        expect(not body.startswith(b"\xef\xbb\xbf"), f"{what}: no byte order mark", body[:20])
        expect(body.endswith(b"\n\n"), f"{what}: a blank line at the end", body[-60:])
        try:
            body.decode()
        except UnicodeDecodeError as error:
            violate(f"{what}: UTF-8", str(error))


@check("retry")
async def retry_first(deployment: Deployment) -> None:
    """The first frame of every stream is `retry:` alone, between a moment and a minute."""
    firsts = {what: parse(body.partition(b"\n\n")[0] + b"\n\n") for what, body in (await _bodies(deployment)).items()}
    async with deployment.here.stream("/api/sessions/updates") as stream:
        await stream.until("snapshot")
        firsts["GET /api/sessions/updates"] = stream.seen[0]
    for what, frame in firsts.items():
        expect(frame.retry is not None, f"{what}: retry first", frame.raw)
        expect(0 < (frame.retry or 0) <= 60_000, f"{what}: from 1 to 60000 ms", frame.raw)


@check("frames")
async def log_frames(deployment: Deployment) -> None:
    """Every event of the log is three lines, id, event and data, and the data one line of JSON."""
    for what, body in (await _bodies(deployment)).items():
        for block in body.split(b"\n\n"):
            if b"id:" in block[:3] or b"\nid:" in block:
                names = [line.partition(b": ")[0] for line in block.split(b"\n")]
                expect(names == [b"id", b"event", b"data"], f"{what}: id, event, data", block)
        try:
            found = logged(parse_all(body))
        except Violation as error:
            raise Violation(f"{what}: {error.expected}", error.came, error.rule) from None
        expect(found, f"{what}: frames of the log", body)


@check("control")
async def control_frames_without_id(deployment: Deployment) -> None:
    """`caught_up` and `reset` carry no id, and no event of the log is without one."""
    sample = await deployment.sample()
    answer = await deployment.here.get(f"{sample.run.resume}?lastEventId=nonsense")
    for body in (answer.expect(200).body, *(await _bodies(deployment)).values()):
        for block in body.split(b"\n\n"):
            event = re.search(rb"^event: (.*)$", block, re.M)
            if event is not None:
                outside = event[1] in (b"caught_up", b"reset", b"draining")
                expect((b"\nid:" in b"\n" + block) != outside, "an id on events of the log and on no other", block)


@check("caught-up")
async def caught_up_once(deployment: Deployment) -> None:
    """`caught_up` comes once, behind the replay, with the cursor and the session's status."""
    sample = await deployment.sample()
    for after in (0, 3):
        frames = await deployment.replay(sample.run, deployment.there, f"?lastEventId={after}")
        found = [frame for frame in frames if frame.event == "caught_up"]
        expect(len(found) == 1, "caught_up once", events(frames))
        expect_equal(found[0].data, {"lastEventId": sample.last, "status": "completed"}, "caught_up")
        expect(frames[-1] is found[0], "caught_up behind the last event", events(frames)[-4:])
    run = await deployment.start("[[tokens=20 rate=40]] for a while")
    async with deployment.there.stream(run.follow) as stream:
        caught = await stream.until("caught_up")
        expect_members(caught.data, ("lastEventId", "status"), "caught_up")
        expect(caught.data["status"] in STATUSES, f"one of {', '.join(STATUSES)}", caught.data)
        expect_equal(caught.data["lastEventId"], (ids(stream.seen) or [0])[-1], "caught_up names the last id before it")
        await stream.until("completed")
        expect(events(stream.seen).count("caught_up") == 1, "caught_up once", events(stream.seen))


@check("events")
async def event_members(deployment: Deployment) -> None:
    """The events of runs that complete, fail and are interrupted have the types and members that were promised."""
    failed = await deployment.record("[[tokens=6 rate=0 error_after=3]] fail")
    run = await deployment.start()
    (await deployment.interrupt(run)).expect(202)
    seen = [*(await deployment.sample()).log, *failed.log, *logged(await deployment.replay(run))]
    for frame in seen:
        name = str(frame.event)
        expect(name in MEMBERS, f"one of {', '.join(MEMBERS)}", frame.raw)
        expect(isinstance(frame.run_id, str), "a runId", frame.raw)
        for member, types in MEMBERS[name].items():
            value: Any = frame.data.get(member, violate)
            number_wanted = bool not in types and isinstance(value, bool)
            expect(isinstance(value, types) and not number_wanted, f"{name} with {member}", frame.raw)
    expect(set(TERMINAL) <= set(events(seen)), "all three ends", sorted(set(events(seen))))


@check("text")
async def text_breaks_no_frame(deployment: Deployment) -> None:
    """A prompt full of line ends and field names is one frame, and comes back as it was."""
    recording = await deployment.record(f"{BRIEF} {HOSTILE}")
    _expect_text(recording.log[0].data, f"{BRIEF} {HOSTILE}")
    replay = await deployment.replay(recording.run, deployment.there)
    _expect_text(logged(replay)[0].data, f"{BRIEF} {HOSTILE}")
    expect(ids(replay)[:2] == [1, 2], "the frame behind it", ids(replay)[:2])


@check("text")
async def nul_and_half_characters(deployment: Deployment) -> None:
    """NUL and unpaired surrogates become U+FFFD instead of an error."""
    body = b'{"provider":"simulated","userRequest":"[[tokens=1 rate=0]] a\\u0000b\\ud83dc\\udc00d\\ud83d\\ude00"}'
    async with deployment.here.stream("/api/execute-remote", body) as stream:
        deployment.note_session(deployment.here, stream.head.get("X-Session-ID"))
        frames = logged(await stream.rest())
    _expect_text(frames[0].data, "[[tokens=1 rate=0]] a\ufffdb\ufffdc\ufffdd\U0001f600")
    expect(frames[-1].event == "completed", "completed", frames[-1].raw)


def _expect_text(data: Any, text: str) -> None:
    expect_equal(data.get("content"), [{"type": "text", "text": text}], "content")


@check("keep-alive", long=True)
async def keep_alive_comments(deployment: Deployment) -> None:
    """A stream on which nothing happens gets a comment within about 15 s, on every kind of stream."""
    sample = await deployment.sample()
    for path, first in ((sample.run.follow, "caught_up"), ("/api/sessions/updates", "snapshot")):
        async with deployment.there.stream(path) as stream:
            await stream.until(first)
            # Bounded by the patience for one read, 20 s.
            await stream.until_comment()
