"""The steps of a turn that the agent of the fake Managed Agents API takes; claude_fake_script tells what they are."""

import asyncio
from typing import Any

from tests.support.claude_fake_agent import TurnOver, Worker
from tests.support.claude_fake_script import pieces
from tests.support.claude_fake_state import Event


class Agent(Worker):
    """`_do_<name>` is the step of that name."""

    async def _preview(self, identity: str, parts: list[str]) -> None:
        kind = "agent.message"
        self.session.preview({"type": "event_start", "event": {"type": kind, "id": identity}}, kind)
        for part in parts:
            await self._pace()
            self._spoken += 1
            delta = {"type": "content_delta", "index": 0, "content": {"type": "text", "text": part}}
            self.session.preview({"type": "event_delta", "event_id": identity, "delta": delta}, kind)
        await self._pace()

    async def _do_thinking(self) -> None:
        await self._open_request()
        identity, kind = self._world.ids("sevt"), "agent.thinking"
        self.session.preview({"type": "event_start", "event": {"type": kind, "id": identity}}, kind)
        await self._pace()
        self.emit(kind, id=identity)

    async def _do_message(self, text: str = "Hello.", deltas: int = 1, shed: int | None = None) -> None:
        await self._open_request()
        identity = self._world.ids("sevt")
        parts = pieces(text, deltas) if deltas else []
        await self._preview(identity, parts if shed is None else parts[: int(shed)])
        self.emit("agent.message", id=identity, content=[{"type": "text", "text": text}])

    async def _do_fail(self, text: str = "This will not be finished.", deltas: int = 2, quiet: bool = False) -> None:
        await self._open_request()
        await self._preview(self._world.ids("sevt"), pieces(text, deltas + 1)[:deltas])
        self._close_request(is_error=True)
        if not quiet:
            self._error("model_request_failed_error", "retrying")

    async def _do_tool(
        self, name: str = "bash", input: Any = None, result: str = "done", is_error: bool = False
    ) -> None:
        await self._open_request()
        use = self._tool_use("agent.tool_use", name, input, "allow")
        await self._end_of_calls()
        self._result("agent.tool_result", "tool_use_id", use["id"], result, is_error)

    async def _do_mcp(self, name: str = "look_up", server: str = "docs", input: Any = None, result: str = "ok") -> None:
        await self._open_request()
        use = self._tool_use("agent.mcp_tool_use", name, input, "allow", mcp_server_name=server)
        await self._end_of_calls()
        self._result("agent.mcp_tool_result", "mcp_tool_use_id", use["id"], result, False)

    async def _do_ask(self, count: int = 1, name: str = "bash", input: Any = None, result: str = "done") -> None:
        await self._open_request()
        uses = [self._tool_use("agent.tool_use", name, input, "ask") for _ in range(count)]
        await self._await_answers(uses, "user.tool_confirmation")
        for use in uses:
            verdict = self._verdicts.pop(use["id"])
            denied = verdict["result"] == "deny"
            said = (verdict.get("deny_message") or "Denied by the user.") if denied else result
            self._result("agent.tool_result", "tool_use_id", use["id"], said, denied)

    async def _do_custom(self, count: int = 1, name: str = "ask_the_client", input: Any = None) -> None:
        await self._open_request()
        uses = [self.emit("agent.custom_tool_use", name=name, input=input or {}) for _ in range(count)]
        await self._await_answers(uses, "user.custom_tool_result")

    def _tool_use(self, kind: str, name: str, input: Any, permission: str, **more: Any) -> Event:
        self._spoken += 1
        evaluation = {"type": f"always_{permission}"}
        shown = {"name": name, "input": input or {}, "evaluated_permission": permission, "evaluation": evaluation}
        return self.emit(kind, **shown, **more)

    async def _end_of_calls(self) -> None:
        """The model is done once it has called a tool; what comes of the call is for its next request."""
        await self._pace()
        self._close_request()
        await self._pace()

    def _result(self, kind: str, refers: str, use: str, text: str, is_error: bool) -> None:
        self.emit(kind, **{refers: use}, content=[{"type": "text", "text": text}], is_error=is_error)

    async def _await_answers(self, uses: list[Event], kind: str) -> None:
        for use in uses:
            self._pending[use["id"]] = use
            self.session.awaited[use["id"]] = kind
        await self._end_of_calls()
        while self._pending:
            if self._answers.empty():  # all that is there is taken in before the rest is asked for again
                self.session.blocked = True
                self._idle("requires_action", event_ids=self.pending)
            answer = await self._answers.get()
            self._stamp(answer)
            use_id = answer.get("tool_use_id") or answer["custom_tool_use_id"]
            self._pending.pop(use_id, None)
            self._verdicts[use_id] = answer
        self._run()
        await self._pace()

    async def _do_error(
        self, type: str = "model_overloaded_error", retry: str = "retrying", message: str = "Overloaded", **more: Any
    ) -> None:
        await self._open_request()
        self._close_request(is_error=True)
        self._error(type, retry, message, **more)
        await self._pace()
        if retry == "exhausted":
            raise TurnOver("retries_exhausted")
        if retry == "terminal":
            self.terminate()
            raise TurnOver(None)

    async def _do_reschedule(self) -> None:
        self._close_request(is_error=True)
        self._account()
        self.session.body["status"] = "rescheduling"
        self.emit("session.status_rescheduled")
        await self._pace()
        self._run()

    async def _do_refusal(self, category: str | None = "cyber") -> None:
        await self._open_request()
        self._close_request()
        raise TurnOver("refusal", {"type": "refusal", "category": category, "explanation": "Refused."})

    async def _do_budget(self) -> None:
        """Pause until the budget is raised or removed: no event of the client's helps."""
        self._close_request()
        self.budget_changed.clear()
        self.session.over_budget = True
        agent = self.session.body["agent"]["name"]
        thread = f"sthr_{self.session.id.removeprefix('sesn_')}"
        reason = {"type": "budget_reached"}
        self.emit(
            "session.thread_status_idle",
            agent_name=agent,
            session_thread_id=thread,
            stop_reason=reason,
            stop_details=None,
        )
        prompt, self._prompt = self._prompt, None
        self._idle("budget_reached")
        self._prompt = prompt
        await self.budget_changed.wait()
        self.session.over_budget = False
        self._run()

    async def _do_compact(self) -> None:
        self._close_request()
        self.emit("agent.thread_context_compacted")

    async def _do_usage(self) -> None:
        self._usage()

    async def _do_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _do_gate(self, name: str) -> None:
        await self._world.gate(name).wait()

    async def _do_rate(self, rate: float) -> None:
        self._rate = rate

    async def _do_event(self, event: Event) -> None:
        self.emit(**{"kind" if name == "type" else name: value for name, value in event.items()})

    async def _do_close_streams(self) -> None:
        self.session.close_streams()
