"""What a database error means for the caller: try again, wait, or give up. By SQLSTATE, never by message text."""

import asyncpg

from webedt.domain.errors import Unavailable

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    OSError,
    TimeoutError,
)
TRY_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
WAIT_FOR_SERVER = (
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.PostgresIOError,  # the disk does not answer as it should; says nothing about what was to be stored
    asyncpg.ReadOnlySQLTransactionError,  # fail-over in progress
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)


class OutcomeUnknown(Unavailable):
    """The connection was lost after COMMIT was sent: it may have been carried out. Look before you try again.

    Who cannot look tells the caller, for whom it is no fault of the server's but a reason to ask again.
    """

    def __init__(self) -> None:
        super().__init__("The database's answer was lost; this may have been done.", retry_after_seconds=2.0)


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, is at fault."""
    if isinstance(error, asyncpg.InternalClientError):
        # So the driver answers a statement after the server has said goodbye and before the socket is closed.
        return True
    if isinstance(error, asyncpg.InterfaceError):
        # The driver's own refusal of a connection that is closed, or that its pool took back when it was lost; it has
        # no SQLSTATE, only a text.
        text = str(error).lower()
        return not isinstance(error, ValueError) and ("closed" in text or "released back to the pool" in text)
    return isinstance(error, CONNECTION_LOST)


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later without being changed."""
    return is_connection_lost(error) or isinstance(error, TRY_AGAIN + WAIT_FOR_SERVER)
