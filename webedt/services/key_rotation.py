"""A new encryption key for what is stored: one leader seals anew, under the newest key, what an older one sealed.

Rows stay readable all the while, for every configured key opens. A pass goes along the table once, and then the next
begins: it ends whatever users change meanwhile, and also when some row can no longer be opened.
`webedt check` counts what still needs an older key.
"""

import time
from abc import abstractmethod
from typing import Any, ClassVar
from uuid import UUID

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.fleet.leadership import ALeadership, LeaderTask
from webedt.kernel import AService, BaseService
from webedt.services.credentials import belongs_to
from webedt.services.sealing import CannotOpen, Sealer

RESEALING = "resealing"
INTERVAL_SECONDS = 60.0
WORK_SECONDS = 2.0  # then the rest waits for the next turn: leadership is confirmed in between
ROWS_AT_ONCE = 500
BEGINNING = (UUID(int=0), "")


class AKeyRotation(AService):
    order: ClassVar[int] = 90

    @abstractmethod
    async def reseal(self) -> int:
        """Go on with the pass, for a bounded time; returns how many rows were sealed anew.

        Harmless when two leaders overlap, and beside users who change their keys: only what still is as it was read
        is replaced.
        """


class KeyRotation(BaseService, AKeyRotation):
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._sql = load_queries("credentials")
        self._behind = BEGINNING
        self._unreadable = 0

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)
        if self._sealer.older_key_ids:
            task = LeaderTask(RESEALING, INTERVAL_SECONDS, lambda _fencing: self.reseal())
            self.services.get(ALeadership).add(task)

    async def reseal(self) -> int:
        deadline = time.monotonic() + WORK_SECONDS
        resealed = 0
        while time.monotonic() < deadline:
            rows = await self._database.fetch(
                self._sql["find_credentials_to_reseal"], list(self._sealer.older_key_ids), *self._behind, ROWS_AT_ONCE
            )
            resealed += await self._reseal(rows)
            if len(rows) < ROWS_AT_ONCE:
                self._pass_is_over()
                break
            self._behind = (rows[-1]["user_id"], rows[-1]["provider"])
        if resealed:
            self.log.info("credentials_resealed", count=resealed, pass_over=self._behind == BEGINNING)
        return resealed

    async def _reseal(self, rows: Any) -> int:
        changes = [change for row in rows if (change := self._sealed_anew(row)) is not None]
        if not changes:
            return 0
        columns = [list(column) for column in zip(*changes, strict=True)]
        done = await self._database.fetch(self._sql["reseal_credentials"], self._sealer.key_id, *columns)
        return len(done)

    def _sealed_anew(self, row: Any) -> tuple[UUID, str, bytes, bytes] | None:
        user_id, provider, sealed = row["user_id"], row["provider"], row["sealed"]
        owner = belongs_to(user_id, provider)
        try:
            text = self._sealer.open(sealed, row["key_id"], owner)
        except CannotOpen:
            self._unreadable += 1
            return None
        return user_id, provider, sealed, self._sealer.seal(text, owner)

    def _pass_is_over(self) -> None:
        if self._unreadable:
            self.log.warning("credentials_unreadable", count=self._unreadable)
        self._behind, self._unreadable = BEGINNING, 0
