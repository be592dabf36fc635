"""The contract through which services reach a transaction.

Owns the token `ATransactions`, so that `BaseService` can offer transactions while the kernel imports no database.
Must not know SQL, drivers or pools: the database registers its own, richer contract derived from this one, and the
same instance under this token.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from webedt.kernel.service import AService

R = TypeVar("R")

ATTEMPTS = 5
"""How often a transaction is tried unless the caller says otherwise."""

# Any, because naming the driver's connection here would make the kernel depend on it; the database narrows it.
Connection: TypeAlias = Any


class ATransactions(AService):
    """Runs work in a transaction."""

    @abstractmethod
    async def with_transaction(self, work: Callable[[Connection], Awaitable[R]], *, attempts: int = ATTEMPTS) -> R:
        """Run `work(connection)` in one transaction, commit, and return its result; an error rolls back and is raised.

        After a fault that a new try can cure (serialization failure, deadlock, a connection lost before COMMIT was
        sent) all of `work` is run again, up to `attempts` runs in total (>= 1). So `work` makes no outside call and
        every id that it uses is made before.
        """
