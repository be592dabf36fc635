"""One transaction on one connection: BEGIN, the work, COMMIT; and what is known when an answer is missing.

By hand and not through asyncpg's transaction object, which a cancellation in its `start` leaves half-open.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from webedt.database.faults import OutcomeUnknown, is_connection_lost

R = TypeVar("R")


async def transact(connection: Any, begin: str, work: Callable[[Any], Awaitable[R]]) -> R:
    """`work(connection)` between `begin` and COMMIT. Raises `OutcomeUnknown` when the answer to COMMIT was lost;
    after any other error nothing was stored."""
    try:
        await connection.execute(begin)
        result = await work(connection)
        if is_closed(connection):
            raise asyncpg.ConnectionDoesNotExistError("lost before COMMIT was sent")
    except BaseException:
        await asyncio.shield(_roll_back(connection))
        raise
    try:
        answer = await connection.execute("COMMIT")
    except Exception as error:
        if is_connection_lost(error):
            raise OutcomeUnknown from error
        raise
    if answer != "COMMIT":
        # So PostgreSQL ends a transaction in which a statement failed, whether or not `work` heard of it.
        raise asyncpg.InFailedSQLTransactionError("rolled back: a statement in it had failed")
    return result


async def _roll_back(connection: Any) -> None:
    """After an error or a cancellation: whatever state the connection is in, no transaction stays open on it."""
    if is_closed(connection):
        return
    try:
        await connection.execute("ROLLBACK")
    except Exception:
        if not is_closed(connection):
            connection.terminate()


def is_closed(connection: Any) -> bool:
    """A pool takes a connection back by itself once it is lost; then not even this may be asked of it."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True
