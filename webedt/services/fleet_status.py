"""What operators ask about the whole fleet: replicas and runs, as the database knows them."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from webedt.database.interface import ADatabase
from webedt.database.sql import load_queries
from webedt.kernel import AService, BaseService

SHOWN_LEASES = 3  # a replica silent for so many leases is no longer shown


class InstanceView(msgspec.Struct, frozen=True, rename="camel"):
    container: str
    started_at: datetime
    heartbeat_at: datetime
    draining: bool
    active_runs: int


class RunCounts(msgspec.Struct, frozen=True):
    active: int
    queued: int


class AFleetStatus(AService):
    order: ClassVar[int] = 80

    @abstractmethod
    async def instances(self) -> Sequence[InstanceView]: ...

    @abstractmethod
    async def count_runs(self) -> RunCounts:
        """Of all replicas."""


class FleetStatus(BaseService, AFleetStatus):
    def __init__(self, lease_seconds: float) -> None:
        self._window = lease_seconds * SHOWN_LEASES
        self._instances = load_queries("instances")
        self._runs = load_queries("runs")

    async def initialize(self) -> None:
        self._database = self.services.get(ADatabase)

    async def instances(self) -> Sequence[InstanceView]:
        rows = await self._database.fetch(self._instances["list_instances"], self._window)
        return [
            InstanceView(
                row["container_id"], row["started_at"], row["heartbeat_at"], row["draining"], row["active_runs"]
            )
            for row in rows
        ]

    async def count_runs(self) -> RunCounts:
        row = await self._database.fetchrow(self._runs["count_runs"])
        return RunCounts(row["active"], row["queued"])
