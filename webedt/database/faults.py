"""What a database error means for the caller: try again, wait, or give up. By SQLSTATE, never by message text."""

import asyncpg

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
    asyncpg.ReadOnlySQLTransactionError,  # fail-over in progress
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)


class OutcomeUnknown(Exception):
    """The connection was lost after COMMIT was sent: it may have been carried out. Look before you try again."""


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, is at fault."""
    if isinstance(error, asyncpg.InterfaceError):
        # The driver's own refusal of a connection that is closed; it has no SQLSTATE, only a text.
        return not isinstance(error, ValueError) and "closed" in str(error).lower()
    return isinstance(error, CONNECTION_LOST)


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later without being changed."""
    return is_connection_lost(error) or isinstance(error, TRY_AGAIN + WAIT_FOR_SERVER)
