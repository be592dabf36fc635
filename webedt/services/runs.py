"""Accepting prompts and interrupting runs: what a person asks of the queue, durable before it is answered."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import Conflict, NotFound, Unavailable
from webedt.domain.events import encode_data
from webedt.domain.prompts import title_of
from webedt.domain.runs import Accepted, OnBusy
from webedt.kernel import AService, BaseService
from webedt.services.endings import end_interrupted
from webedt.services.execution import AExecution
from webedt.services.provider_choice import AProviderChoice, Choice, Options
from webedt.services.sessions import no_such_session
from webedt.telemetry.tracing import ATracing

TURN_SECONDS = 10.0


class NewPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """`body_hash` and `route` go with `idempotency_key`: same user, route and key must mean the same body."""

    user_id: UUID
    blocks: list[dict[str, Any]]
    session_id: UUID | None = None
    provider: str | None = None
    model: str | None = None
    repository_url: str | None = None
    branch: str | None = None
    on_busy: OnBusy = "queue"
    idempotency_key: str | None = None
    route: str = ""
    body_hash: bytes = b""


class ARuns(AService):
    order: ClassVar[int] = 80

    @abstractmethod
    async def accept(self, prompt: NewPrompt) -> Accepted:
        """Make a prompt durable, and claim its run here if it is the next one.

        Raises `NotFound` (somebody else's session), `Conflict` (busy and `reject`, or the key stood for another
        body), `InvalidRequest` (nobody to answer it), `Unavailable`.
        """

    @abstractmethod
    async def interrupt(self, user_id: UUID, session_id: UUID, run_id: UUID | None) -> UUID:
        """Ask a run to stop: `run_id`, or the running one, or the head of the queue; returns which.

        Raises `NotFound`, and `Conflict` when nothing runs or the run has ended.
        """

    @abstractmethod
    async def end_seq(self, session_id: UUID, run_id: UUID) -> int | None:
        """The id of the run's terminal event, None while it goes on."""


