"""The bus over LISTEN and NOTIFY: signals reach other replicas, and it knows when they do not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.bus.ears import Ears, Session, replica
from tests.database.running import Wire, administrator, terminate_backends
from tests.support.waiting import eventually
from webedt.bus.interface import ABus, Topic
from webedt.bus.postgres import CHANNEL, PostgresBus
from webedt.bus.signals import MAX_PAYLOAD_BYTES, Outbox, Signal, decode, encode
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.kernel import ServiceProvider
from webedt.telemetry.metrics import Metrics


@contextlib.asynccontextmanager
async def two_replicas(url: str) -> AsyncIterator[tuple[Ears, Ears]]:
    async with replica(url) as one, replica(url) as other:
        yield one, other


async def payloads(url: str, stop: asyncio.Event, ready: asyncio.Event) -> list[str]:
    """Every payload on the channel until `stop`."""
    found: list[str] = []
    async with administrator(url) as connection:
        await connection.add_listener(CHANNEL, lambda *heard: found.append(heard[3]))
        ready.set()
        await stop.wait()
    return found


async def test_many_signals_become_few_notifications(database_url: str) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    listening = asyncio.create_task(payloads(database_url, stop, ready))
    await ready.wait()
    async with two_replicas(database_url) as (one, other):
        changed = [uuid4() for _ in range(150)]
        for _ in range(20):
            for session_id in changed:
                one.bus.publish(Topic.EVENTS, [session_id])
        await eventually(lambda: other.all(Topic.EVENTS) == set(changed), "all are heard")
        stop.set()
    signals = [signal for signal in map(decode, await listening) if signal is not None and signal.topics]
    assert len(signals) <= 2, "3,000 calls in one step of the loop"


async def test_many_ids_are_split_below_the_limit_of_a_notification(database_url: str) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    listening = asyncio.create_task(payloads(database_url, stop, ready))
    await ready.wait()
    async with two_replicas(database_url) as (one, other):
        expected = {topic: {uuid4() for _ in range(1000)} for topic in Topic}
        for topic, ids in expected.items():
            one.bus.publish(topic, ids)
        await eventually(lambda: all(other.all(topic) == expected[topic] for topic in Topic), "all are heard")
        stop.set()
    sizes = [len(payload.encode()) for payload in await listening]
    assert max(sizes) < 8000
    assert len(sizes) >= 25


async def test_a_listener_that_is_killed_comes_back_and_says_so(database_url: str) -> None:
    async with two_replicas(database_url) as (one, other), administrator(database_url) as admin:
        assert other.reconnects == 1
        assert await terminate_backends(admin, "listener") == 2
        await eventually(lambda: other.reconnects == 2, "it is back", seconds=10)
        changed = {uuid4()}
        one.bus.publish(Topic.EVENTS, changed)
        await eventually(lambda: other.all(Topic.EVENTS) == changed, "it hears again")


async def test_whoever_is_told_of_a_reconnect_has_missed_nothing_that_comes_after(database_url: str) -> None:
    """LISTEN first, then the callback: what is published from within it is heard."""
    changed = {uuid4()}
    async with replica(database_url) as speaker, replica(database_url) as other, administrator(database_url) as admin:
        other.bus.on_reconnect(lambda: speaker.bus.publish(Topic.WORK, changed, local=False))
        assert await terminate_backends(admin, "listener") == 2
        await eventually(lambda: other.all(Topic.WORK) == changed, "what was said at that moment is heard", seconds=10)


async def test_a_notifier_that_is_killed_loses_a_signal_at_most(database_url: str) -> None:
    async with two_replicas(database_url) as (one, other), administrator(database_url) as admin:
        assert await terminate_backends(admin, "notifier") == 2

        def heard_after_another_try() -> bool:
            one.bus.publish(Topic.EVENTS, [uuid4()])
            return bool(other.all(Topic.EVENTS))

        await eventually(heard_after_another_try, "signals go out again", seconds=10)


async def test_a_bus_that_hears_nothing_says_so_and_recovers(database_url: str) -> None:
    async with Wire(database_url).laid() as wire, replica(wire.url) as ears:
        assert ears.bus.connected
        with capture_logs() as logs:
            wire.silence()
            await eventually(lambda: not ears.bus.connected, "it finds itself deaf", seconds=8)
            await eventually(lambda: [log for log in logs if log["event"] == "listener_lost"], "it hangs up")
        assert "bus_degraded" in [log["event"] for log in logs]
        assert 'webedt_listener_connected{container="test"} 0.0' in ears.metrics.render(openmetrics=False).decode()
        before = ears.reconnects
        wire.heal()
        await eventually(lambda: ears.bus.connected, "it hears again", seconds=15)
        assert ears.reconnects > before
        assert 'webedt_listener_connected{container="test"} 1.0' in ears.metrics.render(openmetrics=False).decode()


async def test_publishing_without_a_server_neither_waits_nor_fails() -> None:
    metrics = Metrics("test")
    provider = ServiceProvider()
    settings = Settings(database_url="postgresql://postgres@127.0.0.1:1/nothing", environment="test")
    provider.register(ADatabase, PostgresDatabase(settings, metrics))
    bus = PostgresBus(uuid4(), metrics)
    provider.register(ABus, bus)
    ears = Ears(bus, metrics)
    await provider.initialize()
    changed = {uuid4()}
    bus.publish(Topic.EVENTS, changed)
    assert ears.all(Topic.EVENTS) == changed
    assert not bus.connected
    await provider.reset()


FOREIGN: list[Any] = [
    "",
    "hello",
    "{}",
    "[]",
    '{"sender": 7}',
    '{"sender": "x", "topics": {"unheard_of": []}}',
    '{"sender": "x", "topics": {"events": ["not-an-id"]}}',
    '{"sender": "x", "topics": {"events": [5]}}',
    '{"sender": "x", "topics": {"events": "abc"}}',
    '{"sender": "x", "ping": "loud"}',
    "\N{SNOWMAN}" * 100,
]


async def test_what_others_say_on_the_channel_is_ignored(database_url: str) -> None:
    async with replica(database_url) as ears, administrator(database_url) as admin:
        loop = asyncio.get_running_loop()
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: faults.append(context))
        for payload in FOREIGN:
            await admin.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        changed = uuid4()
        await admin.execute("SELECT pg_notify($1, $2)", CHANNEL, encode(Signal("somebody", {Topic.EVENTS: [changed]})))
        await eventually(lambda: ears.all(Topic.EVENTS), "the sane one is heard")
        assert ears.all(Topic.EVENTS) == {changed}
        assert ears.bus.connected
        assert faults == []


@pytest.mark.parametrize("count", [1, 199, 200, 201, 5000])
def test_no_payload_is_too_long_and_none_is_lost(count: int) -> None:
    outbox = Outbox(uuid4().hex)
    expected = {topic: {uuid4() for _ in range(count)} for topic in Topic}
    for topic, ids in expected.items():
        outbox.add(topic, ids)
    texts = list(outbox.payloads(outbox.take()))
    assert max(len(text.encode()) for text in texts) <= MAX_PAYLOAD_BYTES
    found: dict[Topic, set[UUID]] = {topic: set() for topic in Topic}
    for text in texts:
        signal = decode(text)
        assert signal is not None
        for topic, items in signal.topics.items():
            found[topic] |= set(items)
    assert found == expected
    assert outbox.take() == {}


def test_the_outbox_is_bounded() -> None:
    outbox = Outbox("me", limit=100)
    for _ in range(3):
        outbox.add(Topic.EVENTS, [uuid4() for _ in range(1000)])
    signals = [decode(text) for text in outbox.payloads(outbox.take())]
    assert sum(len(ids) for signal in signals if signal for ids in signal.topics.values()) == 100


async def test_the_limit_is_that_of_postgresql(database_url: str) -> None:
    async with administrator(database_url) as admin:
        await admin.execute("SELECT pg_notify($1, $2)", CHANNEL, "x" * 7999)
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await admin.execute("SELECT pg_notify($1, $2)", CHANNEL, "x" * 8000)


# Alone ---------------------------------------------------------------------------------------------------------------


def tells_nobody(ears: Ears) -> bool:
    return not ears.bus._outboxes()


async def test_a_replica_that_is_alone_tells_nobody_and_others_as_soon_as_there_are_some(
    database_url: str, impatient: None
) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    listening = asyncio.create_task(payloads(database_url, stop, ready))
    await ready.wait()
    async with replica(database_url) as one:
        assert not tells_nobody(one), "it cannot know yet"
        await eventually(lambda: tells_nobody(one), "it has heard nobody else for a while")
        unheard, heard = uuid4(), uuid4()
        one.bus.publish(Topic.EVENTS, [unheard])
        one.bus.carry([Session().commit()])
        assert one.all(Topic.EVENTS) == {unheard}, "here it is heard all the same"
        async with replica(database_url) as other:
            await eventually(lambda: not tells_nobody(one), "it has heard of the other")
            assert not tells_nobody(other)
            one.bus.publish(Topic.EVENTS, [heard])
            await eventually(lambda: other.all(Topic.EVENTS) == {heard}, "the other is told")
        await eventually(lambda: tells_nobody(one), "the other is gone")
        stop.set()
    told = [signal.topics for signal in map(decode, await listening) if signal is not None and signal.topics]
    assert told == [{Topic.EVENTS: [heard]}]


async def test_a_replica_that_hears_nothing_does_not_think_that_it_is_alone(database_url: str, impatient: None) -> None:
    async with Wire(database_url).laid() as wire, replica(wire.url) as deaf:
        await eventually(lambda: tells_nobody(deaf), "it is alone")
        wire.silence()
        await eventually(lambda: not deaf.bus.connected, "it finds itself deaf", seconds=8)
        assert not tells_nobody(deaf)
