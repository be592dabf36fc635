"""Pages that several readers want: read once, kept for a moment, never more of them than a bound."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from webedt.log import replay
from webedt.log.chunks import TailKey
from webedt.log.replay import Replay
from webedt.telemetry.metrics import Metrics

KEY = TailKey(uuid4(), deltas=True)


class Database:
    """Answers every page with 100 bytes, after a step of the loop."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = False

    async def fetchrow(self, _query: str, _session_id: Any, _after: int, upto: int, *_bounds: Any) -> Any:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError
        return {"frames": b"x" * 100, "last_seq": upto, "rows": 1}


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def pages(database: Database) -> Replay:
    anything: Any = database
    return Replay(anything, {"read_page": ""}, Metrics("test"), 4)


async def test_readers_that_come_one_after_the_other_share_a_page(pages: Replay, database: Database) -> None:
    first = await pages.page(KEY, 0, 5)
    assert await pages.page(KEY, 0, 5) is first
    assert database.reads == 1
    await pages.page(KEY, 1, 5)
    await pages.page(KEY._replace(deltas=False), 0, 5)
    assert database.reads == 3


async def test_a_page_is_not_kept_for_long(pages: Replay, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "KEPT_SECONDS", 0.0)
    await pages.page(KEY, 0, 5)
    await asyncio.sleep(0.01)
    await pages.page(KEY, 0, 5)
    assert database.reads == 2


async def test_the_oldest_pages_go_when_they_are_too_many_bytes(
    pages: Replay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "KEPT_BYTES", 250)
    for upto in (5, 6, 7):
        await pages.page(KEY, 0, upto)
    assert [upto for _, _, upto in pages._kept] == [6, 7]
    assert pages._kept_bytes == 200


async def test_what_could_not_be_read_is_asked_for_again(pages: Replay, database: Database) -> None:
    database.away = True
    with pytest.raises(ConnectionError):
        await pages.page(KEY, 0, 5)
    database.away = False
    assert (await pages.page(KEY, 0, 5)).last == 5
