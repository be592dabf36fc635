"""Every reader of a session sees 1, 2, 3, …: under every interleaving of commits, answers, signals and readers.

The tails, the replay and the streams are the real ones; the database, the clock, the bus and the sockets are models, so
that each step can be late, lost or doubled on purpose, and a failing course of events can be told again.
"""

import asyncio
import contextlib
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.log_model import World
from tests.support.virtual_time import run_in_virtual_time
from webedt.http.log_stream import Until

ANSWER = st.integers(0, 40)
WHO = st.integers(0, 7)
# When a commit of another replica comes here whole, in ms after it: never, once, twice, or after the ones behind it.
COPIES = st.lists(st.one_of(st.integers(0, 60), st.integers(0, 2000)), max_size=3)


def courses(signals: st.SearchStrategy[list[int]]) -> st.SearchStrategy[list[tuple[Any, int]]]:
    """Operations, each with a pause in ms after it. `signals`: for each change elsewhere, when it is heard of (ms)."""
    operations = st.one_of(
        st.tuples(st.just("prompt"), signals),
        st.tuples(st.just("claim"), signals),
        st.tuples(st.just("commit here"), st.integers(1, 12), ANSWER),
        st.tuples(st.just("commit here"), st.integers(1, 3), ANSWER),
        st.tuples(st.just("commit elsewhere"), st.integers(1, 12), signals),
        st.tuples(st.just("commit carried here"), st.integers(1, 12), signals, COPIES),
        st.tuples(st.just("commit carried here"), st.integers(1, 3), signals, COPIES),
        st.tuples(st.just("end here"), st.integers(0, 3), ANSWER),
        st.tuples(st.just("end elsewhere"), st.integers(0, 3), signals),
        st.tuples(st.just("end carried here"), st.integers(0, 3), signals, COPIES),
        st.tuples(st.just("subscribe"), st.sampled_from(list(Until)), st.booleans(), st.floats(0, 1)),
        st.tuples(st.sampled_from(["disconnect", "reconnect", "stall", "flow"]), WHO),
        st.tuples(st.just("database away"), st.integers(1, 3)),
    )
    return st.lists(st.tuples(operations, st.integers(0, 30)), min_size=12, max_size=60)


LOSSY = st.lists(st.integers(0, 60), max_size=2)  # none: the signal is lost; two: it is doubled
FAITHFUL = st.lists(st.integers(0, 60), min_size=1, max_size=2)
LATENCIES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=5)

SMALL = [
    patch("webedt.log.tails.PAGE_ROWS", 7),
    patch("webedt.log.replay.PAGE_ROWS", 5),
    patch("webedt.log.tails.PAGE_BYTES", 45),
    patch("webedt.log.replay.PAGE_BYTES", 25),
    patch("webedt.log.tail.RING_BYTES", 700),
    patch("webedt.http.event_connection.HIGH_WATER", 150),
    patch("webedt.http.log_stream.HIGH_WATER", 150),
]


async def apply(world: World, operation: Any) -> None:
    log, clients = world.log, world.clients
    match operation:
        case ("prompt", signals):
            log.prompt()
            world.notify(signals)
        case ("claim", signals):
            if log.claim():
                world.notify(signals)
        case ("commit here" | "end here" as kind, count, answer):
            if log.running is None:
                await apply(world, ("prompt", [1]))
                await apply(world, ("claim", [0]))
            world.tell_commit(log.append(count, ends=kind == "end here"), answer)
        case ("commit elsewhere" | "end elsewhere" as kind, count, signals):
            if log.running is None:
                await apply(world, ("prompt", signals))
                await apply(world, ("claim", signals))
            log.append(count, ends=kind == "end elsewhere")
            world.notify(signals)
        case ("commit carried here" | "end carried here" as kind, count, signals, copies):
            if log.running is None:
                await apply(world, ("prompt", signals))
                await apply(world, ("claim", signals))
            world.carry(log.append(count, ends=kind == "end carried here"), copies, signals)
        case ("subscribe", Until.RUN, _, which):
            if log.prompts:
                run_id, prompt_seq = list(log.prompts.items())[int(which * (len(log.prompts) - 1))]
                world.subscribe(Until.RUN, deltas=True, cursor=prompt_seq - 1, run_id=run_id)
        case ("subscribe", until, deltas, where):
            world.subscribe(until, deltas=deltas, cursor=int(where * log.last_seq))
        case ("disconnect" | "reconnect" | "stall" | "flow" as what, who) if clients:
            client = clients[who % len(clients)]
            if what in ("stall", "flow"):
                client.socket.flow(on=what == "flow")
            else:
                await client.disconnect()
                if what == "reconnect":
                    client.connect(world.tails)
        case ("database away", times):
            world.database.failing += times


async def live(course: list[tuple[Any, int]], latencies: list[tuple[int, int]]) -> None:
    world = World(latencies)
    await world.start()
    try:
        for until, deltas in ((Until.NEVER, True), (Until.NEVER, False), (Until.IDLE, True)):
            world.subscribe(until, deltas=deltas, cursor=0)
        for operation, pause in course:
            await apply(world, operation)
            await asyncio.sleep(pause / 1000)
        # The storm is over. Whatever was lost, nobody is late for longer than a sweep and its reads take.
        world.database.failing = 0
        for client in world.clients:
            client.socket.flow(on=True)
        await asyncio.sleep(10)
        for client in world.clients:
            client.check_up_to_date()  # before anybody comes back, which wakes the tail
            client.connect(world.tails)
        await asyncio.sleep(10)
        ends = [(client, client.ended_by_server) for client in world.clients]
    finally:
        await world.stop()
    assert world.crashes == []
    assert [client.failure for client in world.clients if client.failure] == []
    for client, ended in ends:
        client.check()
        if client.run_id is not None:
            assert ended == (client.run_id in world.log.ends)
            upto = world.log.ends.get(client.run_id, world.log.last_seq)
        else:
            assert ended or client.until is Until.NEVER or not world.log.idle
            upto = client.cursor if ended else world.log.last_seq
        assert client.seen == world.log.visible(client.began_behind, upto, deltas=client.deltas)


