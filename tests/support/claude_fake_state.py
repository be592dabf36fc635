"""What the fake Managed Agents API keeps: sessions, their logs, who listens, and the clock that stamps it all."""

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Event = dict[str, Any]
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# Events that the client sends and that are stamped on receipt: they do not queue and reach a stream once.
STAMPED_ON_RECEIPT = frozenset({"user.define_outcome", "user.custom_tool_result", "user.tool_result"})


@dataclass
class Options:
    """Where the documentation leaves room, and what a test would rather have otherwise. Read at each use."""

    rate: float = 0.0  # events a second that an agent emits; 0: as fast as it can
    ping: float = 15.0  # seconds between pings on a stream; 0: none
    ties: int = 1  # how many neighbouring events share one `processed_at`
    stamp_prompt: Literal["before_running", "after_running", "turn_end"] = "before_running"
    idle_between_turns: bool = True  # whether a queued prompt is preceded by the status_idle of the one before
    interrupt_flushes: bool = False  # whether an interrupt also drops the prompts that are queued
    flushed: Literal["unstamped", "stamped", "gone"] = "unstamped"  # what becomes of a queued prompt that is dropped
    interrupt_without_id: bool = False  # "interrupt events may have empty ids in the current implementation"
    usage_events: bool = True  # whether a session.usage precedes each status_idle
    status_lag: float = 0.0  # seconds by which a session's `status` trails the status_idle on its streams
    running_conflict: int = 400  # the status of "cannot delete/archive while running"
    archive_terminates: bool = True  # whether archiving ends a session with status_terminated
    terminated_closes_streams: bool = False
    cents_per_request: int = 3
    list_limit: int = 1000  # events in a page when the client names no limit, and at most


class Clock:
    """Strictly rising times in microseconds: the wall clock's, or one more than the last."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._last = 0
        self._given = 0
        self._shared = ""

    def now(self) -> str:
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return iso(self._last)

    def stamp(self) -> str:
        """The time of an event: one that its neighbours share, where ties are asked for."""
        if self._given % max(self._options.ties, 1) == 0:
            self._shared = self.now()
        self._given += 1
        return self._shared


def iso(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z"


def parse_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Ids:
    """Ids that say nothing of their order, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, kind: str) -> str:
        return f"{kind}_01{''.join(self._random.choices(ALPHABET, k=22))}"


@dataclass(eq=False)
class Listener:
    """One connection of a stream: what waits to be written to it. `None` ends it."""

    previews: frozenset[str]
    missed_request: str | None  # the model request that was under way when it came: it gets no previews of that one
    queue: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)


@dataclass(eq=False)
class Session:
    """A session: `body` is the resource as the API shows it, `events` the log in the order in which it grew."""

    workspace: str
    body: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    listeners: set[Listener] = field(default_factory=set)
    arrived: Counter[str] = field(default_factory=Counter)
    request: str | None = None  # the model request under way: the id of its start
    awaited: dict[str, str] = field(default_factory=dict)  # tool uses that wait for an answer, and of which type
    blocked: bool = False  # idle with requires_action
    over_budget: bool = False
    busy_until: float = 0.0  # while `status_lag` lasts
    prompts_taken: int = 0
    deleted: bool = False

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def status(self) -> str:
        status = str(self.body["status"])
        return "running" if status == "idle" and time.monotonic() < self.busy_until else status

    def shown(self) -> dict[str, Any]:
        frozen = self.body["status"] == "terminated"
        until = parse_time(self.body["updated_at"]) if frozen else datetime.now(UTC)
        lasted = round(max((until - parse_time(self.body["created_at"])).total_seconds(), 0.0), 3)
        return {**self.body, "status": self.status, "stats": {**self.body["stats"], "duration_seconds": lasted}}

    def open_listener(self, previews: frozenset[str]) -> Listener:
        listener = Listener(previews, self.request)
        self.listeners.add(listener)
        return listener

    def broadcast(self, event: Event) -> None:
        for listener in self.listeners:
            listener.queue.put_nowait(dict(event))

    def preview(self, event: Event, kind: str) -> None:
        for listener in self.listeners:
            if kind in listener.previews and (self.request is None or listener.missed_request != self.request):
                listener.queue.put_nowait(event)

    def close_streams(self) -> None:
        for listener in self.listeners:
            listener.queue.put_nowait(None)

    def listed(self, descending: bool = False) -> list[tuple[tuple[bool, str, int], Event]]:
        """The log in list order, each event with its sort key: by `processed_at`, what is queued last."""
        keyed = [
            ((event["processed_at"] is None, event["processed_at"] or "", place), event)
            for place, event in enumerate(self.events)
        ]
        return sorted(keyed, key=lambda item: item[0], reverse=descending)


def page_of(
    items: list[tuple[Any, dict[str, Any]]], limit: int, cursor: str | None, bound_to: list[Any], descending: bool
) -> tuple[list[dict[str, Any]], str | None]:
    """The items after the cursor, and the next cursor. A cursor names the last key shown, so that a log may grow
    between two pages; it is bound to the filters it was made with.
    """
    if cursor is not None:
        try:
            after, made_with = json.loads(base64.urlsafe_b64decode(cursor.removeprefix("page_")))
        except ValueError:
            raise ValueError("page: invalid cursor") from None
        if made_with != bound_to:
            raise ValueError("page: the cursor belongs to a request with other filters")
        items = [item for item in items if (list(item[0]) < after if descending else list(item[0]) > after)]
    shown = items[:limit]
    following = None
    if len(items) > limit:
        text = json.dumps([list(shown[-1][0]), bound_to])
        following = "page_" + base64.urlsafe_b64encode(text.encode()).decode()
    return [item for _, item in shown], following


def within(moment: str | None, bounds: dict[str, datetime]) -> bool:
    """Whether a time lies within created_at[gt|gte|lt|lte]. What has none lies within no bounds."""
    if not bounds:
        return True
    if moment is None:
        return False
    then = parse_time(moment)
    tests = {"gt": then.__gt__, "gte": then.__ge__, "lt": then.__lt__, "lte": then.__le__}
    return all(tests[name](bound) for name, bound in bounds.items())


def prompt_text(event: Event) -> str:
    return "\n".join(_texts(event))


def _texts(event: Event) -> Iterator[str]:
    for block in event.get("content") or []:
        if block.get("type") == "text":
            yield block["text"]
