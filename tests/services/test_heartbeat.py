"""When this replica may append, and when it may judge others: by its own clock, which is a virtual one here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from tests.support.log_model import ModelDatabase, ModelLog
from tests.support.virtual_time import run_in_virtual_time
from webedt.database.interface import ADatabase
from webedt.fleet.heartbeat import AHeartbeat, Heartbeat
from webedt.fleet.identity import Identity
from webedt.kernel import ServiceProvider

LEASE = 9.0
INTERVAL = LEASE / 3


class Server:
    """A server that answers beats after `delay` seconds, or fails them, or takes no connections."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.failing = False
        self.beats: list[float] = []

    async def beat(self) -> None:
        self.beats.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delay)
        if self.failing:
            raise ConnectionResetError


class Connection:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def fetchval(self, _query: str, *_args: Any) -> None:
        await self._server.beat()

    async def execute(self, _query: str, *_args: Any, **_more: Any) -> None:
        pass

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        pass

    async def close(self, **_more: Any) -> None:
        pass


class Connecting(ModelDatabase):
    def __init__(self, server: Server) -> None:
        super().__init__(ModelLog(), [(0, 0)])
        self._server = server

    async def connect(self, purpose: str, *, command_timeout_seconds: float, **server_settings: str) -> Any:
        if self._server.failing:
            raise ConnectionRefusedError
        return Connection(self._server)


@asynccontextmanager
async def beating(server: Server) -> AsyncIterator[Heartbeat]:
    heartbeat = Heartbeat(Identity(uuid4(), "a"), LEASE)
    provider = ServiceProvider()
    database = Connecting(server)
    provider.register(ADatabase, database)
    provider.register(AHeartbeat, heartbeat)
    await provider.initialize()
    try:
        yield heartbeat
    finally:
        await provider.reset()


def live(work: Callable[[Server], Awaitable[None]]) -> None:
    async def timed() -> None:
        clock = SimpleNamespace(monotonic=asyncio.get_running_loop().time)
        with patch("webedt.fleet.heartbeat.time", clock):
            await work(Server())

    run_in_virtual_time(timed())


def test_nothing_is_allowed_before_the_first_beat_was_answered() -> None:
    async def work(server: Server) -> None:
        server.failing = True
        async with beating(server) as heartbeat:
            await asyncio.sleep(60)
            assert not heartbeat.valid
            assert not heartbeat.may_take_over
            server.failing = False
            await heartbeat.wait_until_valid()
            assert heartbeat.valid

    live(work)


def test_a_beat_is_sent_every_third_of_the_lease() -> None:
    async def work(server: Server) -> None:
        server.delay = 0.5
        async with beating(server):
            await asyncio.sleep(10 * INTERVAL - 0.1)
        gaps = [round(late - early, 6) for early, late in zip(server.beats, server.beats[1:], strict=False)]
        assert gaps == [INTERVAL] * 9

    live(work)


def test_the_lease_counts_from_the_sending_of_the_last_good_beat() -> None:
    async def work(server: Server) -> None:
        server.delay = 1.0
        async with beating(server) as heartbeat:
            await asyncio.sleep(1.5)
            sent_at = server.beats[0]
            server.failing = True
            loop = asyncio.get_running_loop()
            await asyncio.sleep(sent_at + LEASE - 0.01 - loop.time())
            assert heartbeat.valid
            await asyncio.sleep(0.02)
            assert not heartbeat.valid

    live(work)


def test_others_may_be_judged_only_after_a_whole_lease_of_good_beats() -> None:
    async def work(server: Server) -> None:
        async with beating(server) as heartbeat:
            await asyncio.sleep(LEASE - 0.1)
            assert heartbeat.valid
            assert not heartbeat.may_take_over
            await asyncio.sleep(0.2)
            assert heartbeat.may_take_over

    live(work)


def test_after_an_outage_nobody_is_judged_until_the_beats_were_good_for_a_lease_again() -> None:
    async def work(server: Server) -> None:
        async with beating(server) as heartbeat:
            await asyncio.sleep(3 * LEASE)
            server.failing = True
            await asyncio.sleep(2 * LEASE)
            assert not heartbeat.valid
            assert not heartbeat.may_take_over
            server.failing = False
            await heartbeat.wait_until_valid()
            began = asyncio.get_running_loop().time()
            assert not heartbeat.may_take_over
            await asyncio.sleep(LEASE - 0.5)
            assert not heartbeat.may_take_over
            await asyncio.sleep(1.0)
            assert heartbeat.may_take_over
            assert asyncio.get_running_loop().time() - began < LEASE + 1

    live(work)


def test_after_a_missed_beat_this_replica_goes_on_but_judges_nobody_for_a_lease() -> None:
    """What kept it from its beat may have kept others from theirs."""

    async def work(server: Server) -> None:
        async with beating(server) as heartbeat:
            await asyncio.sleep(2 * LEASE)
            assert heartbeat.may_take_over
            server.failing = True
            await asyncio.sleep(INTERVAL)
            server.failing = False
            for _ in range(8):
                await asyncio.sleep(LEASE / 10)
                assert heartbeat.valid
                assert not heartbeat.may_take_over
            await asyncio.sleep(LEASE / 2)
            assert heartbeat.may_take_over

    live(work)


def test_the_first_beat_after_an_outage_is_not_later_than_a_third_of_the_lease() -> None:
    """Else the replica would lose its runs to a database that was away for a moment only."""

    async def work(server: Server) -> None:
        async with beating(server) as heartbeat:
            await asyncio.sleep(LEASE)
            server.failing = True
            await asyncio.sleep(10 * LEASE)
            server.failing = False
            back = asyncio.get_running_loop().time()
            await heartbeat.wait_until_valid()
            assert asyncio.get_running_loop().time() - back <= INTERVAL

    live(work)


def test_a_listener_that_fails_stops_neither_the_others_nor_the_beats() -> None:
    async def work(server: Server) -> None:
        async with beating(server) as heartbeat:
            heard: list[Any] = []

            async def fail(_connection: Any) -> None:
                raise ValueError("no")

            async def hear(connection: Any) -> None:
                heard.append(connection)

            heartbeat.on_beat(fail)
            heartbeat.on_beat(hear)
            await asyncio.sleep(5 * INTERVAL)
            assert len(heard) >= 4
            assert heartbeat.valid

    live(work)
