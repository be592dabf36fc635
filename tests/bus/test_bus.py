"""What every bus promises, whatever is below it."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID, uuid4

import pytest

from tests.bus.ears import Ears, Session, redis_alone, replica
from tests.support.waiting import eventually
from webedt.bus.interface import Topic


@pytest.fixture(params=["postgres", "redis", "redis beside one without"])
async def replicas(
    request: pytest.FixtureRequest, database_url: str, impatient: None
) -> AsyncIterator[tuple[Ears, Ears]]:
    first = second = ""
    if request.param != "postgres":
        first = second = request.getfixturevalue("redis_url")
    if request.param == "redis beside one without":
        second = ""
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(replica(database_url, first))
        other = await stack.enter_async_context(replica(database_url, second))
        if request.param == "redis":
            for ears in (one, other):
                await redis_alone(ears)
        yield one, other


def told(ears: Ears, session_id: UUID) -> bool:
    return session_id in [one for one, _ in ears.grew]


def heard(ears: Ears, topic: Topic, changed: set[UUID]) -> bool:
    return changed <= ears.all(topic)


async def test_a_signal_reaches_the_other_replica(replicas: tuple[Ears, Ears]) -> None:
    for one, other in (replicas, reversed(replicas)):
        for topic in Topic:
            changed = {uuid4(), uuid4()}
            one.bus.publish(topic, changed)
            await eventually(partial(heard, other, topic, changed), "the signal is heard")


async def test_this_replica_hears_itself_at_once_and_once_and_not_at_all_if_it_does_not_want_to(
    replicas: tuple[Ears, Ears],
) -> None:
    one, other = replicas
    told, kept = {uuid4()}, {uuid4()}
    one.bus.publish(Topic.EVENTS, told)
    assert one.heard[Topic.EVENTS] == [told]
    one.bus.publish(Topic.EVENTS, kept, local=False)
    await eventually(lambda: other.all(Topic.EVENTS) == told | kept, "both are heard elsewhere")
    assert one.heard[Topic.EVENTS] == [told]


async def test_many_ids_are_all_heard(replicas: tuple[Ears, Ears]) -> None:
    one, other = replicas
    expected = {topic: {uuid4() for _ in range(1000)} for topic in Topic}
    for topic, ids in expected.items():
        one.bus.publish(topic, ids)
    await eventually(lambda: all(other.all(topic) == expected[topic] for topic in Topic), "all are heard")


async def test_the_others_hear_how_far_a_log_goes_and_this_replica_does_not(replicas: tuple[Ears, Ears]) -> None:
    for one, other in (replicas, reversed(replicas)):
        session = Session()
        one.bus.carry([session.commit("a"), session.commit("b", "c")])
        await eventually(partial(told, other, session.id), "the commits are heard of")
        assert {last_seq for session_id, last_seq in other.grew if session_id == session.id} == {3}
        assert not told(one, session.id)


async def test_whoever_is_to_read_in_any_case_is_not_told_how_far(replicas: tuple[Ears, Ears]) -> None:
    """Else a session that was deleted would go unnoticed by who knows its last event."""
    one, other = replicas
    session = Session()
    one.bus.carry([session.commit()])
    one.bus.publish(Topic.EVENTS, [session.id], local=False)
    one.bus.carry([session.commit()])
    await eventually(lambda: other.all(Topic.EVENTS) == {session.id}, "it is to read")
