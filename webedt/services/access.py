"""Whether what opened a stream still opens it: the one question of the sweep behind all open streams."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.kernel import AService, BaseService


class AAccess(AService):
    order: ClassVar[int] = 10

    @abstractmethod
    async def still_valid(self, pass_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these logins and share links still hold, by the clock of the database. A link holds no longer than
        its session."""


class Access(BaseService, AAccess):
    def __init__(self) -> None:
        self._sql = load_queries("access")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)

    async def still_valid(self, pass_ids: Sequence[UUID]) -> set[UUID]:
        return {row["id"] for row in await self._database.fetch(self._sql["find_valid_passes"], list(pass_ids))}
