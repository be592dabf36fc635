"""Bugs that others have shipped (the table is in docs/reliability.md), where no other test stands for them already."""

import ast
import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

import webedt
from tests.support.fleet import Caller, start_fleet
from tests.support.fleet import Replica as FleetReplica
from tests.support.log_harness import EVENTS, CollectingReader, LogDatabase, parse_frames
from tests.support.replica import ENDLESS, SHORT, Replica, answer_of, of_run, only, until_deltas, until_status
from tests.support.virtual_time import run_in_virtual_time
from tests.support.waiting import eventually
from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Conflict
from webedt.http.stream_registry import Streams
from webedt.log.chunks import TailKey
from webedt.providers.simulated import simulated_text
from webedt.services.lists import ALists
from webedt.services.preparation import Preparer
from webedt.telemetry.metrics import Metrics

PACKAGE = Path(webedt.__file__).parent
SESSIONS = load_queries("sessions")
QUICK = {"lease_seconds": 0.4}
STEADY = "[[tokens=60 rate=40 size=4 seed=1]]"


def test_every_test_that_the_table_names_is_there() -> None:
    table = (PACKAGE.parent / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", table)
    assert len(named) > 20
    gone = [name for file, name in named if f"def {name}(" not in (PACKAGE.parent / file).read_text()]
    assert gone == []


# Interrupts -----------------------------------------------------------------------------------------------------------


async def test_an_interrupt_between_the_claim_and_the_first_step_ends_the_run_before_its_provider_was_asked(
    log: LogDatabase, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing = asyncio.Event()

    async def prepare(*_args: object) -> None:
        preparing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Preparer, "prepare", prepare)
    begun = await replica.prompt(log)
    await asyncio.wait_for(preparing.wait(), 10)
    assert await replica.runs.interrupt(log.user_id, begun.session_id, None) == begun.run_id
    await until_status(log, begun.run_id, "interrupted")
    assert await log.types(begun.session_id) == ["user_message", "run_started", "interrupted"]


async def test_an_interrupt_meant_for_an_earlier_run_does_not_stop_the_next_one(
    log: LogDatabase, replica: Replica
) -> None:
    earlier = await replica.prompt(log)
    await until_status(log, earlier.run_id, "completed")
    later = await replica.prompt(log, STEADY, earlier.session_id)
    await until_deltas(log, later.session_id, 4)
    with pytest.raises(Conflict, match="has ended"):
        await replica.runs.interrupt(log.user_id, later.session_id, earlier.run_id)
    # As if the request had been stored, and told, in the very moment in which the earlier run ended.
    await log.connection.execute(
        "UPDATE runs SET interrupt_requested_at = now(), interrupt_by = 'user' WHERE id = $1", earlier.run_id
    )
    replica.provider.get(ABus).publish(Topic.INTERRUPTS, [earlier.run_id])
    await until_status(log, later.run_id, "completed")
    events = of_run(await log.log(later.session_id), later.run_id)
    assert answer_of(events) == simulated_text(60 * 4, 1)


# Names and lives ------------------------------------------------------------------------------------------------------


async def test_a_pod_that_restarts_under_its_old_name_takes_over_what_it_drove_before(
    log: LogDatabase, database_url: str
) -> None:
    async with Replica(database_url, "pod-0", **QUICK).running() as before:
        running = await before.prompt(log, STEADY)
        await until_deltas(log, running.session_id, 4)
        await before.crash()
        async with Replica(database_url, "pod-0", **QUICK).running() as after:
            run = await until_status(log, running.run_id, "completed")
    assert (run["owner"], run["attempt"]) == (after.identity.instance_id, 2)
    events = await log.log(running.session_id)
    assert only(events, "run_recovered")[1]["container"] == "pod-0"
    assert answer_of(events) == simulated_text(60 * 4, 1)


async def test_a_session_deleted_while_its_driver_is_dead_ends_and_is_not_resurrected(
    log: LogDatabase, full_replica: Replica, database_url: str
) -> None:
    async with Replica(database_url, "a", **QUICK).running() as dead:
        running = await dead.prompt(log, ENDLESS)
        waiting = await dead.prompt(log, SHORT, running.session_id)
        await until_deltas(log, running.session_id, 2)
        await dead.crash()
    await full_replica.sessions.delete(log.user_id, running.session_id)
    said = (await log.types(running.session_id)).count("text_delta")
    async with Replica(database_url, "b", **QUICK).running():
        await until_status(log, running.run_id, "interrupted")
    events = await log.log(running.session_id)
    assert [only(of_run(events, run_id), "interrupted")[1]["by"] for run_id in (running.run_id, waiting.run_id)] == [
        "delete",
        "delete",
    ]
    types = [event.type for event in events]
    assert (types.count("text_delta"), types.count("run_recovered"), types.count("run_started")) == (said, 0, 1)
    assert (await log.session(running.session_id))["deleted_at"] is not None
    restored = await full_replica.sessions.restore(log.user_id, running.session_id)
    assert restored.status == "interrupted"


# Lost signals ---------------------------------------------------------------------------------------------------------


class Questions:
    """Counts the statements that a replica's pool has answered, by their text."""

    def __init__(self, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        database: Any = replica.provider.get(ADatabase)
        for method in ("fetch", "fetchrow", "fetchval", "execute"):
            if (ask := getattr(database, method, None)) is not None:
                monkeypatch.setattr(database, method, self._counting(ask))

    def _counting(self, ask: Any) -> Any:
        async def ask_and_count(query: str, *args: Any, **more: Any) -> Any:
            answer = await ask(query, *args, **more)
            self.asked[query] += 1
            return answer

        return ask_and_count


async def test_a_wake_lost_while_nobody_listened_is_made_up_for_with_one_question_for_all_readers(
    log: LogDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listened again first, read afterwards: the sweep that would find it later is out of the way here."""
    for pause in ("SWEEP_SECONDS", "DEGRADED_SWEEP_SECONDS"):
        monkeypatch.setattr(f"webedt.log.tails.{pause}", 3600.0)
    async with Replica(database_url, "a", max_active_runs=0).running() as replica:
        sessions = [await log.new_session() for _ in range(50)]
        readers: dict[UUID, list[CollectingReader]] = {}
        for session_id in sessions:
            readers[session_id] = [CollectingReader() for _ in range(4)]
            for reader in readers[session_id]:
                tail = replica.tails.open(TailKey(session_id, deltas=True), reader)
                await tail.refresh()
                tail.join(reader)
        await eventually(lambda: replica.provider.get(ABus).connected, "the listener is connected")
        questions = Questions(replica, monkeypatch)
        changed = sessions[7]
        await log.accept(changed)  # by a statement of the test's own: nobody is told
        await log.terminate("webedt-listener")
        await eventually(lambda: all(reader.chunks for reader in readers[changed]), "they have it", seconds=10)
        asked = questions.asked
        assert [asked[EVENTS[name]] for name in ("compare_positions", "read_tail", "read_head")] == [1, 1, 0]
        assert max(asked.values()) < 20, asked.most_common(3)
        assert [event.id for reader in readers[changed] for event in parse_frames(reader.payload)] == [1] * 4
        assert not any(reader.chunks for other in sessions if other != changed for reader in readers[other])


async def test_a_change_of_a_list_whose_signal_was_lost_is_told_though_other_lists_change_all_the_time(
    log: LogDatabase, replica: Replica, database_url: str
) -> None:
    lists, bus = replica.provider.get(ALists), replica.provider.get(ABus)
    session_id = await log.new_session()
    async with LogDatabase(database_url) as busy:
        await lists.subscribe(busy.user_id)
        subscription = await lists.subscribe(log.user_id)

        def told() -> bool:
            bus.publish(Topic.LISTS, [busy.user_id])
            return not subscription.changes.empty()

        await log.connection.execute(
            "UPDATE chat_sessions SET title = 'Another', updated_at = clock_timestamp() WHERE id = $1", session_id
        )
        await eventually(told, "the change is told", seconds=5)
        assert subscription.changes.get_nowait().session.title == "Another"


async def test_a_change_of_a_list_that_was_made_while_nobody_listened_is_told_when_somebody_does(
    log: LogDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.services.lists.SWEEP_SECONDS", 3600.0)
    session_id = await log.new_session()
    async with Replica(database_url, "a", max_active_runs=0).running() as replica:
        lists, bus = replica.provider.get(ALists), replica.provider.get(ABus)
        await eventually(lambda: bus.connected, "the listener is connected")
        subscription = await lists.subscribe(log.user_id)
        questions = Questions(replica, monkeypatch)
        bus.publish(Topic.LISTS, [log.user_id])
        await eventually(lambda: questions.asked[SESSIONS["list_changed_sessions"]], "the feed has looked, and rests")
        await log.connection.execute(
            "UPDATE chat_sessions SET title = 'Another', updated_at = clock_timestamp() WHERE id = $1", session_id
        )
        await log.terminate("webedt-listener")
        await eventually(lambda: not subscription.changes.empty(), "the change is told", seconds=10)


# Silence --------------------------------------------------------------------------------------------------------------


class Listening:
    """An open stream that remembers when it would have written a keep-alive."""

    def __init__(self) -> None:
        self.at = [asyncio.get_running_loop().time()]

    def keep_alive(self) -> None:
        self.at.append(asyncio.get_running_loop().time())

    def finish(self, *, draining: bool) -> None:
        pass


def test_no_stream_is_silent_for_long_enough_to_be_cut_by_a_proxy_after_16_seconds() -> None:
    """Whenever it was opened, and also before its first keep-alive."""

    async def work() -> None:
        streams = Streams(Metrics("test"), 1000)
        streams._background.start("keep-alives", streams._turn_wheel())
        who: Any = SimpleNamespace(pass_id=uuid4(), counts_as=uuid4())
        for _ in range(50):
            stream = Listening()
            with streams.opened(stream, who, "resume"):
                await asyncio.sleep(61)
                stream.at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.35)
            gaps = [late - early for early, late in zip(stream.at, stream.at[1:], strict=False)]
            assert len(gaps) >= 4
            assert max(gaps) < 15.01
        await streams._background.stop()

    run_in_virtual_time(work())


# Clocks ---------------------------------------------------------------------------------------------------------------

WALL_CLOCK = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime"}
# How long a browser may keep the cookie; whether the login behind it still holds, the database says.
# What only tells people how long ago something was may go by it.
WALL_CLOCK_ALLOWED = {
    "http/admin.py": {"datetime.now"},
    "http/cookies.py": {"datetime.now"},
    "cli/times.py": {"datetime.now"},
    "cli/top_figures.py": {"datetime.now"},
}


def wall_clock_readers(tree: ast.AST) -> Iterator[str]:
    """Every mention of a function that tells the time of day, however it was imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="time" | "datetime" | "date" as module), attr=name):
                if name in WALL_CLOCK:
                    yield f"{module}.{name}"
            case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=name) if name in WALL_CLOCK:
                yield f"datetime.{name}"
            case ast.ImportFrom(module="time", names=names):
                yield from (f"time.{alias.name}" for alias in names if alias.name in WALL_CLOCK)


