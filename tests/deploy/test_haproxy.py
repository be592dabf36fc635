"""Through HAProxy, with the configuration as it is shipped, everything is as it is at a replica."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.deploy.balancer import CONFIGURATION, AddressedFleet, Balancer, balanced, haproxy, name_server
from tests.support.fleet import eventually
from tests.support.fleet_reader import Reader, decoded
from tests.support.ports import free_port
from webedt.config import Settings

DRAIN_SECONDS = 1.5
STREAM = {"Accept": "text/event-stream"}
# A health check may be accepted in the very moment in which a fake is closed: it is left to the garbage collector then.
LEFT = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning")
ENDLESS = "[[tokens=100000 rate=50 size=4 seed=5]]"


@pytest.fixture
async def fleet(database_url: str, tmp_path: Path) -> AsyncIterator[AddressedFleet]:
    haproxy()
    fleet = AddressedFleet(tmp_path, [database_url] * 3, 2.0, {"LB_DRAIN_DELAY_SECONDS": f"{DRAIN_SECONDS:g}"})
    try:
        for replica in fleet.replicas:
            replica.start()
        await fleet.all_ready()
        await fleet.register()
        yield fleet
    finally:
        fleet.stop()


def test_the_configuration_is_one_and_notices_a_drain_in_time() -> None:
    subprocess.run([haproxy(), "-c", "-f", str(CONFIGURATION)], check=True, capture_output=True)
    text = CONFIGURATION.read_text()
    seconds = {name: float(value) for name, value in re.findall(r"^ +(?:timeout|presetenv) (\S+) (\d+)s$", text, re.M)}
    [checks] = set(re.findall(r"\bfall (\d+)\b", text))
    # It may just have asked when the drain began.
    assert (int(checks) + 1) * seconds["CHECK_INTERVAL"] < Settings().lb_drain_delay_seconds
    keep_alive_seconds = 15
    assert min(seconds["client"], seconds["server"]) > 2 * keep_alive_seconds
    assert f"presetenv BACKEND_PORT {Settings().port}\n" in text


async def test_readers_and_prompts_get_over_a_scaling_a_drain_and_a_kill(fleet: AddressedFleet, tmp_path: Path) -> None:
    first, second, third = fleet.replicas
    async with (
        name_server(*fleet.addresses[:2]) as names,
        balanced(names, fleet.port, tmp_path) as balancer,
        fleet.caller() as caller,
    ):
        await balancer.serves(2)
        names.addresses.append(fleet.addresses[2])  # what `--scale backend=3` does
        await nothing_private_is_shown(balancer)
        await a_stream_passes_whole_and_the_connection_stays(balancer, fleet)
        await balancer.serves(3)
        runs = [await caller.start(balancer, ENDLESS) for _ in range(6)]
        readers = [Reader(caller.http, run.session_id, [balancer.url], keep=True) for run in runs]
        following = asyncio.gather(*(reader.follow() for reader in readers))
        await asyncio.gather(*(reader.has_seen(20) for reader in readers))
        assert {name for reader in readers for name in reader.containers} == {"r1", "r2", "r3"}

        first.terminate()
        await balancer.serves(2)
        assert (await first.probe("/live"))[0] == 200  # it was noticed while it still served
        while first.running:
            # Throughout the drain the prompts of others are taken, by whoever it is.
            await caller.start(balancer, "[[tokens=1 rate=0]]")
        assert first.process.returncode == 0
        assert [reader.cuts for reader in readers if reader.cuts] == []
        second.kill()
        await asyncio.gather(*(reader.has_seen(reader.last_id + 20) for reader in readers))
        for run in runs:
            assert await caller.interrupt(balancer, run) == 202
        async with asyncio.timeout(20):
            await following
        assert [fault for reader in readers for fault in reader.faults()] == []
        assert {reader.containers[-1] for reader in readers} == {"r3"}
        assert sum(reader.drained for reader in readers) > 0
        assert sum(len(reader.cuts) for reader in readers) > 0
        told = [decoded(frame) for frame in readers[0].frames]
        pages = await caller.pages(third, runs[0].session_id)
        assert told == [{key: event[key] for key in ("id", "type", "data")} for event in pages]


async def nothing_private_is_shown(balancer: Balancer) -> None:
    paths = ["/metrics", "/health/status", "//metrics", "/METRICS", "/%6detrics", "/health%2fstatus", "/health//status",
             "/metrics/", "/metrics?x", "/x/../metrics", "/./metrics", "/health/%73tatus"]  # fmt: skip
    async with aiohttp.ClientSession() as http:
        for path in paths:
            async with http.get(URL(balancer.url + path, encoded=True)) as answer:
                text = await answer.text()
            assert answer.status == 404 or text.lstrip().startswith("<!doctype"), path
            assert "webedt_uptime" not in text, path
            assert '"database"' not in text, path
        async with http.get(f"{balancer.url}/live") as answer:
            assert answer.status == 200


async def a_stream_passes_whole_and_the_connection_stays(balancer: Balancer, fleet: AddressedFleet) -> None:
    """A replica closes its connection behind a stream; the client's stays, and has the last byte of the stream."""
    opened: list[object] = []

    async def opening(*_: object) -> None:
        opened.append(_)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opening)
    headers = {"Authorization": f"Bearer {fleet.token}"}
    async with aiohttp.ClientSession(trace_configs=[trace], headers=headers) as http:
        for tokens in (1, 40, 2000):
            body = {"userRequest": f"[[tokens={tokens} rate=0]]", "provider": "simulated"}
            async with http.post(f"{balancer.url}/api/execute-remote", json=body) as answer:
                assert answer.status == 200
                assert "close" not in answer.headers.get("Connection", "")
                received = await answer.read()
            blocks = [block for block in received.split(b"\n\n") if block.startswith(b"id: ")]
            assert [int(block.split(b"\n")[0][4:]) for block in blocks] == list(range(1, tokens + 6))
            assert blocks[-1].split(b"\n")[1] == b"event: completed"
        async with http.get(f"{balancer.url}/api/auth/session") as answer:
            assert answer.status == 200
        body = {"userRequest": "[[tokens=20 rate=50]]", "provider": "simulated"}
        async with http.post(f"{balancer.url}/api/execute-remote", json=body) as answer:
            # As it comes: nothing gathers until the end.
            seen = b""
            while b"event: text_delta" not in seen:
                seen += await answer.content.readany()
            assert b"event: completed" not in seen
            assert b"event: completed" in await answer.content.read()
    assert len(opened) == 1


