"""Readers that are slow, leave without a word, or never say anything (G7)."""

import asyncio
import contextlib
import socket
import statistics
import struct
import time
from pathlib import Path

import psutil

from tests.chaos.lab import HTTP_FAILED, Lab, Report
from tests.chaos.load import Load, commit_delays, judge
from tests.support.fleet import Fleet, Replica, Run, eventually
from webedt.http.doorkeeper import FIRST_REQUEST_SECONDS, LOOK_EVERY_SECONDS

# What a stream may hold: the transport's high-water mark, one page, and what the kernel keeps for its socket.
STREAM_BOUND_BYTES = 64 * 1024 + 2 * 256 * 1024
# How long a connection may be without one whole request, how often that is looked at, and some patience.
CUT_SECONDS = FIRST_REQUEST_SECONDS + LOOK_EVERY_SECONDS + 5.0


async def slow_readers(lab: Lab) -> Report:
    """Readers at 1 KB/s on a long session, beside readers of live runs."""
    slow, live, events = lab.pick((40, 20, 10_000), (200, 200, 50_000))
    report = Report("slow-readers", f"{slow} readers at 1 KB/s on a session of {events} events beside {live} live ones")
    async with lab.fleet(1, lease_seconds=10.0) as (fleet, caller):
        replica = fleet[0]
        load = Load(caller)
        long_run = await load.run(replica, events, 0, [[replica]])
        await load.finish(report)
        process = psutil.Process(replica.pid)
        calm = await _delays(lab, load, replica, live, report)
        before = process.memory_info().rss
        async with contextlib.AsyncExitStack() as closing:
            for _ in range(slow):
                await closing.enter_async_context(_slow_reader(fleet, replica, long_run))
            await eventually(lambda: _streams(replica, slow), "all slow readers are attached")
            crowded = await _delays(lab, load, replica, live, report)
            grown = process.memory_info().rss - before
        report.times = slow
        await judge(report, load, lab.database_url)
        report.notes += [
            f"live delivery {statistics.median(calm) * 1000:.1f} ms (median) without, "
            f"{statistics.median(crowded) * 1000:.1f} ms with them, {max(crowded) * 1000:.0f} ms (max)",
            f"memory grew by {grown / slow / 1024:.0f} KiB a slow reader, bound {STREAM_BOUND_BYTES // 1024}",
        ]
        report.require(grown < slow * STREAM_BOUND_BYTES + 32 * 2**20, f"memory grew by {grown / 2**20:.0f} MiB")
        report.require(statistics.median(crowded) < 2.0, "live readers were held up")
        await eventually(lambda: _streams(replica, 0), "all streams are gone")
    return report


@contextlib.asynccontextmanager
async def _slow_reader(fleet: Fleet, replica: Replica, run: Run):
    """A socket with a small buffer of which a task takes 1 KB a second."""
    connection = await _open_stream(fleet, replica, run.session_id, receive_bytes=4096)

    async def sip() -> None:
        while await asyncio.get_running_loop().sock_recv(connection, 1024):  # noqa: ASYNC110
            await asyncio.sleep(1)  # how slow it is

    task = asyncio.create_task(sip())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        connection.close()


async def _open_stream(
    fleet: Fleet, replica: Replica, session_id: str, *, receive_bytes: int = 0, after: int = 0, part: int | None = None
) -> socket.socket:
    """A socket that has asked for a stream (or sent `part` bytes of the request), and read nothing yet."""
    connection = socket.socket()
    connection.setblocking(False)
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", replica.port))
    request = (
        f"GET /api/sessions/{session_id}/events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Last-Event-ID: {after}\r\nAuthorization: Bearer {fleet.token}\r\n\r\n"
    ).encode()
    await loop.sock_sendall(connection, request[:part])
    return connection


async def _streams(replica: Replica, count: int) -> bool:
    return await replica.metric("webedt_sse_streams") == count


