"""Coming back: exactly the rest, on every replica."""

import asyncio
from itertools import pairwise

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal, together, violate
from tests.conformance.deployment import Deployment, Recording
from tests.conformance.judging import DELTAS, judge_ids, judge_replay
from tests.conformance.sse import Frame, ends, events, ids, logged, parse_all

AT_ONCE = 8
READERS = 20
UNPARSABLE = ("abc", "-1", "1.5", "1e3", "0x1", "+1", "1 2", "null", "9" * 100)
RUN = "[[tokens=60 rate=40 thinking=5]] while others come and go"


async def _rest(caller: Caller, recording: Recording, after: int, query: str = "", **headers: str) -> None:
    """What resume answers there is exactly what was live behind `after`."""
    answer = await caller.get(recording.run.resume + query, **headers)
    what = f"{answer.head.asked} {headers or ''}"
    if after >= recording.last:
        answer.expect(204, "nothing")
        expect(not answer.body, f"{what}: no body", answer.body, "nothing")
        return
    frames = parse_all(answer.expect(200).body)
    judge_replay(frames, recording.log, after, what)
    expect("reset" not in events(frames), f"{what}: no reset", events(frames)[:2], "cursor")


@check("ids")
async def resume_at_every_id(deployment: Deployment) -> None:
    """Every id of a session is a place to resume from, on every replica, by header and by query: exactly the rest
    comes, the same bytes."""
    sample = await deployment.sample()
    judge_ids(sample.log, 0, "the stream of the POST")
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(caller: Caller, after: int) -> None:
        async with gate:
            await _rest(caller, sample, after, f"?lastEventId={after}")
            await _rest(caller, sample, after, Last_Event_ID=str(after))

    await together(*(ask(caller, after) for caller in deployment.everywhere for after in range(sample.last + 1)))


@check("ids")
async def resume_while_it_runs(deployment: Deployment) -> None:
    """As soon as an id was seen live, another replica continues behind it, over into live, to the same end."""
    run = await deployment.start(RUN)
    readers: list[tuple[int, asyncio.Task[list[Frame]]]] = []
    async with deployment.here.stream(run.resume) as stream, asyncio.TaskGroup() as group:
        while (frame := await stream.next()) is not None:
            if frame.id is not None and frame.event not in ("completed", "usage", "message"):
                caller = deployment.everywhere[-1 - frame.id % len(deployment.addresses)]
                reading = deployment.replay(run, caller, Last_Event_ID=str(frame.id))
                readers.append((frame.id, group.create_task(reading)))
        live = logged(stream.seen)
    judge_ids(live, 0, "live")
    for after, reader in readers:
        judge_replay(reader.result(), live, after, f"resumed behind {after} while it ran")
    expect(len(readers) >= 60, "60 readers", len(readers))


@check("ids")
async def reconnect_again_and_again(deployment: Deployment) -> None:
    """A reader that leaves every few events and goes to another replica sees each event once."""
    run = await deployment.start("[[tokens=80 rate=100]] again and again")
    seen: list[Frame] = []
    turn = 0
    while not seen or seen[-1].event != "completed":
        caller = deployment.everywhere[turn % len(deployment.addresses)]
        turn += 1
        headers = {"Last_Event_ID": str(seen[-1].id)} if seen else {}
        async with caller.stream(run.resume, **headers) as stream:
            while len(stream.seen) < 12 and (frame := await stream.next()) is not None:
                if frame.id is not None:
                    seen.append(frame)
    judge_ids(seen, 0, f"over {turn} connections")
    judge_replay(await deployment.replay(run, deployment.there), seen, 0, "a replay of all of it")


@check("bytes")
async def replay_equals_live(deployment: Deployment) -> None:
    """A replay is byte for byte what was sent live, from every replica, however often."""
    sample = await deployment.sample()
    for caller in [*deployment.everywhere, deployment.here]:
        frames = await deployment.replay(sample.run, caller)
        judge_replay(frames, sample.log, 0, f"replay from {caller.address.url}")


@check("bytes")
async def many_readers_at_once(deployment: Deployment) -> None:
    """Twenty readers who come at different moments of a run all see the same."""
    run = await deployment.start("[[tokens=150 rate=300]] for many")

    async def read(number: int) -> list[Frame]:
        await asyncio.sleep(number / 50)
        return await deployment.replay(run, deployment.everywhere[number % len(deployment.addresses)])

    first, *others = await together(*(read(number) for number in range(READERS)))
    judge_ids(first, 0)
    for other in others:
        judge_replay(other, first, 0, "another reader")


@check("ids")
async def a_long_log_in_order(deployment: Deployment) -> None:
    """Thousands of events come whole, in order and without gap, from the start and from the middle."""
    recording = await deployment.record("[[tokens=3000 rate=0 size=40]] a lot")
    judge_ids(recording.log, 0, "live")
    expect(recording.last > 3000, "more than 3000 events", recording.last)
    for after in (0, 1500):
        frames = await deployment.replay(recording.run, deployment.there, f"?lastEventId={after}")
        judge_replay(frames, recording.log, after, f"behind {after}")