class Runs(BaseService, ARuns):
    """`concurrency`: how many prompts are on their way at a time."""

    def __init__(self, concurrency: int) -> None:
        self._turns = asyncio.Semaphore(max(1, concurrency))
        self._sql = load_queries("runs")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)
        self._choice = self.services.get(AProviderChoice)
        self._execution = self.services.get(AExecution)
        self._tracing = self.services.get(ATracing)

    async def accept(self, prompt: NewPrompt) -> Accepted:
        async with self._turn():
            return await self._accept_and_claim(prompt)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Prompts that come at once wait here, before anything of them is stored, and not each between any two of its
        statements: a prompt that is in the log is soon seen to run, the pool is left to others, too, and who waits
        for too long is refused without leaving a run behind."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("Too many prompts come at once.", retry_after_seconds=2) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _accept_and_claim(self, prompt: NewPrompt) -> Accepted:
        if prompt.idempotency_key is not None:
            repeated = await self._repeated(self._database, prompt)
            if repeated is not None:
                return repeated
        options = await self._choice.options(prompt.user_id)
        if prompt.provider is not None:
            options.require(prompt.provider)
        session_id = prompt.session_id or uuid4()
        run_id = uuid4()

        tries = 0

        async def work(connection: Any) -> Accepted:
            nonlocal tries
            tries += 1
            return await self._accept(connection, prompt, options, session_id, run_id, again=tries > 1)

        async def look(connection: Any) -> Accepted | None:
            return await self._accepted_before(connection, session_id, run_id)

        accepted = await self._database.commit_once(work, look)
        if accepted.repeated:
            if accepted.status == "queued":
                # This request held the head too: whoever wanted to claim the run may have found it locked.
                self._bus.publish(Topic.WORK, [session_id])
            return accepted
        self.log.info("prompt_accepted", session_id=str(session_id), run_id=str(run_id))
        self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.LISTS, [prompt.user_id])
        if accepted.interrupts is not None:
            self._bus.publish(Topic.INTERRUPTS, [accepted.interrupts])
        if accepted.position == 0 and await self._execution.claim(session_id):
            return msgspec.structs.replace(accepted, status="running")
        self._bus.publish(Topic.WORK, [session_id])
        return accepted

    async def _accept(
        self, connection: Any, prompt: NewPrompt, options: Options, session_id: UUID, run_id: UUID, *, again: bool
    ) -> Accepted:
        """In a transaction. `again`: an earlier try may still be on its way to its COMMIT; whatever this one waits for
        (the head, the key, the new session's row) lets it through, and then it is seen."""
        before: Choice | None = None
        busy = False
        if prompt.session_id is not None:
            # Judged before the lock, so that a stranger's request holds nobody up, and again behind it.
            await self._owned(connection, prompt.user_id, session_id)
            head = await connection.fetchrow(self._sql["lock_head"], session_id)
            session = await self._owned(connection, prompt.user_id, session_id)
            busy = head["running_run_id"] is not None or head["queued_runs"] > 0
            before = Choice(session["provider"], session["model"])
        if prompt.idempotency_key is not None:
            repeated = await self._keep_key(connection, prompt, session_id, run_id)
            if repeated is not None:
                return repeated
        provider, model = options.choose(prompt.provider, prompt.model, before)
        if prompt.session_id is None:
            names = (session_id, prompt.user_id, title_of(prompt.blocks), provider, model)
            await connection.execute(self._sql["insert_session"], *names, prompt.repository_url, prompt.branch)
        if again and (accepted := await self._accepted_before(connection, session_id, run_id)) is not None:
            return accepted
        interrupts: UUID | None = None
        if busy and prompt.on_busy == "reject":
            raise Conflict("The session is busy.")
        if busy and prompt.on_busy == "interrupt":
            interrupts = await self._interrupt(connection, session_id, None, "new_prompt")
        data = encode_data({"runId": str(run_id), "content": prompt.blocks})
        place = self._tracing.current.traceparent
        row = await connection.fetchrow(self._sql["insert_prompt"], session_id, run_id, data, provider, model, place)
        return Accepted(session_id, run_id, row["last_seq"], "queued", row["position"], interrupts=interrupts)

    async def _accepted_before(self, connection: Any, session_id: UUID, run_id: UUID) -> Accepted | None:
        row = await connection.fetchrow(self._sql["find_run"], session_id, run_id)
        return None if row is None else Accepted(session_id, run_id, row["prompt_seq"], row["status"], 0)

    async def _owned(self, connection: Any, user_id: UUID, session_id: UUID) -> Any:
        row = await connection.fetchrow(self._sql["find_session_for_prompt"], session_id, user_id)
        if row is None:
            raise no_such_session()
        return row

    # Idempotency -----------------------------------------------------------------------------------------------------

    async def _repeated(self, reader: Any, prompt: NewPrompt) -> Accepted | None:
        row = await reader.fetchrow(
            self._sql["find_idempotent_run"], prompt.user_id, prompt.route, prompt.idempotency_key
        )
        if row is None:
            return None
        if row["body_hash"] != prompt.body_hash:
            raise Conflict("This Idempotency-Key was used with another body.")
        return Accepted(row["chat_session_id"], row["run_id"], row["prompt_seq"], row["status"], 0, repeated=True)

    async def _keep_key(self, connection: Any, prompt: NewPrompt, session_id: UUID, run_id: UUID) -> Accepted | None:
        names = (prompt.user_id, prompt.route, prompt.idempotency_key)
        await connection.execute(self._sql["delete_expired_key"], *names)
        stored = await connection.fetchval(
            self._sql["insert_idempotency_key"], *names, prompt.body_hash, session_id, run_id
        )
        return None if stored is not None else await self._repeated(connection, prompt)

    # Interrupts ------------------------------------------------------------------------------------------------------

    async def interrupt(self, user_id: UUID, session_id: UUID, run_id: UUID | None) -> UUID:
        async def work(connection: Any) -> UUID:
            await self._owned(connection, user_id, session_id)
            await connection.fetchrow(self._sql["lock_head"], session_id)
            return await self._interrupt(connection, session_id, run_id, "user")

        interrupted = await self.with_transaction(work)
        self._bus.publish(Topic.INTERRUPTS, [interrupted])
        self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.LISTS, [user_id])
        return interrupted

    async def _interrupt(self, connection: Any, session_id: UUID, run_id: UUID | None, by: str) -> UUID:
        """Under the head's lock. A running run is asked to stop; a queued one is ended here and now."""
        if run_id is None:
            row = await connection.fetchrow(self._sql["find_run_to_interrupt"], session_id)
            if row is None:
                raise Conflict("Nothing is running or queued.")
        else:
            row = await connection.fetchrow(self._sql["find_run"], session_id, run_id)
            if row is None:
                raise NotFound("There is no such run.")
        target: UUID = row["id"]
        match row["status"]:
            case "running":
                await connection.execute(self._sql["request_interrupt"], session_id, target, by)
            case "queued":
                await end_interrupted(connection, self._sql, session_id, target, by)
            case _:
                raise Conflict("This run has ended.")
        return target

    async def end_seq(self, session_id: UUID, run_id: UUID) -> int | None:
        row = await self._database.fetchrow(self._sql["find_run"], session_id, run_id)
        return None if row is None else row["end_seq"]