def tell(course: list[tuple[Any, int]], latencies: list[tuple[int, int]], *more: Any) -> None:
    with contextlib.ExitStack() as patched:
        for one in (*SMALL, *more):
            patched.enter_context(one)
        run_in_virtual_time(live(course, latencies))


TOLD_AGAIN = settings(max_examples=70, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@TOLD_AGAIN
@given(courses(LOSSY), LATENCIES)
@example(  # a run ends here while a prompt, whose signal is lost, waits behind it
    [
        (("prompt", [0]), 0),
        (("claim", [0]), 0),
        (("subscribe", Until.RUN, True, 0.0), 30),
        (("prompt", []), 0),
        (("end here", 2, 20), 0),
    ],
    [(3, 3)],
)
def test_every_reader_sees_every_event_once_in_order_and_ends_only_where_it_may(
    course: list[tuple[Any, int]], latencies: list[tuple[int, int]]
) -> None:
    tell(course, latencies)


@TOLD_AGAIN
@given(courses(FAITHFUL), LATENCIES)
@example(  # the answer of a commit here comes after another replica's prompt has been read
    [
        (("prompt", [0]), 5),
        (("claim", [0]), 25),
        (("commit here", 3, 30), 1),
        (("prompt", [0]), 1),
        (("commit here", 2, 0), 30),
    ],
    [(5, 5)],
)
@example(  # the answers of two commits come in reverse
    [
        (("prompt", [0]), 5),
        (("claim", [0]), 25),
        (("commit here", 2, 20), 0),
        (("commit here", 3, 0), 60),
    ],
    [(0, 0)],
)
@example(  # the answer of a commit here comes while a read is under way that began before it
    [(("prompt", [0]), 60), (("claim", [0]), 60), (("prompt", [0]), 5), (("commit here", 2, 0), 0)],
    [(0, 25)],
)
@example(  # the same with two commits, of which only the later one has its answer before the read is done
    [
        (("prompt", [0]), 60),
        (("claim", [0]), 60),
        (("prompt", [0]), 2),
        (("commit here", 2, 40), 2),
        (("commit here", 2, 0), 0),
    ],
    [(0, 25)],
)
@example(  # of a commit elsewhere it is only told how far the log goes: one event further
    [(("prompt", [0]), 60), (("claim", [0]), 60), (("commit carried here", 1, [0], []), 60)],
    [(0, 0)],
)
@example(  # a reader that knows the newest id comes while a read is under way that does not
    [
        (("prompt", [0]), 60),
        (("claim", [0]), 60),
        (("prompt", [0]), 2),
        (("commit elsewhere", 2, [60]), 1),
        (("subscribe", Until.NEVER, True, 1.0), 0),
    ],
    [(0, 25)],
)
def test_no_reader_needs_the_sweep_as_long_as_no_signal_is_lost(
    course: list[tuple[Any, int]], latencies: list[tuple[int, int]]
) -> None:
    tell(course, latencies, patch("webedt.log.tails.SWEEP_SECONDS", 1e6))


@settings(TOLD_AGAIN, max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 20), st.permutations(range(4)), st.integers(1, 3)), max_size=12
    )
)
def test_what_comes_whole_and_in_time_needs_no_read(commits: list[tuple[int, int, list[int], int]]) -> None:
    """And what comes again, much later and in any order does no harm."""

    async def course() -> None:
        world = World([(0, 0)])
        await world.start()
        try:
            client = world.subscribe(Until.NEVER, deltas=True, cursor=0)
            world.log.prompt()
            world.log.claim()
            world.notify([0])
            await asyncio.sleep(0.01)
            asked = world.database.asked
            for count, pause, order, copies in commits:
                stored = [world.log.append(count, ends=False) for _ in order]
                for number in range(4):
                    world.carry(stored[number], [number] + [200 + order[number]] * copies, [10])
                await asyncio.sleep(0.011 + pause / 1000)
            await asyncio.sleep(1)
            client.check_up_to_date()
            assert world.database.asked == asked
        finally:
            await world.stop()
        assert world.crashes == []

    with patch("webedt.log.tails.SWEEP_SECONDS", 1e6):
        run_in_virtual_time(course())


def test_what_comes_whole_while_a_read_is_under_way_is_not_read_again() -> None:
    async def course() -> None:
        world = World([(0, 25)])
        await world.start()
        try:
            client = world.subscribe(Until.NEVER, deltas=True, cursor=0)
            world.log.prompt()
            await asyncio.sleep(0.1)
            world.log.claim()
            asked = world.database.asked
            world.notify([0])
            await asyncio.sleep(0.01)
            world.carry(world.log.append(2, ends=False), copies_ms=[1], signals_ms=[2])
            await asyncio.sleep(1)
            client.check_up_to_date()
            assert world.database.asked == asked + 1
        finally:
            await world.stop()

    with patch("webedt.log.tails.SWEEP_SECONDS", 1e6):
        run_in_virtual_time(course())