def test_nothing_is_decided_by_the_clock_on_the_wall_of_a_replica() -> None:
    """Leases, heartbeats and deadlines go by the database's clock, or by `time.monotonic`."""
    found = {
        module.relative_to(PACKAGE).as_posix(): set(wall_clock_readers(ast.parse(module.read_text())))
        for module in PACKAGE.rglob("*.py")
    }
    assert {name: readers for name, readers in found.items() if readers} == WALL_CLOCK_ALLOWED


# Python imports a module of this name before any program: the clock on the wall is off by what the file says.
SHIFTED_CLOCK = """
import datetime, os, time
real, real_datetime = time.time, datetime.datetime
def shift():
    with open(os.environ["CLOCK_SHIFT"]) as file:
        return float(file.read() or 0)
class Shifted(real_datetime):
    @classmethod
    def now(cls, tz=None):
        return real_datetime.now(tz) + datetime.timedelta(seconds=shift())
    @classmethod
    def utcnow(cls):
        return real_datetime.utcnow() + datetime.timedelta(seconds=shift())
time.time = lambda: real() + shift()
time.time_ns = lambda: int(time.time() * 1e9)
datetime.datetime = Shifted
"""


async def has_completed(caller: Caller, replica: FleetReplica, session_id: str) -> bool:
    return (await caller.pages(replica, session_id))[-1]["type"] == "completed"


