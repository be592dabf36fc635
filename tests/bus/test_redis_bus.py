"""The bus over Redis: commits travel whole to who follows; what Redis does not do PostgreSQL does, by itself."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from tests.bus.ears import Ears, Session, postgres_alone, redis_alone, replica
from tests.database.running import Wire, administrator, terminate_backends
from tests.support.redis_server import RedisServer, need_redis, redis_server
from tests.support.waiting import eventually
from webedt.bus.interface import Topic
from webedt.bus.sealing import EVERYBODY

pytestmark = pytest.mark.usefixtures("impatient")


@contextlib.asynccontextmanager
async def two_replicas(url: str, redis_url: str) -> AsyncIterator[tuple[Ears, Ears]]:
    async with replica(url, redis_url) as one, replica(url, redis_url) as other:
        await redis_alone(one, other)
        yield one, other


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url) as redis:
        yield redis


@contextlib.asynccontextmanager
async def redis_wire(redis_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to Redis, and the URL of its end here."""
    async with Wire(redis_url).laid() as wire:
        yield wire, wire.url.replace("postgresql://postgres@", "redis://")


def knows(ears: Ears, session: Session) -> bool:
    return ears.follows.get(session.id) == session.last_seq


def has_heard(ears: Ears, ids: set[UUID]) -> bool:
    return ids <= ears.all(Topic.WORK)


async def reach(speaker: Ears, listener: Ears) -> None:
    """Whatever the state of things, a signal arrives, without a sweep."""
    changed = {uuid4()}
    speaker.bus.publish(Topic.WORK, changed, local=False)
    await eventually(partial(has_heard, listener, changed), "the signal is heard")


async def asked(driver: Ears, follower: Ears, session: Session) -> None:
    """Commit once, which tells `follower` who drives the session; return when it has asked for more."""
    driver.bus.carry([session.commit()])
    await eventually(partial(knows, follower, session), "the signal is heard")
    await eventually(lambda: driver.bus._wanted.of(session.id), "it has asked")  # type: ignore[attr-defined]


async def follow(driver: Ears, follower: Ears) -> Session:
    session = Session()
    follower.follows[session.id] = 0
    await asked(driver, follower, session)
    return session


async def test_who_follows_a_session_gets_its_commits_whole_and_in_time(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other):
        session = await follow(one, other)
        reads = other.reads
        sent = [session.commit("two", "three \N{SNOWMAN}"), session.commit(ended=True)]
        for commit in sent:
            one.bus.carry([commit])
        await eventually(lambda: len(other.commits) == 2, "both have come")
        assert other.commits == [commit._replace(events=[*commit.events]) for commit in sent]
        # The signal of a commit comes behind the commit itself: nobody reads what is here.
        await reach(one, other)
        assert (other.follows[session.id], other.reads) == (session.last_seq, reads)
        assert one.metric("webedt_bus_frames_total", outcome="published") == 2
        assert other.metric("webedt_bus_frames_total", outcome="received") == 2


async def test_nobody_gets_what_nobody_there_follows(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other):
        watched, unwatched = await follow(one, other), Session()
        one.bus.carry([unwatched.commit(), watched.commit()])
        await eventually(lambda: other.commits, "the other one has come")
        assert {commit.session_id for commit in other.commits} == {watched.id}
        del other.follows[watched.id]
        one.bus.carry([watched.commit()])
        await eventually(lambda: not one.bus._wanted, "it has declined")  # type: ignore[attr-defined]
        one.bus.carry([watched.commit()])
        await reach(one, other)
        assert len(other.commits) == 2


async def test_who_missed_a_commit_hears_that_there_was_one(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other):
        session = await follow(one, other)
        session.commit()  # nobody is told
        one.bus.carry([session.commit()])
        await eventually(partial(knows, other, session), "it has read instead")
        one.bus.carry([session.commit()])
        await eventually(lambda: len(other.commits) == 2 and knows(other, session), "and goes on from there")


async def test_a_commit_that_is_too_large_is_only_told_of(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other):
        session = await follow(one, other)
        one.bus.carry([session.commit("x" * 600_000)])
        await eventually(partial(knows, other, session), "it has read instead")
        one.bus.carry([session.commit(*["y" * 100_000] * 4), session.commit(*["z" * 100_000] * 4)])
        await eventually(lambda: len(other.commits) == 2, "two letters")
        assert one.metric("webedt_bus_frames_total", outcome="dropped") == 1