@LEFT
async def test_a_prompt_that_was_sent_is_not_sent_again_by_the_balancer(tmp_path: Path) -> None:
    received: list[bytes] = []

    async def die_of_a_prompt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ready whenever asked; takes a prompt and is gone."""
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith((b"GET /ready", b"GET /live")):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        else:
            received.append(head.split(b"\r\n")[0])
        writer.close()

    port = free_port()
    addresses = ["127.0.0.2", "127.0.0.3"]
    servers = [await asyncio.start_server(die_of_a_prompt, address, port) for address in addresses]
    async with name_server(*addresses) as names, balanced(names, port, tmp_path) as balancer:
        await balancer.serves(2)
        async with aiohttp.ClientSession() as http, http.post(f"{balancer.url}/api/execute-remote") as answer:
            assert answer.status == 502
        assert received == [b"POST /api/execute-remote HTTP/1.1"]
    for server in servers:
        server.close()


@LEFT
async def test_a_reader_whose_replica_dies_before_it_answers_is_led_to_another(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        if "/ready" in request or asked:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        if "/ready" not in request and "/live" not in request:
            asked.append(request)
        writer.close()
        await writer.wait_closed()

    port = free_port()
    addresses = ["127.0.0.2", "127.0.0.3"]
    servers = [await asyncio.start_server(answer, address, port) for address in addresses]
    async with name_server(*addresses) as names, balanced(names, port, tmp_path) as balancer:
        await balancer.serves(2)
        async with aiohttp.ClientSession() as http, http.get(f"{balancer.url}/api/resume/x") as found:
            assert found.status == 200
        assert asked == ["GET /api/resume/x HTTP/1.1"] * 2
    for server in servers:
        server.close()


async def test_an_event_source_is_told_to_come_back_where_no_replica_has_its_database(tmp_path: Path) -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/nothing"
    fleet = AddressedFleet(tmp_path, [nowhere], 2.0, {"STORAGE_URL": tmp_path.as_uri()})
    async with name_server(*fleet.addresses) as names, balanced(names, fleet.port, tmp_path) as balancer:
        try:
            fleet[0].start()
            path = f"{balancer.url}/api/resume/5e551011-0000-4000-8000-000000000001"

            async def told() -> bool:
                try:
                    async with aiohttp.ClientSession() as http, http.get(path, headers=STREAM) as answer:
                        return answer.status == 200 and (await answer.read()).startswith(b"retry: ")
                except aiohttp.ClientConnectorError:  # HAProxy does not listen yet
                    return False

            await eventually(told, "an EventSource is told to come back")
            assert await balancer.servers_up() == 0
        finally:
            fleet.stop()
