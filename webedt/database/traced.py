"""Pool connections whose queries are spans of the request or run that they are asked for.

A span has the name that the query has in `sql/queries`, never its text or arguments. What nobody waits for by name (the
sweeps, and all that has a connection of its own: heartbeat, event writer, listener, health check) has no span above it,
and so none of its own. Used only while tracing is on.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg

from webedt.telemetry.tracing import ATracing


def traced_connection(tracing: ATracing, names: Mapping[str, str]) -> type[Any]:
    """A `connection_class` for asyncpg. `names`: of queries, by their text."""

    async def traced(query: str, ask: Callable[..., Awaitable[Any]], args: tuple[Any, ...], more: Any) -> Any:
        if not tracing.current.recording:
            return await ask(query, *args, **more)
        # What has no name is how a transaction begins and ends.
        name = names.get(query) or query.partition(";")[0]
        attributes = {"db.system.name": "postgresql", "db.query.summary": name}
        with tracing.start(name, attributes, kind="client"):
            return await ask(query, *args, **more)

    class TracedConnection(asyncpg.Connection):  # type: ignore[misc]
        __slots__ = ()

        async def execute(self, query: str, *args: Any, **more: Any) -> Any:
            return await traced(query, super().execute, args, more)

        async def fetch(self, query: str, *args: Any, **more: Any) -> Any:
            return await traced(query, super().fetch, args, more)

        async def fetchrow(self, query: str, *args: Any, **more: Any) -> Any:
            return await traced(query, super().fetchrow, args, more)

        async def fetchval(self, query: str, *args: Any, **more: Any) -> Any:
            return await traced(query, super().fetchval, args, more)

    return TracedConnection