@check("cursor")
async def header_wins_over_query(deployment: Deployment) -> None:
    """`Last-Event-ID` wins over `lastEventId`, also over one that is nonsense."""
    sample = await deployment.sample()
    for caller in deployment.everywhere:
        await _rest(caller, sample, 9, "?lastEventId=4", Last_Event_ID="9")
        await _rest(caller, sample, 4, "?lastEventId=9", Last_Event_ID="4")
        await _rest(caller, sample, 9, "?lastEventId=nonsense", Last_Event_ID="9")


@check("cursor")
async def unparsable_cursor_resets(deployment: Deployment) -> None:
    """A cursor that is no number begins at 1 behind a `reset` frame, by header and by query."""
    sample = await deployment.sample()
    for value in UNPARSABLE:
        escaped = value.replace("+", "%2B").replace(" ", "%20")
        for query, headers in ((f"?lastEventId={escaped}", {}), ("", {"Last_Event_ID": value})):
            _judge_reset(await deployment.replay(sample.run, None, query, **headers), sample, value)


@check("cursor")
async def too_high_cursor_resets(deployment: Deployment) -> None:
    """A cursor beyond the log begins at 1 behind a `reset` frame, everywhere, also on a stream that stays open."""
    sample = await deployment.sample()
    for value in (str(sample.last + 1), str(2**62)):
        for caller in deployment.everywhere:
            _judge_reset(await deployment.replay(sample.run, caller, f"?lastEventId={value}"), sample, value)
            _judge_reset(await deployment.replay(sample.run, caller, Last_Event_ID=value), sample, value)
            async with caller.stream(sample.run.follow, Last_Event_ID=value) as stream:
                await stream.until("caught_up")
                _judge_reset(stream.seen, sample, value)


def _judge_reset(frames: list[Frame], sample: Recording, value: str) -> None:
    resets = [frame for frame in frames if frame.event == "reset"]
    expect(len(resets) == 1, f"one reset for the cursor {value[:30]}", events(frames)[:4])
    expect(resets[0].id is None and "reason" in resets[0].data, "reset {reason} without id", resets[0].raw)
    before = frames[: frames.index(resets[0])]
    expect(all(frame.retry is not None for frame in before), "reset at the beginning", [one.raw for one in before])
    judge_replay(frames, sample.log, 0, f"behind the reset for {value[:30]}")


@check("cursor")
async def no_cursor_begins_at_one(deployment: Deployment) -> None:
    """No cursor, an empty one and 0 begin at 1 without a `reset`: that is how an EventSource starts."""
    sample = await deployment.sample()
    await _rest(deployment.here, sample, 0)
    for value in ("", "0"):
        await _rest(deployment.here, sample, 0, f"?lastEventId={value}")
        await _rest(deployment.here, sample, 0, Last_Event_ID=value)


@check("nothing")
async def nothing_to_say_is_204(deployment: Deployment) -> None:
    """At the end of the log of a session at rest the answer is 204 without a body, for an EventSource too."""
    sample = await deployment.sample()
    for caller in deployment.everywhere:
        for answer in (
            await caller.get(f"{sample.run.resume}?lastEventId={sample.last}"),
            await caller.get(sample.run.resume, Last_Event_ID=str(sample.last), Accept="text/event-stream"),
            await caller.get(f"{sample.run.resume}?lastEventId={sample.last}&deltas=0"),
        ):
            answer.expect(204)
            kind = answer.head.get("Content-Type")
            expect("event-stream" not in kind, f"{answer.head.asked}: no stream", kind)


@check("resume")
async def waits_at_the_head_of_a_run(deployment: Deployment) -> None:
    """Behind the newest event of a session that runs, the stream waits for the next one instead of ending."""
    run = await deployment.start("[[tokens=20 rate=20]] wait")
    async with deployment.there.stream(run.follow) as stream:
        newest = (await stream.until("text_delta")).id or 0
    frames = await deployment.replay(run, deployment.there, f"?lastEventId={newest}")
    judge_ids(frames, newest)
    expect_equal(logged(frames)[-1].event, "completed", "the last event")


@check("resume")
async def ends_when_the_queue_is_empty(deployment: Deployment) -> None:
    """The server ends the stream behind the last queued run, not before."""
    run = await deployment.start("[[tokens=15 rate=30]] first of three")
    sent = [await deployment.send(run) for _ in range(2)]
    frames = await deployment.replay(run, deployment.there)
    judge_ids(frames, 0)
    wanted = [("completed", run_id) for run_id in (run.run_id, *(one["runId"] for one in sent))]
    expect_equal(ends(frames), wanted, "the ends of all runs")


@check("deltas")
async def without_deltas(deployment: Deployment) -> None:
    """With `deltas=0` whole messages come instead of deltas, live as in a replay, ids rising."""
    run = await deployment.start("[[tokens=30 rate=60 thinking=3]] whole")
    live, other = await together(
        deployment.replay(run, deployment.here, "?deltas=0"), deployment.replay(run, deployment.there, "?deltas=0")
    )
    whole = await deployment.replay(run, deployment.there)
    wanted = [frame.raw for frame in logged(whole) if frame.event not in DELTAS]
    for frames in (live, other, await deployment.replay(run, deployment.there, "?deltas=0")):
        found = logged(frames)
        expect(not set(DELTAS) & set(events(found)), "no deltas", events(found))
        expect_equal([frame.raw for frame in found], wanted, "the other events")
    if any(one >= other for one, other in pairwise(ids(live))):
        violate("rising ids", ids(live), "ids")
