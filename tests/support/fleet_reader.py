"""A reader of one session that behaves like an EventSource and checks what it is told (G2).

It reconnects with `Last-Event-ID`, to the next of its replicas each time, until a replica answers 204. Ids must be
1, 2, 3, …: an id that was skipped is `missing`, one that was there before is `doubled`.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import aiohttp

TERMINAL = frozenset({b"completed", b"failed", b"interrupted"})
MARKED = TERMINAL | {b"run_started", b"run_recovered", b"run_restarted"}
SILENCE_SECONDS = 40.0  # more than two keep-alives
BLOCK_BYTES = 64 * 1024


class Reader:
    """Follows `session_id` on `urls`, the first of them first.

    `longest_retry_seconds` cuts short what the server's `retry:` asks for. With `keep` the frames of
    the log are kept as the bytes that they were.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        session_id: str,
        urls: Sequence[str],
        *,
        keep: bool = False,
        longest_retry_seconds: float = 0.1,
    ) -> None:
        self.session_id = session_id
        self.last_id = 0
        self.seen = 0
        self.missing = 0
        self.doubled = 0
        self.connections = 0
        self.clean_ends = 0
        self.drained = 0
        self.cuts: list[str] = []
        self.refusals: list[str] = []
        self.endings: Counter[str] = Counter()
        self.outcomes: dict[str, str] = {}
        self.marks: list[tuple[str, str, float]] = []
        self.frames: list[bytes] = []
        self.arrived: list[float] = []
        self.containers: list[str] = []
        self.drivers: list[str] = []
        self._http = http
        self.urls = list(urls)
        self._keep = keep
        self._longest_retry = longest_retry_seconds
        self._retry_seconds = 0.1
        self._moved = asyncio.Event()

    # Following -------------------------------------------------------------------------------------------------------

    async def follow(self) -> "Reader":
        """Read until a replica says that there is nothing more."""
        while not await self._connect(self.urls[self.connections % len(self.urls)]):
            self.connections += 1
            pause = (
                self._retry_seconds if self._longest_retry is None else min(self._retry_seconds, self._longest_retry)
            )
            await asyncio.sleep(pause)
        return self

    async def _connect(self, url: str) -> bool:
        headers = {"Accept": "text/event-stream"}
        if self.last_id:
            headers["Last-Event-ID"] = str(self.last_id)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_SECONDS)
        try:
            async with self._http.get(f"{url}/api/resume/{self.session_id}", headers=headers, timeout=limits) as answer:
                if answer.status == 204:
                    return True
                if answer.status != 200:
                    # An EventSource would give up for good here.
                    self.refusals.append(f"{answer.status} of {answer.headers.get('X-Container-ID')}")
                    return False
                self.containers.append(answer.headers.get("X-Container-ID", ""))
                pending = b""
                async for data in answer.content.iter_any():
                    *blocks, pending = (pending + data).split(b"\n\n")
                    for block in blocks:
                        self._take(block)
                    self._moved.set()
                if pending:
                    self.cuts.append("a frame was left half-written")
                self.clean_ends += 1
        except aiohttp.ClientConnectorError:
            pass  # nobody listens: a balancer would not have come here
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.cuts.append(repr(error))
        return False

    def _take(self, block: bytes) -> None:
        if block.startswith(b"id: "):
            head, kind, data = block.split(b"\n", 2)
            self._count(int(head[4:]))
            self.arrived.append(time.monotonic())
            if self._keep:
                self.frames.append(block + b"\n\n")
            if kind[7:] in MARKED:
                self._mark(kind[7:], data[6:])
        elif block.startswith(b"retry: "):
            self._retry_seconds = int(block[7:]) / 1000
        elif block.startswith(b"event: draining"):
            self.drained += 1

    def _count(self, event_id: int) -> None:
        self.seen += 1
        if event_id <= self.last_id:
            self.doubled += 1
            return
        self.missing += event_id - self.last_id - 1
        self.last_id = event_id

    def _mark(self, kind: bytes, data: bytes) -> None:
        fields = json.loads(data)
        run_id = fields["runId"]
        if "container" in fields:
            self.drivers.append(fields["container"])
        self.marks.append((kind.decode(), run_id, time.monotonic()))
        if kind in TERMINAL:
            self.endings[run_id] += 1
            self.outcomes[run_id] = kind.decode()

    # Waiting for what it sees ----------------------------------------------------------------------------------------

    async def until(self, condition: Callable[["Reader"], bool], what: str, seconds: float = 60.0) -> None:
        """Return as soon as `condition` holds; it is asked whenever something came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition(self):
                    self._moved.clear()
                    await self._moved.wait()
        if not condition(self):
            raise AssertionError(f"not within {seconds:g} s, at id {self.last_id} of {self.session_id}: {what}")

    async def has_seen(self, count: int, seconds: float = 60.0) -> None:
        await self.until(lambda reader: reader.last_id >= count, f"event {count} arrives", seconds)

    def first_mark(self, *kinds: str, after: float = 0.0) -> float | None:
        """When the first event of these kinds came, after a moment (monotonic)."""
        return next((at for kind, _run_id, at in self.marks if kind in kinds and at >= after), None)

    def longest_silence(self, since: float = 0.0) -> float:
        """The longest time between two events, both after `since`."""
        times = [at for at in self.arrived if at >= since]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    # Judging ---------------------------------------------------------------------------------------------------------

    def faults(self, *, graceful: bool = False) -> list[str]:
        """What contradicts G2, and what an EventSource would not have resumed from; `graceful`: nor may it be cut."""
        name = f"session {self.session_id}"
        found = [f"{name}: run {run_id} ended {times} times" for run_id, times in self.endings.items() if times != 1]
        if self.missing:
            found.append(f"{name}: {self.missing} ids missing")
        if self.doubled:
            found.append(f"{name}: {self.doubled} ids doubled")
        if self.refusals:
            why = f" after {self.cuts[0]}" if self.cuts else ""
            found.append(f"{name}: an EventSource would have given up: {', '.join(sorted(set(self.refusals)))}{why}")
        if graceful and self.cuts:
            found.append(f"{name}: cut off {len(self.cuts)} times: {self.cuts[0]}")
        return found


def decoded(frame: bytes) -> dict[str, Any]:
    """A frame of the log as `{id, type, data}`."""
    head, kind, data = frame.decode().rstrip("\n").split("\n")
    return {"id": int(head[4:]), "type": kind[7:], "data": json.loads(data[6:])}