async def test_a_replica_whose_clock_jumps_by_an_hour_neither_loses_a_run_nor_takes_one(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHIFTED_CLOCK)
    shift = tmp_path / "shift"
    shift.write_text("0")
    prompt = "[[tokens=160 rate=40]]"
    async with start_fleet(database_url, 2, lease_seconds=1.0) as fleet, fleet.caller() as caller:
        steady, jumping = fleet.replicas
        jumping.terminate()
        await jumping.ended()
        jumping._environment = {**jumping._environment, "PYTHONPATH": str(tmp_path), "CLOCK_SHIFT": str(shift)}
        jumping.start()
        await jumping.ready()

        runs = [await caller.start(replica, prompt) for replica in (steady, jumping)]

        async def all_said(count: int) -> bool:
            logs = [await caller.pages(steady, run.session_id) for run in runs]
            return all(sum(event["type"] == "text_delta" for event in events) >= count for events in logs)

        async def jumped(hours: int) -> bool:
            """By the `Date` of its answers."""
            async with caller.http.get(f"{jumping.url}/live") as answer:
                shown = parsedate_to_datetime(answer.headers["Date"]).timestamp()
            return round((shown - time.time()) / 3600) == hours

        for count, hours in ((20, 1), (60, -1), (100, 0)):
            await eventually(partial(all_said, count), "both runs go on")
            shift.write_text(str(3600 * hours))
            await eventually(partial(jumped, hours), "the clock has jumped")
        await eventually(partial(all_said, 160), "both runs are through")
        for run, replica in zip(runs, fleet.replicas, strict=True):
            await eventually(partial(has_completed, caller, replica, run.session_id), "it has completed")
            events = await caller.pages(steady, run.session_id)
            types = Counter(event["type"] for event in events)
            assert (types["text_delta"], types["run_recovered"], types["completed"]) == (160, 0, 1)
            [started] = [event["data"] for event in events if event["type"] == "run_started"]
            assert (started["attempt"], started["container"]) == (1, replica.name)
        assert not jumping.logged("heartbeat_failed")
