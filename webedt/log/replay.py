"""Pages of the log out of the database, as bytes that nobody here looks into.

A page is bounded in rows and in bytes. Readers that want the same page at about the same time get the same one (a
replica's readers all reconnect at once, but do not arrive at once): what is committed does not change, and a page from
before a compaction leads to the same end as one from after it. How many pages are read at a time is bounded below the
size of the pool, so that a storm of readers cannot take every connection from those that write.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from webedt.database.interface import ADatabase
from webedt.log.chunks import TailKey
from webedt.telemetry.metrics import Metrics

PAGE_ROWS = 2000
PAGE_BYTES = 256 * 1024
KEPT_SECONDS = 1.0
KEPT_BYTES = 8 * 1024 * 1024


class Page(NamedTuple):
    """`payload`: frames; `last`: how far it goes, which is `upto` when there is nothing more before it."""

    payload: bytes
    last: int
    rows: int


class Replay:
    def __init__(self, database: ADatabase, queries: Mapping[str, str], metrics: Metrics, concurrency: int) -> None:
        self._database = database
        self._sql = queries
        self._metrics = metrics
        self.slots = asyncio.Semaphore(max(1, concurrency))
        self._reading: dict[tuple[TailKey, int, int], asyncio.Future[Page]] = {}
        self._kept: dict[tuple[TailKey, int, int], Page] = {}
        self._kept_bytes = 0

    async def page(self, key: TailKey, after: int, upto: int) -> Page:
        """The frames after `after` up to `upto`, as far as one page goes. Raises `Unavailable`."""
        wanted = (key, after, upto)
        page = self._kept.get(wanted)
        if page is None:
            reading = self._reading.get(wanted)
            if reading is None:
                reading = asyncio.ensure_future(self._read(key, after, upto))
                self._reading[wanted] = reading
                reading.add_done_callback(lambda done: self._have_read(wanted, done))
            # One reader that leaves must not take the page from the others.
            page = await asyncio.shield(reading)
        self._metrics.replay_events.inc(page.rows)
        return page

    def _have_read(self, wanted: tuple[TailKey, int, int], done: asyncio.Future[Page]) -> None:
        self._reading.pop(wanted, None)
        if done.cancelled() or done.exception() is not None:  # asked, for all readers may have left
            return
        self._kept[wanted] = done.result()
        self._kept_bytes += len(done.result().payload)
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, wanted)
        while self._kept_bytes > KEPT_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, wanted: tuple[TailKey, int, int]) -> None:
        page = self._kept.pop(wanted, None)
        if page is not None:
            self._kept_bytes -= len(page.payload)

    async def _read(self, key: TailKey, after: int, upto: int) -> Page:
        async with self.slots:
            self._metrics.log_reads.inc(1, "page")
            row = await self._database.fetchrow(
                self._sql["read_page"], key.session_id, after, upto, PAGE_ROWS, PAGE_BYTES, key.deltas
            )
        whole = row["rows"] == 0
        return Page(row["frames"] or b"", upto if whole else row["last_seq"], row["rows"])

    async def json_page(self, session_id: UUID, after: int, limit: int) -> Any:
        """A row `items` (elements of a JSON array, bytes or None), `last_seq`, `rows`."""
        async with self.slots:
            return await self._database.fetchrow(self._sql["read_json_page"], session_id, after, limit, 8 * PAGE_BYTES)
