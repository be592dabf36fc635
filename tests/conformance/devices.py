"""A second device, JSON pages and the long poll: everybody sees the same log."""

import asyncio
import time
from typing import Any

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal, expect_members, together, violate
from tests.conformance.deployment import BRIEF, SLOW, Deployment, Run
from tests.conformance.judging import judge_ids, judge_replay
from tests.conformance.sse import Frame, logged

BAD_QUERIES = ("after=-1", "after=x", "after=1.5", "limit=0", "limit=x", "wait=31", "wait=-1", "wait=x")


async def _page(caller: Caller, run: Run, query: str = "") -> Any:
    answer = (await caller.get(f"{run.session}/events{query}")).expect(200)
    page = answer.json()
    expect_members(page, ("events", "lastEventId", "status"), answer.head.asked, "pages")
    return page


async def _pages(caller: Caller, run: Run, limit: int) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await _page(caller, run, f"?after={found[-1]['id'] if found else 0}&limit={limit}")
        expect(len(page["events"]) <= limit, f"at most {limit} events", len(page["events"]))
        if not page["events"]:
            return found
        found += page["events"]
        expect_equal(page["lastEventId"], found[-1]["id"], "lastEventId of a page")


@check("follow")
async def second_device_sees_the_same(deployment: Deployment) -> None:
    """Devices at all replicas follow a run that another connection started, and see the same bytes."""
    run = await deployment.start(SLOW)

    async def follow(caller: Caller) -> list[Frame]:
        async with caller.stream(run.follow) as stream:
            await stream.until("completed")
            return stream.seen

    first, *others = await together(*(follow(caller) for caller in [*deployment.everywhere, deployment.here]))
    judge_ids(first, 0)
    for other in others:
        judge_replay(other, first, 0, "another device")
    judge_replay(await deployment.replay(run), first, 0, "a replay")


@check("follow")
async def follow_stays_open(deployment: Deployment) -> None:
    """The stream of a session stays open over later runs, started anywhere, and continues behind its cursor."""
    recording = await deployment.record()
    async with deployment.there.stream(recording.run.follow, Last_Event_ID=str(recording.last)) as stream:
        caught = await stream.until("caught_up")
        expect_equal(caught.data, {"lastEventId": recording.last, "status": "completed"}, "caught_up")
        for caller in (deployment.here, deployment.there):
            sent = await deployment.send(recording.run, BRIEF, caller)
            expect_equal((await stream.until("completed")).run_id, sent["runId"], "the run that completed")
        judge_ids(stream.seen, recording.last, "over two later runs")


@check("follow")
async def follow_takes_a_cursor(deployment: Deployment) -> None:
    """The stream of a session takes cursor, header before query, and `deltas=0`, as resume does."""
    sample = await deployment.sample()
    for caller in deployment.everywhere:
        async with caller.stream(f"{sample.run.follow}?lastEventId=2", Last_Event_ID="6") as stream:
            await stream.until("caught_up")
            judge_replay(stream.seen, sample.log, 6, "behind the cursor 6")
        async with caller.stream(f"{sample.run.follow}?deltas=0") as stream:
            await stream.until("caught_up")
            kinds = {frame.event for frame in logged(stream.seen)}
            expect(not kinds & {"text_delta", "thinking_delta"}, "no deltas", kinds, "deltas")


@check("pages")
async def pages_agree_with_the_stream(deployment: Deployment) -> None:
    """JSON pages of any size, from any replica, hold the same events as the stream."""
    sample = await deployment.sample()
    frames = logged(await deployment.replay(sample.run))
    wanted = [{"id": frame.id, "type": frame.event, "data": frame.data, "runId": frame.run_id} for frame in frames]
    for caller in deployment.everywhere:
        for limit in (1, 7, 500):
            found = await _pages(caller, sample.run, limit)
            expect(all("createdAt" in event for event in found), "createdAt", found[:1])
            without = [{key: event.get(key) for key in ("id", "type", "data", "runId")} for event in found]
            expect_equal(without, wanted, f"pages of {limit}")
    page = await _page(deployment.there, sample.run, f"?after={sample.last}")
    expect_equal((page["events"], page["lastEventId"]), ([], sample.last), "a page behind the end")
    expect_equal(page["status"], "completed", "status")


@check("pages")
async def pages_that_cannot_be(deployment: Deployment) -> None:
    """Numbers that are none, or out of bounds, are refused."""
    sample = await deployment.sample()
    for query in BAD_QUERIES:
        (await deployment.here.get(f"{sample.run.session}/events?{query}")).problem(400)
    (await deployment.here.get(f"{sample.run.resume}?deltas=maybe")).problem(400)


@check("pages")
async def long_poll_wakes(deployment: Deployment) -> None:
    """A request that waits is answered when something comes, also by way of another replica."""
    recording = await deployment.record()
    query = f"?after={recording.last}&wait=15"
    waiting = asyncio.create_task(_page(deployment.there, recording.run, query))
    try:
        await asyncio.sleep(0.3)
        if waiting.done():
            violate("an empty answer that is held", waiting.result())
        sent = await deployment.send(recording.run, BRIEF, deployment.here)
        began = time.monotonic()
        page = await waiting
    finally:
        waiting.cancel()
    expect(time.monotonic() - began < 10, "an answer within seconds", f"{time.monotonic() - began:.1f} s")
    expect(page["events"], "the event that it waited for", page)
    first = page["events"][0]
    expect_equal((first["id"], first["runId"]), (recording.last + 1, sent["runId"]), "id and run of the first event")


@check("pages")
async def long_poll_gives_up(deployment: Deployment) -> None:
    """`wait` holds an empty answer that many seconds, and an answer that is not empty not at all."""
    sample = await deployment.sample()
    began = time.monotonic()
    page = await _page(deployment.here, sample.run, f"?after={sample.last}&wait=1")
    took = time.monotonic() - began
    expect(took >= 0.9, "an empty answer after 1 s", f"{took:.2f} s")
    expect_equal((page["events"], page["lastEventId"]), ([], sample.last), "an empty page")
    began = time.monotonic()
    expect((await _page(deployment.here, sample.run, "?after=0&wait=15"))["events"], "events", "an empty page")
    expect(time.monotonic() - began < 10, "an answer at once", f"{time.monotonic() - began:.1f} s")
