"""The database as the rest of the program sees it."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, NamedTuple, TypeVar

from webedt.kernel import ATransactions

R = TypeVar("R")


class PoolStats(NamedTuple):
    """Connections of the pool now; `waiting` are callers that wait for one."""

    total: int
    idle: int
    in_use: int
    waiting: int
    max: int


class DatabaseState(NamedTuple):
    """What the last check saw. `reason` is `starting`, `database` or `migrations`, or None when all is well."""

    healthy: bool
    latency_ms: float | None
    reason: str | None


class ADatabase(ATransactions):
    """A pool of connections, connections of one's own, and the truth about the server's health."""

    order: ClassVar[int] = -50

    @abstractmethod
    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """A pool connection for a block. Raises `Unavailable` when none is free within the connect timeout.

        Never held while waiting for a client or another service.
        """

    @abstractmethod
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """Rows of one statement on a pool connection; tried again, twice at most, when the connection proved lost.

        Only for statements that do no harm when carried out twice. Raises `Unavailable` for what passes (no connection,
        a timeout, a fail-over), anything else as the driver does.
        """

    @abstractmethod
    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row or None; otherwise as `fetch`."""

    @abstractmethod
    async def commit_once(self, work: Callable[[Any], Awaitable[R]], look: Callable[[Any], Awaitable[R | None]]) -> R:
        """`with_transaction`, and when the answer to COMMIT was lost, `look` says whether it was carried out.

        `look(connection)` returns the result of the earlier try, or None: then `work` runs again.
        """

    @abstractmethod
    async def connect(self, purpose: str, *, command_timeout_seconds: float, **server_settings: str) -> Any:
        """A connection outside the pool, by the direct URL, named `webedt-<purpose>`. One try, no retry."""

    @property
    @abstractmethod
    def stats(self) -> PoolStats: ...

    @property
    @abstractmethod
    def state(self) -> DatabaseState: ...

    @abstractmethod
    async def wait_until_ready(self) -> None:
        """Return when the server answers and its schema is current."""