async def test_a_redis_that_is_killed_and_comes_back(database_url: str, own_redis: RedisServer) -> None:
    with capture_logs() as logs:
        async with two_replicas(database_url, own_redis.url) as (one, other):
            session, before = await follow(one, other), other.reconnects
            own_redis.kill()
            one.bus.carry([session.commit()])  # nobody has noticed yet
            one.bus.publish(Topic.WORK, work := {uuid4()}, local=False)
            await eventually(partial(knows, other, session), "it is told by PostgreSQL")
            await eventually(partial(has_heard, other, work), "and so is everything else")
            await postgres_alone(one, other)
            await eventually(lambda: other.reconnects > before, "what was said there alone is read")
            assert one.bus.connected
            one.bus.carry([session.commit()])
            await eventually(partial(knows, other, session), "it is told by PostgreSQL")
            before = other.reconnects
            own_redis.start()
            await redis_alone(one, other)
            assert other.reconnects > before
            await asked(one, other, session)
            one.bus.carry([session.commit()])
            await eventually(lambda: other.commits, "the commit comes")
    words = [log["event"] for log in logs if log["event"].startswith("redis_")]
    # Said once, not at each try to connect.
    assert 2 <= words.count("redis_lost") <= words.count("redis_heard")


async def test_a_redis_that_is_frozen_delays_a_signal_and_no_more(database_url: str, own_redis: RedisServer) -> None:
    async with two_replicas(database_url, own_redis.url) as (one, other):
        own_redis.freeze()
        await reach(one, other)
        await postgres_alone(one, other)
        await reach(other, one)
        own_redis.thaw()
        await redis_alone(one, other)
        await reach(one, other)


async def test_without_a_redis_from_the_start_it_is_the_bus_over_postgresql(database_url: str) -> None:
    nowhere = "redis://:hunter2@127.0.0.1:1"
    with capture_logs() as logs:
        async with replica(database_url, nowhere, wait=False) as one, replica(database_url) as other:
            await reach(one, other)
            await reach(other, one)
            await eventually(lambda: [log for log in logs if log["event"] == "redis_lost"], "it says so")
            assert one.bus.connected
            assert one.bus.ways == ("postgres",)
    assert "hunter2" not in str(logs)


async def test_one_that_is_cut_off_from_redis_is_heard_and_hears(database_url: str, redis_url: str) -> None:
    """Redis itself takes it for a listener all the time."""
    async with redis_wire(redis_url) as (wire, through_wire):
        async with replica(database_url, redis_url) as one, replica(database_url, through_wire) as other:
            await redis_alone(one, other)
            wire.silence()
            await reach(other, one)
            await postgres_alone(other)
            await eventually(lambda: "postgres" in one.bus.ways, "the other one has said that it is deaf")
            await reach(one, other)
            wire.heal()
            await redis_alone(one, other)
            await reach(one, other)


async def test_a_connection_that_only_looks_well_is_made_anew(database_url: str, redis_url: str) -> None:
    async with redis_wire(redis_url) as (wire, through_wire):
        async with replica(database_url, redis_url) as one, replica(database_url, through_wire) as other:
            await redis_alone(one, other)
            wire.silence()
            await postgres_alone(other)
            wire.leave_for_dead()
            await redis_alone(one, other)
            await reach(one, other)


