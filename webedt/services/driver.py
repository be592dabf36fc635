"""Drives one claimed run: from the provider's steps to events in the log, and to exactly one terminal event.

Invariants:
- What ends a run is appended with the same fence as everything else: after a take-over nothing of it is stored.
- Checkpoint and events of a step are one append, hence one transaction.
- An append without events does not move the head's ordinal, so of two in a row the first, its answer lost, could be
  carried out after the second. Hence what a step has to keep without having anything to say is kept back for the next
  append; only a `durable` step is appended for its own sake, and an append with events follows it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import structlog
from msgspec import structs

from webedt.domain.events import NewEvent, encode_data
from webedt.domain.runs import Claim, Outcome
from webedt.log.producer import ProducerClosed, RunLog
from webedt.providers.interface import Completed, ExecutionProvider, ProviderError, RemoteProvider, RunRequest, Step
from webedt.services.endings import failed_data, interrupted_data
from webedt.services.wording import Wording
from webedt.telemetry.tracing import ASpan, ATracing, Attribute

PROVIDER_LETS_GO_SECONDS = 0.5
REMOTE_INTERRUPT_SECONDS = 2.0


class Preparation(NamedTuple):
    """`open_messages`: the id of the first delta by message, of messages that an earlier attempt began."""

    request: RunRequest
    open_messages: dict[str, int]


class RunDriver:
    """`prepare` reads what the provider needs; it is awaited first, and may be cut off like the provider itself.

    `still_ours` is what requests carry, see `RunRequest`.
    """

    def __init__(
        self,
        claim: Claim,
        log: RunLog,
        provider: ExecutionProvider,
        prepare: Callable[[], Awaitable[Preparation]],
        still_ours: Callable[[], Awaitable[None]],
        tracing: ATracing,
    ) -> None:
        self.claim = claim
        self._log = log
        self._provider = provider
        self._prepare = prepare
        self._still_ours = still_ours
        self._tracing = tracing
        self._began = time.monotonic()
        self._run_id = str(claim.run_id)
        self._wording = Wording(self._run_id, log)
        self._interrupted_by: str | None = None
        self._request: RunRequest | None = None
        self._state: dict[str, Any] | None = None
        self._checkpoint_to_keep: str | None = None
        self._state_to_keep: str | None = None
        self._stopping = asyncio.Event()
        self.released = False
        self._logger = structlog.get_logger(component="RunDriver").bind(
            run_id=self._run_id, session_id=str(claim.session_id), provider=provider.name, attempt=claim.attempt
        )

    # From outside ----------------------------------------------------------------------------------------------------

    def interrupt(self, by: str) -> None:
        """Stop the provider and end the run as interrupted. Idempotent; too late once the run has ended."""
        if self._interrupted_by is None:
            self._interrupted_by = by
            self._stopping.set()

    def lost(self, failure: ProducerClosed) -> None:
        """The run is no longer ours: stop at once, append nothing."""
        self._log.fail(failure)
        self._stopping.set()

    def release(self) -> None:
        """Stop the provider and leave the run to another replica. Everything so far will be durable."""
        self.released = True
        self._stopping.set()

    @property
    def may_release(self) -> bool:
        """Whether `release` stopped the run and it is still ours to give away."""
        return self.released and self._log.failure is None

    @property
    def failure(self) -> ProducerClosed | None:
        """Why nothing more could be appended, if so."""
        return self._log.failure

    @property
    def resumable(self) -> bool:
        return self._provider.resumable

    # The run ---------------------------------------------------------------------------------------------------------

    async def drive(self) -> Outcome | None:
        """Run to the end; returns how it ended, or None when the run was released or lost."""
        try:
            ending = await self._until_stopped()
            if ending is None:
                await self._log.flush()
                return None
            outcome, data = ending
            if outcome == "interrupted":
                # While the run is still ours: afterwards it could meet the next prompt, which may be at work by then.
                await self._interrupt_remote()
            await self._hand_over([NewEvent(outcome, data)], outcome)
            await self._log.flush()
        except ProducerClosed as closed:
            self._logger.info("run_lost", reason=str(closed))
            return None
        self._logger.info("run_ended", outcome=outcome)
        return outcome

    async def _interrupt_remote(self) -> None:
        """What was begun elsewhere is to end there too; if this does not reach it, the leader's sync will."""
        remote, state = self._provider, self._state
        if not isinstance(remote, RemoteProvider) or self._request is None or (state or {}).get("turn") != "open":
            return
        try:
            async with asyncio.timeout(REMOTE_INTERRUPT_SECONDS):
                await self._still_ours()
                await remote.interrupt(state or {}, self._request.api_key)
        except ProducerClosed:
            raise
        except Exception as error:  # the run has to end, whatever becomes of this
            self._logger.warning("remote_interrupt_failed", error=repr(error))

    async def _until_stopped(self) -> tuple[Outcome, str] | None:
        """Consume the provider until it is done or somebody stops it; returns the terminal event, if it is ours."""
        consuming = asyncio.create_task(self._consume(), name=f"run-{self._run_id}")
        stopping = asyncio.create_task(self._stopping.wait(), name="run-stop")
        # A provider may be silent for long: that its log is closed it would learn only with its next step.
        closing = asyncio.create_task(self._log.closed.wait(), name="run-log-closed")
        try:
            await asyncio.wait({consuming, stopping, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not consuming.done():
                consuming.cancel()
                # A provider that does not let go is left behind: what it still says goes nowhere.
                await asyncio.wait({consuming}, timeout=PROVIDER_LETS_GO_SECONDS)
        finally:
            for task in (consuming, stopping, closing):
                task.cancel()
        if self._log.failure is not None:
            raise self._log.failure
        if consuming.done() and not consuming.cancelled() and (ending := self._ending(consuming)) is not None:
            return ending
        if self._interrupted_by is not None:
            return "interrupted", interrupted_data(self.claim.run_id, self._interrupted_by)
        if self.released:
            return None
        message = "The provider ended without an answer."
        return "failed", failed_data(self.claim.run_id, "internal", message, retryable=True)

    def _ending(self, consuming: asyncio.Task[str | None]) -> tuple[Outcome, str] | None:
        error = consuming.exception()
        if error is None:
            stop_reason = consuming.result()
            return None if stop_reason is None else ("completed", self._completed_data(stop_reason))
        if isinstance(error, ProducerClosed):
            raise error
        if self._interrupted_by is not None:
            return None  # it failed because it was stopped
        if isinstance(error, ProviderError):
            self._logger.info("provider_error", code=error.code)
            self._keep_back(None, error.state)
            data = failed_data(self.claim.run_id, error.code, error.message, retryable=error.retryable)
            return "failed", data
        self._logger.error("run_crashed", exc_info=error)
        data = failed_data(self.claim.run_id, "internal", "The run failed by a fault of the server.", retryable=True)
        return "failed", data

    def _completed_data(self, stop_reason: str) -> str:
        duration_ms = int(self.claim.elapsed_ms + (time.monotonic() - self._began) * 1000)
        return encode_data({"runId": self._run_id, "stopReason": stop_reason, "durationMs": duration_ms})

    async def _consume(self) -> str | None:
        """Append every step; returns the stop reason."""
        request, open_messages = await self._prepare()
        self._request, self._state = structs.replace(request, still_ours=self._still_ours), request.state
        self._wording.resume(open_messages)
        with self._provider_span():
            async with aclosing(self._provider.run(self._request, self.claim.checkpoint)) as steps:
                async for step in steps:
                    await self._append(step)
                    if step.items and isinstance(last := step.items[-1], Completed):
                        return last.stop_reason
        return None

    def _provider_span(self) -> ASpan:
        """Of the whole answer; what is asked over HTTP for its sake is below it."""
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider.name,
        }
        if model := self.claim.model or self._provider.default_model():
            attributes["gen_ai.request.model"] = model
        return self._tracing.start(f"chat {self._provider.name}", attributes)

    async def _append(self, step: Step) -> None:
        events = await self._wording.events(step.items)
        self._keep_back(step.checkpoint, step.state)
        if events or step.durable:
            await self._hand_over(events)
        if step.durable:
            await self._log.flush()

    def _keep_back(self, checkpoint: dict[str, Any] | None, state: dict[str, Any] | None) -> None:
        if checkpoint is not None:
            self._checkpoint_to_keep = encode_data(checkpoint)
        if state is not None:
            self._state = state
            self._state_to_keep = encode_data({"provider": self._provider.name, **state})

    async def _hand_over(self, events: Sequence[NewEvent], outcome: Outcome | None = None) -> None:
        checkpoint, self._checkpoint_to_keep = self._checkpoint_to_keep, None
        state, self._state_to_keep = self._state_to_keep, None
        await self._log.append(events, checkpoint=checkpoint, provider_state=state, outcome=outcome)