async def _delays(lab: Lab, load: Load, replica: Replica, readers: int, report: Report) -> list[float]:
    """Seconds from commit to reader of everything that `readers` readers of four live runs get."""
    run_count = 4
    mine = []
    for _ in range(run_count):
        run = await load.run(replica, 60, 40, [[replica]] * (readers // run_count))
        mine += load.readers_of(run)
    await load.finish(report)
    return [delay for of_reader in await commit_delays(lab.database_url, mine) for delay in of_reader[5:]]


async def disconnects(lab: Lab) -> Report:
    """Clients that reset their connection at any moment of a stream, over and over."""
    count = lab.often(400, 10_000)
    report = Report("disconnects", "streams reset by their client, with a request half sent, unread or half read")
    async with lab.fleet(1, lease_seconds=10.0) as (fleet, caller):
        replica = fleet[0]
        load = Load(caller)
        run = await load.run(replica, 2000, 0, [[replica]])
        await load.finish(report)
        process = psutil.Process(replica.pid)
        await asyncio.gather(*(_leave_abruptly(lab, fleet, replica, run) for _ in range(50)))  # warm
        await eventually(lambda: _streams(replica, 0), "all streams are gone")
        files, memory = len(_files(replica)), process.memory_info().rss
        for _ in range(0, count, 50):
            await asyncio.gather(*(_leave_abruptly(lab, fleet, replica, run) for _ in range(50)))
            report.times += 50
        began = time.monotonic()
        await eventually(lambda: _streams(replica, 0), "all streams are gone")
        await eventually(lambda: len(_files(replica)) <= files + 5, "all sockets are closed")
        report.recoveries.append(time.monotonic() - began)
        grown = process.memory_info().rss - memory
        report.notes.append(f"open files {files} before, {len(_files(replica))} after; memory {grown / 2**20:+.1f} MiB")
        report.require(grown < 48 * 2**20, f"memory grew by {grown / 2**20:.0f} MiB")
        await load.run(replica, 20, 0, [[replica]])
        await load.finish(report)
        await judge(report, load, lab.database_url)
        report.require(not replica.logged("task_crashed"), "a task crashed")
        report.require(not replica.logged("request_failed"), "a request failed")
    return report


def _files(replica: Replica) -> list[Path]:
    return list(Path(f"/proc/{replica.pid}/fd").iterdir())


async def _leave_abruptly(lab: Lab, fleet: Fleet, replica: Replica, run: Run) -> None:
    part = lab.dice.randrange(1, 150) if lab.dice.random() < 0.2 else None
    connection = await _open_stream(fleet, replica, run.session_id, after=lab.dice.randrange(2000), part=part)
    try:
        if part is None and lab.dice.random() < 0.8:
            await asyncio.get_running_loop().sock_recv(connection, lab.dice.randrange(1, 20_000))
        # Linger of zero seconds: a reset instead of a goodbye.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except ConnectionError:
        pass
    finally:
        connection.close()


async def half_open(lab: Lab) -> Report:
    """Connections that send half a request and nothing more, while others work: they are cut after a deadline."""
    count = lab.often(300, 3000)
    report = Report("half-open", "connections that never finish their request, beside live readers")
    async with lab.fleet(1, lease_seconds=10.0) as (fleet, caller):
        replica = fleet[0]
        load = Load(caller)
        run = await load.run(replica, 80, 40, [[replica]] * 4)
        held: list[socket.socket] = []
        files = len(_files(replica))
        try:
            for _ in range(count):
                held.append(await _open_stream(fleet, replica, run.session_id, part=lab.dice.randrange(60)))
                report.times += 1
            last = began = time.monotonic()
            status, _body = await replica.probe("/ready")
            report.recoveries.append(time.monotonic() - began)
            report.require(status == 200, f"/ready answers {status}")
            with contextlib.suppress(*HTTP_FAILED):
                await load.run(replica, 20, 0, [[replica]])
            await load.finish(report)
            await eventually(lambda: len(_files(replica)) <= files + 10, "all are cut", CUT_SECONDS)
            report.notes.append(f"time: of a request beside them; all were cut after {time.monotonic() - last:.1f} s")
        finally:
            for connection in held:
                connection.close()
        await judge(report, load, lab.database_url)
        report.require(len(load.runs) == 2, "a prompt beside them was refused")
    return report


async def stalled(lab: Lab) -> Report:
    """Readers that ask for a long session and never take a byte of it: they are cut after a deadline."""
    count = lab.often(20, 200)
    report = Report("stalled", "readers that take nothing of a session of 50000 events")
    async with lab.fleet(1, lease_seconds=10.0) as (fleet, caller):
        replica = fleet[0]
        load = Load(caller)
        run = await load.run(replica, 50_000, 0, [[replica]])
        await load.finish(report)
        process = psutil.Process(replica.pid)
        before, grown = process.memory_info().rss, 0
        began = time.monotonic()

        async def all_cut() -> bool:
            nonlocal grown
            grown = max(grown, process.memory_info().rss - before)
            return await _streams(replica, 0)

        held = [
            await _open_stream(fleet, replica, run.session_id, receive_bytes=4096, after=lab.dice.randrange(1000))
            for _ in range(count)
        ]
        try:
            await eventually(lambda: _streams(replica, count), "all are attached")
            await eventually(all_cut, "all are cut", 150)
        finally:
            for connection in held:
                connection.close()
        report.times = count
        report.recoveries.append(time.monotonic() - began)
        report.notes += [
            f"memory grew by {grown / count / 1024:.0f} KiB a reader, bound {STREAM_BOUND_BYTES // 1024}",
            "time: until the last was cut",
        ]
        report.require(grown < count * STREAM_BOUND_BYTES + 32 * 2**20, f"memory grew by {grown / 2**20:.0f} MiB")
        await judge(report, load, lab.database_url)
    return report
