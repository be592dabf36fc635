"""How many files are moved at a time: each takes memory for its parts, and who moves slowly holds its place long."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from webedt.domain.errors import RateLimited, Unavailable

MOST = 32
MOST_OF_A_USER = 16
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.25


class Transfers:
    """Places for transfers on this replica. Who finds none free waits for a while."""

    def __init__(
        self, most: int = MOST, most_of_a_user: int = MOST_OF_A_USER, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._most = most
        self._most_of_a_user = most_of_a_user
        self._patience = patience_seconds
        self._users: Counter[UUID] = Counter()
        self._changed = asyncio.Condition()
        self._draining = False

    @asynccontextmanager
    async def place(self, user_id: UUID) -> AsyncIterator[None]:
        """Hold a place for a block. Raises `RateLimited` if the user's own transfers are in the way, `Unavailable` if
        those of all are."""
        if self._draining:
            raise Unavailable("This replica is shutting down; ask again.", retry_after_seconds=1)
        try:
            async with asyncio.timeout(self._patience), self._changed:
                await self._changed.wait_for(lambda: self._is_room_for(user_id))
                self._users[user_id] += 1
        except TimeoutError:
            if self._users[user_id] >= self._most_of_a_user:
                raise RateLimited(
                    f"At most {self._most_of_a_user} transfers at a time.", retry_after_seconds=5
                ) from None
            raise Unavailable("Too many files are being moved here.", retry_after_seconds=5) from None
        try:
            yield
        finally:
            self._users[user_id] -= 1
            self._users += Counter()  # forgets those who have none
            await asyncio.shield(self._tell())

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Begin no more, and give those that go on so long to end, unless `hurry` is set."""
        self._draining = True
        deadline = time.monotonic() + seconds
        while self._users.total() and not hurry.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS), self._changed:
                    await self._changed.wait()

    def _is_room_for(self, user_id: UUID) -> bool:
        return self._users.total() < self._most and self._users[user_id] < self._most_of_a_user

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