async def test_who_does_not_know_its_database_believes_nothing(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been restored, or another one taken its place."""
    monkeypatch.setattr("webedt.bus.postgres.DEAF_AFTER_SECONDS", 1.0)
    async with (
        Wire(database_url).laid() as wire,
        replica(database_url, redis_url) as one,
        replica(wire.url, redis_url) as other,
        client(redis_url) as admin,
    ):
        await redis_alone(one, other)
        session = await follow(one, other)
        channel = other.bus._realm.channel(other.bus._sender)  # type: ignore[attr-defined]
        assert await admin.pubsub_numsub(channel) == [(channel.encode(), 1)]
        wire.silence()
        await eventually(lambda: not other.bus.connected, "it does not hear PostgreSQL")
        await postgres_alone(other)

        async def listens_to_nobody() -> bool:
            return await admin.pubsub_numsub(channel) == [(channel.encode(), 0)]

        await eventually(listens_to_nobody, "it has left Redis")
        one.bus.carry([session.commit()])
        wire.heal()
        await redis_alone(one, other)
        await reach(one, other)


async def test_replicas_that_were_given_different_servers_hear_each_other(
    database_url: str, redis_url: str, own_redis: RedisServer
) -> None:
    async with replica(database_url, redis_url) as one, replica(database_url, own_redis.url) as other:
        await redis_alone(one, other)  # each believes so: the other one hears *a* Redis
        await reach(one, other)
        await reach(other, one)


async def test_a_subscriber_that_redis_throws_out_comes_back_and_reads(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other), client(redis_url) as admin:
        before, asked = other.reconnects, {uuid4()}
        other.bus.on_reconnect(lambda: one.bus.publish(Topic.WORK, asked, local=False))
        await admin.client_kill_filter(_type="pubsub")
        await eventually(lambda: other.reconnects > before, "it reads")
        await eventually(partial(has_heard, other, asked), "what was said at that moment is heard")
        await redis_alone(one, other)
        await reach(one, other)


async def test_what_only_redis_was_told_is_told_again_when_somebody_did_not_hear_it(
    database_url: str, redis_url: str
) -> None:
    async with two_replicas(database_url, redis_url) as (one, other), client(redis_url) as admin:
        await admin.client_kill_filter(_type="pubsub")
        await reach(one, other)


async def test_a_listener_of_postgresql_that_is_killed_costs_a_moment(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other), administrator(database_url) as admin:
        assert await terminate_backends(admin, "listener") == 2
        await redis_alone(one, other)
        await reach(one, other)


async def test_deployments_that_share_a_redis_hear_nothing_of_each_other(
    database_url: str, empty_database_url: str, redis_url: str
) -> None:
    """Also with one secret and the same sessions, as a copy of the database has them."""
    async with (
        two_replicas(database_url, redis_url) as (one, other),
        two_replicas(empty_database_url, redis_url) as (
            third,
            fourth,
        ),
    ):
        session = await follow(one, other)
        third.follows[session.id] = fourth.follows[session.id] = 1
        one.bus.carry([session.commit()])
        await eventually(partial(knows, other, session), "the commit comes")
        await reach(third, fourth)
        assert third.grew + fourth.grew == []
        assert third.commits + fourth.commits == []


async def test_replicas_with_different_secrets_use_postgresql(database_url: str, redis_url: str) -> None:
    async with replica(database_url, redis_url) as one, replica(database_url, redis_url, secrets=["another"]) as other:
        await reach(one, other)
        await reach(other, one)
        session = Session()
        other.follows[session.id] = 0
        for _ in range(3):
            one.bus.carry([session.commit()])
            await eventually(partial(knows, other, session), "it is told by PostgreSQL")
            await reach(other, one)  # what it has asked for by Redis would have come by now
        assert other.commits == []


async def test_a_rotation_of_the_secret_is_not_noticed_by_who_takes_part_in_its_order(
    database_url: str, redis_url: str
) -> None:
    steps = (["old"], ["old", "new"], ["new", "old"], ["new"])
    for before, after in pairwise(steps):
        async with (
            replica(database_url, redis_url, secrets=before) as one,
            replica(database_url, redis_url, secrets=after) as other,
        ):
            await redis_alone(one, other)
            for driver, follower in ((one, other), (other, one)):
                session = await follow(driver, follower)
                driver.bus.carry([session.commit()])
                await eventually(partial(knows, follower, session), f"{after} after {before}: the commit comes")
                assert follower.commits, "whole, by Redis"


def distortions(sealed: bytes) -> Iterator[bytes]:
    yield from (b"", b"hello", b"\0" * 40, sealed[:-1], sealed + b"\0", sealed[:20] + b"\1" + sealed[21:])


async def test_what_strangers_say_there_is_ignored(database_url: str, redis_url: str) -> None:
    async with two_replicas(database_url, redis_url) as (one, other), client(redis_url) as stranger:
        realm = other.bus._realm  # type: ignore[attr-defined]
        to_all, to_other = realm.channel(EVERYBODY), realm.channel(other.bus._sender)
        for text in distortions(realm.seal(to_other, b"anything")):
            await stranger.publish(to_all, text)
            await stranger.publish(to_other, text)
        # Sealed, so said by one of us, and still not understood: a later version may say more.
        for text in (b"", b"{", b"\x93\x01", b'{"sender":"x","topics":{"unheard_of":[]}}', b"\x92\xa1x\x91\xc0"):
            await stranger.publish(to_all, realm.seal(to_all, text))
            await stranger.publish(to_other, realm.seal(to_other, text))
        await stranger.publish(to_all, realm.seal(to_other, b'{"sender":"x","topics":{"work":[]}}'))
        await reach(one, other)
        await redis_alone(other)


async def test_nobody_waits_for_a_redis_that_takes_nothing(database_url: str, own_redis: RedisServer) -> None:
    """What waits is bounded, and neither publishing nor carrying ever blocks."""
    async with two_replicas(database_url, own_redis.url) as (one, other):
        session = await follow(one, other)
        own_redis.freeze()
        for _ in range(20):
            one.bus.carry([session.commit("x" * 400_000)])
        assert one.metric("webedt_bus_frames_total", outcome="dropped") >= 8
        await eventually(partial(knows, other, session), "it is told by PostgreSQL")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_password_and_encryption(database_url: str, scheme: str, certificate: Path) -> None:
    need_redis()
    options = ["--requirepass", "p@ss/word"]
    if scheme == "rediss":
        options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_suffix(".key"))]
        options += ["--tls-auth-clients", "no"]
    with redis_server(options, tls=scheme == "rediss") as server:
        url = f"{scheme}://:p%40ss%2Fword@127.0.0.1:{server.port}"
        if scheme == "rediss":
            url += f"?ssl_ca_certs={certificate}"
        async with two_replicas(database_url, url) as (one, other):
            await reach(one, other)
        with capture_logs() as logs:
            async with replica(database_url, url.replace("p%40ss%2Fword", "sword"), wait=False) as one:
                await eventually(lambda: [log for log in logs if log["event"] == "redis_lost"], "it says so")
                assert one.bus.ways == ("postgres",)
        assert "word" not in str(logs).replace("username-password", "")
