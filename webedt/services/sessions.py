"""Chat sessions as their owner sees them: found, listed, renamed, deleted, restored."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from webedt.bus.interface import ABus, Topic
from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.domain.errors import NotFound
from webedt.domain.sessions import ChatSession, Head
from webedt.kernel import AService, BaseService
from webedt.services.endings import end_queued_runs

Cursor = tuple[datetime, UUID]


def no_such_session() -> NotFound:
    """The same for an id that does not exist, was deleted, or is somebody else's."""
    return NotFound("There is no such session.")


class ASessions(AService):
    """Everything is asked for an owner; `NotFound` means not there or not theirs."""

    order: ClassVar[int] = 10

    @abstractmethod
    async def find(self, user_id: UUID, session_id: UUID) -> ChatSession:
        """The session, deleted ones included. Raises `NotFound`."""

    @abstractmethod
    async def head(self, user_id: UUID, session_id: UUID) -> Head:
        """Where its log stands. Raises `NotFound`, also for a deleted one."""

    @abstractmethod
    async def list(
        self,
        user_id: UUID,
        *,
        status: str | None = None,
        text: str | None = None,
        favorite: bool | None = None,
        deleted: bool = False,
        before: Cursor | None = None,
        limit: int = 50,
    ) -> Sequence[ChatSession]:
        """Newest first; `before` is (created_at, id) of the last one of the page before."""

    @abstractmethod
    async def changed_since(self, user_id: UUID, since: datetime, limit: int) -> Sequence[ChatSession]:
        """What was changed at or after `since`, last first, deleted ones included."""

    @abstractmethod
    async def last_changes(self, user_ids: Sequence[UUID]) -> dict[UUID, datetime | None]:
        """When each user's list changed last, in one question."""

    @abstractmethod
    async def update(self, user_id: UUID, session_id: UUID, *, title: str | None, favorite: bool | None) -> ChatSession:
        """Raises `NotFound`."""

    @abstractmethod
    async def delete(self, user_id: UUID, session_id: UUID) -> None:
        """Soft: ends its queued runs, asks the running one to stop, ends its streams. Its share link goes for good:
        restored, the session is its owner's alone again. Raises `NotFound`."""

    @abstractmethod
    async def restore(self, user_id: UUID, session_id: UUID) -> ChatSession:
        """Raises `NotFound`; restoring what was not deleted changes nothing."""


class Sessions(BaseService, ASessions):
    def __init__(self) -> None:
        self._sql = load_queries("sessions")
        self._runs = load_queries("runs")
        self._shares = load_queries("sharing")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        self._bus = self.services.get(ABus)

    async def find(self, user_id: UUID, session_id: UUID) -> ChatSession:
        row = await self._database.fetchrow(self._sql["find_session"], session_id, user_id)
        if row is None:
            raise no_such_session()
        return ChatSession(**row)

    async def head(self, user_id: UUID, session_id: UUID) -> Head:
        row = await self._database.fetchrow(self._sql["find_head"], session_id, user_id)
        if row is None:
            raise no_such_session()
        return Head(**row)

    async def list(
        self,
        user_id: UUID,
        *,
        status: str | None = None,
        text: str | None = None,
        favorite: bool | None = None,
        deleted: bool = False,
        before: Cursor | None = None,
        limit: int = 50,
    ) -> Sequence[ChatSession]:
        created_at, last_id = before or (None, None)
        rows = await self._database.fetch(
            self._sql["list_sessions"], user_id, deleted, status, text, favorite, created_at, last_id, limit
        )
        return [ChatSession(**row) for row in rows]

    async def changed_since(self, user_id: UUID, since: datetime, limit: int) -> Sequence[ChatSession]:
        rows = await self._database.fetch(self._sql["list_changed_sessions"], user_id, since, limit)
        return [ChatSession(**row) for row in rows]

    async def last_changes(self, user_ids: Sequence[UUID]) -> dict[UUID, datetime | None]:
        rows = await self._database.fetch(self._sql["list_changed_users"], list(user_ids))
        return {row["user_id"]: row["updated_at"] for row in rows}

    async def update(self, user_id: UUID, session_id: UUID, *, title: str | None, favorite: bool | None) -> ChatSession:
        if await self._database.fetchrow(self._sql["update_session"], session_id, user_id, title, favorite) is None:
            raise no_such_session()
        self._bus.publish(Topic.LISTS, [user_id])
        return await self.find(user_id, session_id)

    async def delete(self, user_id: UUID, session_id: UUID) -> None:
        async def work(connection: Any) -> UUID | None:
            # Judged before the lock, so that a stranger's request holds nobody up, and again behind it.
            await self._require(connection, user_id, session_id)
            head = await connection.fetchrow(self._runs["lock_head"], session_id)
            if await connection.fetchval(self._sql["mark_deleted"], session_id, user_id) is None:
                raise no_such_session()
            await connection.execute(self._shares["drop_share"], session_id)
            await end_queued_runs(connection, self._runs, session_id, "delete")
            running: UUID | None = head["running_run_id"]
            if running is not None:
                await connection.execute(self._runs["request_interrupt"], session_id, running, "delete")
            return running

        running = await self.with_transaction(work)
        self._bus.publish(Topic.EVENTS, [session_id])
        self._bus.publish(Topic.ACCESS, [session_id])
        self._bus.publish(Topic.LISTS, [user_id])
        if running is not None:
            self._bus.publish(Topic.INTERRUPTS, [running])

    async def restore(self, user_id: UUID, session_id: UUID) -> ChatSession:
        if await self._database.fetchrow(self._sql["restore_session"], session_id, user_id) is not None:
            self._bus.publish(Topic.LISTS, [user_id])
        return await self.find(user_id, session_id)

    async def _require(self, connection: Any, user_id: UUID, session_id: UUID) -> None:
        if await connection.fetchrow(self._sql["find_head"], session_id, user_id) is None:
            raise no_such_session()
