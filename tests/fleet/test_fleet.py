"""One run, end to end, on two real replicas: whatever is asked of one may be asked of the other."""

import asyncio
import os
from typing import Any

from tests.support.fleet import (
    ROOT,
    Caller,
    Fleet,
    Replica,
    Run,
    eventually,
    leashed,
    start_fleet,
)
from tests.support.fleet_reader import Reader, decoded
from tests.support.ports import free_port
from webedt.database.embedded import EmbeddedPostgres
from webedt.database.migrations import migrate
from webedt.providers.simulated import simulated_text


def reader_of(caller: Caller, run: Run, *replicas: Replica) -> Reader:
    return Reader(caller.http, run.session_id, [replica.url for replica in replicas], keep=True)


async def read(caller: Caller, run: Run, *replicas: Replica) -> Reader:
    """Follow to the end; whatever the reader saw was right."""
    reader = reader_of(caller, run, *replicas)
    async with asyncio.timeout(60):
        await reader.follow()
    assert reader.faults() == []
    return reader


async def frames_after(caller: Caller, replica: Replica, session_id: str, after: int) -> bytes:
    """The frames of the log in one answer of `resume`, which ends by itself."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    async with caller.http.get(f"{replica.url}/api/resume/{session_id}", headers=headers) as answer:
        body = await answer.read()
        assert answer.status == (200 if body else 204)
        assert body or answer.content_type != "text/event-stream"
    return b"".join(block + b"\n\n" for block in body.split(b"\n\n") if block.startswith(b"id: "))


async def session_of(caller: Caller, replica: Replica, session_id: str) -> dict[str, Any]:
    status, answer = await caller.call("GET", replica, f"/api/sessions/{session_id}")
    assert status == 200
    session: dict[str, Any] = answer["session"]
    return session


async def test_the_stream_of_the_post_the_other_replica_a_replay_and_the_pages_are_the_same(
    fleet: Fleet, caller: Caller
) -> None:
    body = {"userRequest": "[[tokens=120 rate=200 seed=3]]", "provider": "simulated"}
    async with caller.http.post(f"{fleet[0].url}/api/execute-remote", json=body) as answer:
        assert answer.status == 200
        assert answer.headers["X-Container-ID"] == "r1"
        run = Run(answer.headers["X-Session-ID"], answer.headers["X-Run-ID"])
        beside = asyncio.create_task(read(caller, run, fleet[1]))
        posted = await answer.read()
    frames = [block + b"\n\n" for block in posted.split(b"\n\n") if block.startswith(b"id: ")]
    live = await beside
    assert live.containers == ["r2"]
    assert live.frames == frames
    assert (await read(caller, run, fleet[0])).frames == frames
    assert (await read(caller, run, fleet[1])).frames == frames
    for replica in fleet.replicas:
        pages = await caller.pages(replica, run.session_id)
        assert [{key: event[key] for key in ("id", "type", "data")} for event in pages] == [
            decoded(frame) for frame in frames
        ]
    types = [decoded(frame)["type"] for frame in frames]
    assert types == ["user_message", "run_started", *["text_delta"] * 120, "message", "usage", "completed"]
    text = "".join(decoded(frame)["data"]["text"] for frame in frames[2:122])
    assert text == simulated_text(120 * 6, 3)


async def test_a_reader_may_reconnect_at_every_single_id_from_the_other_replica(fleet: Fleet, caller: Caller) -> None:
    run = await caller.start(fleet[0], "[[tokens=60 rate=40]]")
    following = reader_of(caller, run, fleet[0])
    following_task = asyncio.create_task(following.follow())
    resumed: list[asyncio.Task[bytes]] = []
    for event_id in range(1, 63):  # while it runs: as soon as an id is there, somebody comes with it
        await following.has_seen(event_id)
        resumed.append(asyncio.create_task(frames_after(caller, fleet[1], run.session_id, event_id)))
    async with asyncio.timeout(60):
        await following_task
        live = await asyncio.gather(*resumed)
    assert following.faults() == []
    frames = following.frames
    assert len(frames) == 65
    for event_id, tail in enumerate(live, 1):
        assert tail == b"".join(frames[event_id:]), f"while it ran, after id {event_id}"
    for event_id in range(66):
        tail = await frames_after(caller, fleet[1], run.session_id, event_id)
        assert tail == b"".join(frames[event_id:]), f"when it was over, after id {event_id}"


async def test_an_interrupt_at_the_other_replica_ends_the_run_once(fleet: Fleet, caller: Caller) -> None:
    run = await caller.start(fleet[0], "[[tokens=5000 rate=50]]")
    reader = reader_of(caller, run, fleet[0])
    reading = asyncio.create_task(reader.follow())
    await reader.has_seen(10)
    assert await caller.interrupt(fleet[1], run) == 202
    async with asyncio.timeout(30):
        await reading
    assert reader.outcomes == {run.run_id: "interrupted"}
    assert reader.faults() == []
    assert await caller.interrupt(fleet[1], run) == 409
    assert (await session_of(caller, fleet[1], run.session_id))["status"] == "interrupted"


async def test_prompts_sent_to_both_replicas_run_one_after_the_other_in_the_order_of_the_log(
    fleet: Fleet, caller: Caller
) -> None:
    first = await caller.start(fleet[0], "[[tokens=40 rate=40]]")
    sent = [first.run_id]
    for number in range(6):
        status, answer = await caller.send(fleet[number % 2], first.session_id, "[[tokens=5 rate=50]]", onBusy="queue")
        assert (status, answer["status"]) == (202, "queued")
        sent.append(answer["runId"])
    assert (await caller.send(fleet[1], first.session_id, "no", onBusy="reject"))[0] == 409
    reader = await read(caller, first, fleet[1], fleet[0])
    assert [run_id for kind, run_id, _at in reader.marks if kind == "completed"] == sent
    assert [kind for kind, _run_id, _at in reader.marks] == ["run_started", "completed"] * 7


async def test_a_prompt_that_interrupts_takes_the_place_of_what_ran_elsewhere(fleet: Fleet, caller: Caller) -> None:
    first = await caller.start(fleet[0], "[[tokens=5000 rate=50]]")
    reader = reader_of(caller, first, fleet[1])
    reading = asyncio.create_task(reader.follow())
    await reader.has_seen(5)
    status, answer = await caller.send(fleet[1], first.session_id, "[[tokens=5 rate=0]]", onBusy="interrupt")
    assert status == 202
    async with asyncio.timeout(30):
        await reading
    assert reader.outcomes == {first.run_id: "interrupted", answer["runId"]: "completed"}
    assert reader.faults() == []


async def test_everything_is_still_there_after_both_replicas_were_restarted(fleet: Fleet, caller: Caller) -> None:
    run = await caller.start(fleet[0], "[[tokens=30 rate=0]]")
    before = (await read(caller, run, fleet[0])).frames
    session = await session_of(caller, fleet[0], run.session_id)
    for replica in fleet.replicas:
        replica.terminate()
    assert [await replica.ended() for replica in fleet.replicas] == [0, 0]
    for replica in fleet.replicas:
        replica.start()
    await fleet.all_ready()
    for replica in fleet.replicas:
        assert (await read(caller, run, replica)).frames == before
        assert await session_of(caller, replica, run.session_id) == session


async def test_a_run_goes_on_elsewhere_when_its_replica_is_told_to_stop(fleet: Fleet, caller: Caller) -> None:
    run = await caller.start(fleet[0], "[[tokens=150 rate=50]]")
    moving, staying = reader_of(caller, run, fleet[0], fleet[1]), reader_of(caller, run, fleet[1])
    following = asyncio.gather(moving.follow(), staying.follow())
    await moving.has_seen(20)
    fleet[0].terminate()
    assert await fleet[0].ended() == 0
    async with asyncio.timeout(60):
        await following
    assert moving.faults(graceful=True) + staying.faults(graceful=True) == []
    assert moving.frames == staying.frames
    assert [kind for kind, _run_id, _at in staying.marks] == ["run_started", "run_recovered", "completed"]
    assert len(staying.frames) == 150 + 6
    assert moving.drained == 1
    assert moving.containers[:2] == ["r1", "r2"]
    assert fleet[0].logged("replica_stopped")


async def test_a_run_survives_the_kill_of_its_replica(fleet: Fleet, caller: Caller) -> None:
    run = await caller.start(fleet[0], "[[tokens=150 rate=50]]")
    moving, staying = reader_of(caller, run, fleet[0], fleet[1]), reader_of(caller, run, fleet[1])
    following = asyncio.gather(moving.follow(), staying.follow())
    await moving.has_seen(20)
    fleet[0].kill()
    async with asyncio.timeout(60):
        await following
    assert moving.faults() + staying.faults() == []
    assert moving.frames == staying.frames
    assert [kind for kind, _run_id, _at in staying.marks] == ["run_started", "run_recovered", "completed"]
    assert len(staying.frames) == 150 + 6


async def test_a_replica_starts_without_its_database_and_is_ready_once_the_schema_is_there(
    own_postgres: EmbeddedPostgres,
) -> None:
    url = await asyncio.to_thread(own_postgres.start)
    await asyncio.to_thread(own_postgres.stop)
    async with start_fleet(url, 1, wait=False) as fleet:
        replica = fleet[0]

        async def answers(path: str, status: int, body: Any) -> None:
            async def as_expected() -> bool:
                return await replica.probe(path) == (status, body)

            await eventually(as_expected, f"{path} answers {status} {body}")

        await answers("/live", 200, {"status": "alive"})
        await answers("/ready", 503, {"status": "not_ready", "reason": "database"})
        assert (await replica.probe("/api/sessions"))[0] == 503
        await asyncio.to_thread(own_postgres.start)
        await answers("/ready", 503, {"status": "not_ready", "reason": "migrations"})
        await answers("/live", 200, {"status": "alive"})
        await migrate(url)
        await fleet.all_ready()
        await fleet.register()
        async with fleet.caller() as caller:
            run = await caller.start(replica, "[[tokens=5 rate=0]]")
            await read(caller, run, replica)
        replica.terminate()
        assert await replica.ended() == 0


async def test_the_command_line_follows_a_run_while_its_replica_is_restarted(fleet: Fleet, caller: Caller) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "WEBEDT"))},
        "WEBEDT_URL": fleet[0].url,
        "WEBEDT_TOKEN": fleet.token,
    }
    prompt = "[[tokens=150 rate=50 seed=7]]"
    command = leashed("-m", "webedt", "run", "--provider", "simulated", prompt)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe)
    try:
        session_id = await eventually(lambda: _first_session(caller, fleet[1]), "the run has begun")
        reader = Reader(caller.http, session_id, [fleet[1].url])
        following = asyncio.create_task(reader.follow())
        await reader.has_seen(20)
        fleet[0].kill()
        fleet[0].start()
        async with asyncio.timeout(60):
            await following
            output, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, errors.decode()
    assert simulated_text(150 * 6, 7).strip() in output.decode()
    assert reader.faults() == []


async def _first_session(caller: Caller, replica: Replica) -> str | None:
    _status, answer = await caller.call("GET", replica, "/api/sessions")
    return answer["sessions"][0]["id"] if answer["sessions"] else None


async def test_an_event_source_at_a_replica_without_its_database_is_told_to_come_back() -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/nothing"
    async with start_fleet(nowhere, 1, wait=False) as fleet, fleet.caller() as caller:
        replica = fleet[0]

        async def alive() -> bool:
            return (await replica.probe("/live"))[0] == 200

        await eventually(alive, "/live answers")
        path = f"{replica.url}/api/resume/5e551011-0000-4000-8000-000000000001"
        # Any other answer would make it give up for good, over a database that is back in a minute.
        async with caller.http.get(path, headers={"Accept": "text/event-stream"}) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            assert (await answer.read()).startswith(b"retry: ")
        async with caller.http.get(path) as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
