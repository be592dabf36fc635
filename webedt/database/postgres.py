"""PostgreSQL through asyncpg: one pool, its statistics, its health.

Starting does not need a server: `initialize` begins to look for one and returns, so that `/live` answers while the
database is away. Whoever asks meanwhile gets `Unavailable`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from webedt.config import Settings
from webedt.database import pooler
from webedt.database.backoff import Backoff
from webedt.database.dedicated import DedicatedConnection
from webedt.database.faults import TRY_AGAIN, OutcomeUnknown, is_connection_lost, is_passing
from webedt.database.interface import ADatabase, DatabaseState, PoolStats
from webedt.database.migrations import pending_migrations
from webedt.database.sockets import cut_dead_server
from webedt.database.transacting import is_closed, transact
from webedt.domain.errors import Unavailable
from webedt.kernel import Background, BaseService
from webedt.telemetry.metrics import Metrics

R = TypeVar("R")

CHECK_EVERY_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 2.0
ANSWERS_GIVEN_UP_SECONDS = 4.0
LOCK_TIMEOUT_MS = 3000
RETRY_AFTER_SECONDS = 2.0


class PostgresDatabase(BaseService, ADatabase):
    """`connection_class` is that of the pool, for who wants to see what is asked there."""

    def __init__(self, settings: Settings, metrics: Metrics, connection_class: type[Any] = asyncpg.Connection) -> None:
        self._settings = settings
        self._connection_class = connection_class
        self._metrics = metrics
        self._pool: asyncpg.Pool[Any] | None = None
        self._waiting = 0
        self._in_use: set[Any] = set()
        self._state = DatabaseState(False, None, "starting")
        self._ready = asyncio.Event()
        self._monitor = DedicatedConnection("monitor", self._connect_monitor, max_backoff_seconds=CHECK_EVERY_SECONDS)
        self._background = Background()

    # Life ------------------------------------------------------------------------------------------------------------

    async def initialize(self) -> None:
        self._background.start("database-pool", self._open_pool())
        self._background.start("database-monitor", self._watch())
        self._metrics.observe(self._observe)

    async def dispose(self) -> None:
        await self._background.stop()
        await self._monitor.close()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), 5)
            except TimeoutError:
                pool.terminate()
        await super().dispose()

    async def _open_pool(self) -> None:
        backoff = Backoff()
        settings = self._settings
        statements = not settings.behind_pooler or settings.db_prepared_statements
        while True:
            try:
                # A new pool for each try: one whose first connections failed is of no more use.
                self._pool = await asyncpg.create_pool(
                    settings.database_url,
                    min_size=settings.db_pool_min,
                    max_size=settings.db_pool_max,
                    max_inactive_connection_lifetime=settings.db_pool_idle_seconds,
                    timeout=settings.db_connect_timeout_seconds,
                    command_timeout=settings.db_statement_timeout_seconds + 5,
                    statement_cache_size=200 if statements else 0,
                    server_settings=pooler.START_SETTINGS if settings.behind_pooler else self._server_settings("pool"),
                    connection_class=self._connection_class,
                    init=cut_dead_server,
                    reset=_leave_as_it_is,
                )
            except Exception as error:
                self.log.debug("pool_not_opened", error=repr(error))
                await asyncio.sleep(backoff.next())
            else:
                self.log.info("pool_opened", max=settings.db_pool_max)
                return

    async def _watch(self) -> None:
        """Ask the server every second, on a connection of its own: a busy pool is not a dead database."""
        away_since: float | None = None
        while True:
            reason, latency = await self._check()
            away_since = (away_since or time.monotonic()) if reason == "database" else None
            if away_since is not None:
                await self._give_up_connections(time.monotonic() - away_since)
            if (reason is None) != self._ready.is_set():
                if reason is None:
                    self.log.info("database_ready")
                else:
                    self.log.warning("database_not_ready", reason=reason)
                (self._ready.set if reason is None else self._ready.clear)()
            self._state = DatabaseState(latency is not None, latency, reason)
            await asyncio.sleep(CHECK_EVERY_SECONDS if reason is None else 0.25)

    async def _give_up_connections(self, away_seconds: float) -> None:
        """The pool's connections may lead nowhere and not know it: none is handed out again, and whoever waits for an
        answer on one is told before its own, long deadline."""
        if self._pool is not None:
            await self._pool.expire_connections()
        if away_seconds > ANSWERS_GIVEN_UP_SECONDS:
            for connection in list(self._in_use):
                if not is_closed(connection):
                    connection.terminate()

    async def _check(self) -> tuple[str | None, float | None]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                connection = await self._monitor.get()
                started = time.perf_counter()
                await connection.fetchval("SELECT 1")
                latency = (time.perf_counter() - started) * 1000
                pending = [] if self._ready.is_set() else await pending_migrations(connection)
        except Exception:
            self._monitor.discard()
            return "database", None
        if pending:
            return "migrations", latency
        return (None if self._pool is not None else "starting"), latency

    async def wait_until_ready(self) -> None:
        await self._ready.wait()

    # Connections -----------------------------------------------------------------------------------------------------

    def _server_settings(self, purpose: str) -> dict[str, str]:
        return {
            "application_name": f"webedt-{purpose}",
            "timezone": "UTC",
            **self._limits(),
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": "10000",
        }

    def _limits(self) -> dict[str, str]:
        """Milliseconds."""
        settings = self._settings
        return {
            "statement_timeout": str(int(settings.db_statement_timeout_seconds * 1000)),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            # A frozen peer must not hold a head for longer than its lease.
            "idle_in_transaction_session_timeout": str(int(min(settings.lease_seconds / 2, 5) * 1000)),
        }

    async def connect(self, purpose: str, *, command_timeout_seconds: float, **server_settings: str) -> Any:
        connection = await asyncpg.connect(
            self._settings.direct_url,
            timeout=self._settings.db_connect_timeout_seconds,
            command_timeout=command_timeout_seconds,
            server_settings={**self._server_settings(purpose), **server_settings},
        )
        await cut_dead_server(connection)
        return connection

    async def _connect_monitor(self) -> Any:
        return await self.connect("monitor", command_timeout_seconds=CHECK_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        pool = self._pool
        if pool is None:
            raise Unavailable("The database is not available.", retry_after_seconds=RETRY_AFTER_SECONDS)
        started = time.perf_counter()
        self._waiting += 1
        try:
            connection = await pool.acquire(timeout=self._settings.db_connect_timeout_seconds)
        except Exception as error:
            # Whatever keeps us from a connection (refused, a role or database that is gone) is not the request's fault.
            text = (
                "No database connection is free."
                if isinstance(error, TimeoutError)
                else "The database is not available."
            )
            raise Unavailable(text, retry_after_seconds=RETRY_AFTER_SECONDS) from error
        finally:
            self._waiting -= 1
        self._metrics.pool_acquire_seconds.observe(time.perf_counter() - started)
        self._in_use.add(connection)
        try:
            yield connection
        except Exception as error:
            cancelled = self._settings.behind_pooler and pooler.is_cancelled_later(error)
            if is_connection_lost(error) and not cancelled and not is_closed(connection):
                connection.terminate()  # nobody else should get it
            raise
        finally:
            self._in_use.discard(connection)
            await self._give_back(pool, connection)

    async def _give_back(self, pool: Any, connection: Any) -> None:
        """What was done on the connection is done: that it cannot be given back is no reason to do it again. Nor does a
        cancellation keep it from going back: asyncpg shields that itself."""
        try:
            await pool.release(connection, timeout=5)
        except Exception as error:
            self.log.debug("connection_not_given_back", error=repr(error))

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        async def read(connection: Any) -> Sequence[Any]:
            rows: Sequence[Any] = await connection.fetch(query, *args)
            return rows

        return await self._once_more(read)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        async def read(connection: Any) -> Any:
            return await connection.fetchrow(query, *args)

        return await self._once_more(read)

    async def _once_more(self, read: Callable[[Any], Awaitable[R]]) -> R:
        """The pool may hand out a connection that the server closed a moment ago: that costs one more try, no error.
        Behind a pooler, which has such connections of its own and is slow to log in again, it costs several."""
        backoff = Backoff(0.05, 0.5)
        patience_ends = time.monotonic() + self._settings.db_connect_timeout_seconds
        for attempt in range(1, 6):
            try:
                async with self.acquire() as connection:
                    return await read(connection)
            except Exception as error:
                if isinstance(error, Unavailable) or not is_passing(error):
                    raise
                if isinstance(error, TimeoutError) or not is_connection_lost(error):
                    # It was waited for long enough.
                    raise Unavailable(
                        "The database is busy; try again.", retry_after_seconds=RETRY_AFTER_SECONDS
                    ) from error
            if attempt > 1 and time.monotonic() > patience_ends:
                break
            await asyncio.sleep(backoff.next())
        raise Unavailable("The database is not available.", retry_after_seconds=RETRY_AFTER_SECONDS)

    async def with_transaction(self, work: Callable[[Any], Awaitable[R]], *, attempts: int = 5) -> R:
        backoff = Backoff(0.02, 0.5)
        for attempt in range(1, attempts + 1):
            try:
                return await self._transact(work)
            except (Unavailable, OutcomeUnknown):
                raise
            except Exception as error:
                lost = is_connection_lost(error)
                if not lost and not isinstance(error, TRY_AGAIN):
                    if is_passing(error):
                        raise Unavailable(
                            "The database is busy; try again.", retry_after_seconds=RETRY_AFTER_SECONDS
                        ) from error
                    raise
                if attempt == attempts:
                    raise Unavailable(
                        "The database is not available.", retry_after_seconds=RETRY_AFTER_SECONDS
                    ) from error
                self.log.debug("transaction_tried_again", attempt=attempt, error=repr(error))
            await asyncio.sleep(backoff.next())
        raise AssertionError("unreachable")

    async def commit_once(self, work: Callable[[Any], Awaitable[R]], look: Callable[[Any], Awaitable[R | None]]) -> R:
        for _ in range(3):
            try:
                return await self.with_transaction(work)
            except OutcomeUnknown:
                self.log.warning("commit_answer_lost")
                found = await self._once_more(look)
                if found is not None:
                    return found
        raise Unavailable("The database is not available.", retry_after_seconds=RETRY_AFTER_SECONDS)

    async def _transact(self, work: Callable[[Any], Awaitable[R]]) -> R:
        async with self.acquire() as connection:
            return await transact(connection, self._begin, work)

    @property
    def _begin(self) -> str:
        return pooler.begin_with(self._limits()) if self._settings.behind_pooler else "BEGIN"

    # What is known ---------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> PoolStats:
        pool = self._pool
        total, idle = (pool.get_size(), pool.get_idle_size()) if pool is not None else (0, 0)
        # asyncpg does not tell who waits: whoever asked while no connection was left does.
        waiting = self._waiting if total - idle >= self._settings.db_pool_max else 0
        return PoolStats(total, idle, total - idle, waiting, self._settings.db_pool_max)

    @property
    def state(self) -> DatabaseState:
        return self._state

    def _observe(self) -> None:
        stats = self.stats
        self._metrics.pool_connections.set(stats.total, "total")
        self._metrics.pool_connections.set(stats.idle, "idle")
        self._metrics.pool_connections.set(stats.in_use, "in_use")
        self._metrics.pool_waiting.set(stats.waiting)
        self._metrics.pool_max.set(stats.max)
        self._metrics.db_healthy.set(float(self._state.healthy))


async def _leave_as_it_is(_connection: Any) -> None:
    """Nothing here changes a pool connection's settings or listens on it, so nothing is to be reset on release."""
