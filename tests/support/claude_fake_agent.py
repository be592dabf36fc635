"""The agent of a session of the fake Managed Agents API: it works whether or not anybody is connected."""

import asyncio
import time
from collections import deque
from typing import Any, Protocol

from tests.support.claude_fake_script import BadScript, ScriptSource, Step, Turn, directives_in, steps_of
from tests.support.claude_fake_state import Clock, Event, Ids, Options, Session, prompt_text

ANSWERS = frozenset({"user.tool_confirmation", "user.custom_tool_result", "user.tool_result"})


class World(Protocol):
    """What an agent needs to know of the server that it lives in."""

    options: Options
    clock: Clock
    ids: Ids
    failures: list[BaseException]

    def gate(self, name: str) -> asyncio.Event: ...

    def script_for(self, session: Session, turn: Turn) -> ScriptSource: ...


class TurnOver(Exception):
    def __init__(self, stop_reason: str | None, details: dict[str, Any] | None = None) -> None:
        self.stop_reason = stop_reason  # None: no status_idle, for the session has ended
        self.details = details


class Worker:
    def __init__(self, world: World, session: Session) -> None:
        self.session = session
        self.budget_changed = asyncio.Event()
        self._world = world
        self._inbox: deque[Event] = deque()
        self._interrupts: deque[Event] = deque()
        self._answers: asyncio.Queue[Event] = asyncio.Queue()
        self._pending: dict[str, Event] = {}  # tool uses without an answer that the agent has seen
        self._verdicts: dict[str, Event] = {}
        self._wake = asyncio.Event()
        self._turn: asyncio.Task[None] | None = None
        self._rate: float | None = None
        self._prompt: Event | None = None
        self._spoken = 0
        self._running_since = 0.0
        self._task = asyncio.create_task(self._live())

    @property
    def pending(self) -> list[str]:
        return list(self._pending)

    def receive(self, event: Event) -> None:
        """Take in an event of the client's, which is in the log already."""
        if event["type"] == "user.interrupt":
            self._interrupts.append(event)
            if self._turn is not None:
                self._turn.cancel()
        elif event["type"] in ANSWERS:
            self._answers.put_nowait(event)
        else:
            self._inbox.append(event)
        self._wake.set()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    def emit(self, kind: str, **fields: Any) -> Event:
        """Persist an event and send it to whoever listens."""
        event = {"id": self._world.ids("sevt"), "type": kind, **fields, "processed_at": self._world.clock.stamp()}
        self.session.events.append(event)
        self.session.body["updated_at"] = self._world.clock.now()
        self.session.broadcast(event)
        return event

    def terminate(self) -> None:
        self._close_request(is_error=True)
        self._account()
        self.session.body["status"] = "terminated"
        self.emit("session.status_terminated")
        if self._world.options.terminated_closes_streams:
            self.session.close_streams()

    async def _live(self) -> None:
        while self.session.body["status"] != "terminated":
            await self._wake.wait()
            self._wake.clear()
            while (self._interrupts or self._inbox) and self.session.body["status"] != "terminated":
                if self._interrupts:
                    self._halt(in_turn=False)
                else:
                    await self._take_turn(self._inbox.popleft())

    async def _take_turn(self, prompt: Event) -> None:
        if prompt["type"] == "system.message":  # it adds to the turn that follows and is none itself
            return self._stamp(prompt)
        self._prompt = prompt
        self._turn = asyncio.create_task(self._work(prompt))
        try:
            await asyncio.wait({self._turn})
        except asyncio.CancelledError:
            self._turn.cancel()
            raise
        turn, self._turn = self._turn, None
        if turn.cancelled():
            return self._halt(in_turn=True)
        if (failure := turn.exception()) is not None:  # of a script, most likely: no test shall wait for it in vain
            self._world.failures.append(failure)
            self._error("unknown_error", "terminal", f"The script failed: {failure!r}")
            self.terminate()

    def _halt(self, in_turn: bool) -> None:
        """An interrupt: the turn ends as if it were done, what it awaited is void. Of an idle session it changes
        nothing.
        """
        while self._interrupts:
            self._stamp(self._interrupts.popleft())
        if in_turn:
            self._close_request(is_error=True)
            self._pending.clear()
            self.session.awaited.clear()
            while not self._answers.empty():
                self._stamp(self._answers.get_nowait())
            if self._world.options.interrupt_flushes:
                self._flush()
            self._idle("end_turn")

    async def _work(self, prompt: Event) -> None:
        session, options = self.session, self._world.options
        self._rate = None
        self._spoken = 0
        session.prompts_taken += 1
        if options.stamp_prompt == "before_running":
            self._stamp(prompt)
        self._run()
        if options.stamp_prompt == "after_running":
            self._stamp(prompt)
        try:
            for step in self._script(prompt_text(prompt)):
                await self._pace()
                await self._do(step)
            self._close_request()
            await self._pace()
            over = TurnOver("end_turn")
        except TurnOver as ended:
            over = ended
        if over.stop_reason == "retries_exhausted":
            self._flush()
        if over.stop_reason is not None:
            self._idle(over.stop_reason, details=over.details)

    def _script(self, prompt: str) -> list[Step]:
        turn = Turn(self.session.id, self.session.prompts_taken, prompt)
        source: ScriptSource | None = directives_in(prompt)
        if source is None:
            source = self._world.script_for(self.session, turn)
        return steps_of(source(turn) if callable(source) else source, prompt, turn.number)

    async def _do(self, step: Step) -> None:
        doing = getattr(self, f"_do_{step.get('do')}", None)
        if doing is None:
            raise BadScript(f"no such step: {step}")
        await doing(**{name: value for name, value in step.items() if name != "do"})

    async def _pace(self) -> None:
        rate = self._world.options.rate if self._rate is None else self._rate
        await asyncio.sleep(1 / rate if rate else 0)

    def _stamp(self, event: Event) -> None:
        if event["processed_at"] is None:
            event["processed_at"] = self._world.clock.stamp()
            self.session.broadcast(event)

    def _run(self) -> None:
        self.session.blocked = False
        if self.session.body["status"] != "running":
            self._running_since = time.monotonic()
            self.session.body["status"] = "running"
            self.emit("session.status_running")

    def _idle(self, reason: str, *, details: dict[str, Any] | None = None, event_ids: list[str] | None = None) -> None:
        options, session = self._world.options, self.session
        self._account()
        if reason != "requires_action" and self._prompt is not None:
            self._stamp(self._prompt)
            self._prompt = None
            session.blocked = False
        if reason == "end_turn" and self._inbox and not options.idle_between_turns:
            return
        if options.usage_events or reason == "budget_reached":
            self._usage()
        session.body["status"] = "idle"
        session.busy_until = time.monotonic() + options.status_lag
        stop = {"type": reason} if event_ids is None else {"type": reason, "event_ids": event_ids}
        self.emit("session.status_idle", stop_reason=stop, stop_details=details)

    def _account(self) -> None:
        """Add the time that the session has run."""
        if self.session.body["status"] == "running":
            now = time.monotonic()
            active = round(self.session.body["usage"]["active_seconds"] + now - self._running_since, 3)
            self._running_since = now
            self.session.body["usage"]["active_seconds"] = active
            self.session.body["stats"]["active_seconds"] = active

    def _usage(self) -> None:
        usage = self.session.body["usage"]
        self.emit("session.usage", usage={**usage}, budget=self.session.body["budget"])

    def _flush(self) -> None:
        """Drop the prompts that are queued, in one of the ways in which "flushed" may be read."""
        how = self._world.options.flushed
        for event in self._inbox:
            if how == "stamped":
                self._stamp(event)
            elif how == "gone":
                self.session.events.remove(event)
        self._inbox.clear()

    def _error(self, kind: str, retry: str, message: str = "Something failed.", **more: Any) -> None:
        self.emit("session.error", error={"type": kind, "message": message, "retry_status": {"type": retry}, **more})

    async def _open_request(self) -> None:
        session = self.session
        if session.request is not None:
            return
        budget = session.body["budget"]
        spent = int(session.body["usage"]["list_cost"]["amount"])
        if budget is not None and spent >= int(budget["max_list_cost"]["amount"]):
            await self._do({"do": "budget"})
        session.request = self.emit("span.model_request_start")["id"]
        await self._pace()

    def _close_request(self, is_error: bool = False) -> None:
        session = self.session
        if session.request is None:
            return
        spent = {"input_tokens": 100 + session.prompts_taken, "output_tokens": self._spoken}
        self._spoken = 0
        usage = session.body["usage"]
        usage["cache_read_input_tokens"] += 50
        for name, count in spent.items():
            usage[name] += count
        cents = int(usage["list_cost"]["amount"]) + self._world.options.cents_per_request
        usage["list_cost"] = {"amount": str(cents), "currency": "USD"}
        model_usage = {**spent, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 50}
        request, session.request = session.request, None
        self.emit("span.model_request_end", model_request_start_id=request, is_error=is_error, model_usage=model_usage)
