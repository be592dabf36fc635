"""Share links: a session without a login, to be read, until it is unshared."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.conformance.caller import Caller
from tests.conformance.check import check, expect, expect_equal, expect_members
from tests.conformance.deployment import LONG, SAMPLE, Deployment, Run
from tests.conformance.judging import judge_ids, judge_replay
from tests.conformance.sse import Stream, events

SOON_SECONDS = 5.0
CLOCKS_APART = timedelta(minutes=5)
SEEN = ("title", "status", "provider", "model", "lastEventId", "createdAt", "updatedAt")


async def _share(deployment: Deployment, run: Run, **body: Any) -> dict[str, Any]:
    """The link of a run's session: the answer's members, checked."""
    found = (await deployment.here.post(f"{run.session}/share", body)).expect(200, "share").json()
    expect_members(found, ("shareToken", "url", "expiresAt"), "a share link", "share")
    token = found["shareToken"]
    expect(isinstance(token, str) and len(token) >= 22, "a token of 128 bits at least", token)
    expect(
        str(found["url"]).startswith("http") and token in found["url"], "an absolute URL with the token", found["url"]
    )
    return dict(found)


def _strangers(deployment: Deployment) -> list[Caller]:
    """Nobody, at every replica."""
    return [deployment.nobody.at(address) for address in deployment.addresses]


def _stream(link: dict[str, Any]) -> str:
    return f"/api/shared/{link['shareToken']}/events/stream"


async def _ends_soon(stream: Stream, began: float) -> None:
    await stream.rest()
    took = time.monotonic() - began
    expect(took < SOON_SECONDS, f"an end within {SOON_SECONDS:g} s", f"{took:.1f} s", "unshare")
    expect("draining" not in events(stream.seen), "no advice to come back", events(stream.seen)[-2:], "unshare")


async def _is_none(deployment: Deployment, token: str) -> None:
    for stranger in _strangers(deployment):
        (await stranger.get(f"/api/shared/{token}")).problem(404)
        (await stranger.get(f"/api/shared/{token}/events/stream")).problem(404)
        (await stranger.get(f"/api/shared/{token}/events/stream", Accept="text/event-stream")).problem(404)


@check("share")
async def a_link_shows_the_session(deployment: Deployment) -> None:
    """Whoever has the link sees the session and follows its events without a login, at every replica, as the owner."""
    run = await deployment.start(SAMPLE)
    link = await _share(deployment, run)
    for stranger in _strangers(deployment):
        session = (await stranger.get(f"/api/shared/{link['shareToken']}")).expect(200).json()["session"]
        expect_members(session, SEEN, "a shared session")
    async with (
        deployment.there.stream(run.follow) as owners,
        deployment.nobody.at(deployment.addresses[-1]).stream(_stream(link)) as strangers,
    ):
        for stream in (owners, strangers):
            await stream.until("completed")
    judge_ids(strangers.seen, 0)
    judge_replay(strangers.seen, owners.seen, 0, "the owner's stream")
    async with deployment.nobody.stream(f"{_stream(link)}?lastEventId=2", Last_Event_ID="6") as stream:
        await stream.until("caught_up")
        judge_replay(stream.seen, owners.seen, 6, "behind the cursor 6")


@check("share")
async def a_link_only_reads(deployment: Deployment) -> None:
    """A link changes nothing, and its token logs nobody in."""
    run = await deployment.start(LONG)
    link = await _share(deployment, run)
    token = link["shareToken"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in (f"/api/shared/{token}", _stream(link)):
            (await deployment.nobody.ask(method, path, {"title": "mine"})).problem(405)
    for caller in (deployment.nobody, deployment.bearer(token)):
        (await caller.get(run.session)).problem(401)
        (await caller.delete(run.session)).problem(401)
    expect_equal(await deployment.status(run), "running", "the session's status")
    (await deployment.interrupt(run)).expect(202)


@check("share")
async def a_link_that_is_none(deployment: Deployment) -> None:
    """A token that is unknown, malformed or nearly right is not found, on the stream too."""
    sample = await deployment.sample()
    token = (await _share(deployment, sample.run))["shareToken"]
    other = "A" if token[-1] != "A" else "B"
    for bad in ("x", "%00", "%ff", str(uuid4()), "A" * len(token), token[:-1] + other, other + token[1:], token[:-1]):
        await _is_none(deployment, bad)


@check("share")
async def a_link_that_expires(deployment: Deployment) -> None:
    """A link expires after so many days, 1 to 365, or not at all; what is no such number is refused."""
    sample = await deployment.sample()
    expect_equal((await _share(deployment, sample.run))["expiresAt"], None, "expiresAt without expiresInDays")
    for days in (1, 365):
        link = await _share(deployment, sample.run, expiresInDays=days)
        expect(isinstance(link["expiresAt"], str), "a time", link["expiresAt"])
        off = datetime.fromisoformat(link["expiresAt"]) - datetime.now(UTC) - timedelta(days=days)
        expect(abs(off) < CLOCKS_APART, f"{days} days from now", link["expiresAt"])
        (await deployment.nobody.get(f"/api/shared/{link['shareToken']}")).expect(200)
    for bad in (0, -1, 366, 1.5, "7", True, [7]):
        (await deployment.here.post(f"{sample.run.session}/share", {"expiresInDays": bad})).problem(400)


@check("unshare")
async def an_unshared_link_ends(deployment: Deployment) -> None:
    """A link that is taken back at one replica ends its streams at the others within seconds; the owner's go on."""
    run = await deployment.start(LONG)
    link = await _share(deployment, run)
    there = deployment.nobody.at(deployment.addresses[-1])
    async with there.stream(_stream(link)) as stream, deployment.there.stream(run.follow) as stays:
        await stream.until("text_delta")
        began = time.monotonic()
        (await deployment.here.delete(f"{run.session}/share")).expect(204)
        await _ends_soon(stream, began)
        await stays.until("caught_up")
        await stays.until("text_delta")
    await _is_none(deployment, link["shareToken"])
    expect_equal(await deployment.status(run), "running", "the session's status")
    (await deployment.interrupt(run)).expect(202)


@check("unshare")
async def a_deleted_session_has_no_link(deployment: Deployment) -> None:
    """With its session a link ends, and its streams; what is deleted cannot be shared."""
    recording = await deployment.record()
    link = await _share(deployment, recording.run)
    async with deployment.nobody.at(deployment.addresses[-1]).stream(_stream(link)) as stream:
        await stream.until("caught_up")
        began = time.monotonic()
        (await deployment.here.delete(recording.run.session)).expect(204)
        await _ends_soon(stream, began)
    await _is_none(deployment, link["shareToken"])
    (await deployment.there.post(f"{recording.run.session}/share")).problem(404)
