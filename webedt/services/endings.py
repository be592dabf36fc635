"""Ending runs that their driver does not end: the event, the columns and the queue in one statement.

Callers hold the session's head. What a terminal event says is written here and in `services/driver.py` only.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from webedt.domain.events import FAILED, INTERRUPTED, encode_data


async def end_interrupted(connection: Any, queries: Mapping[str, str], session_id: UUID, run_id: UUID, by: str) -> None:
    """`by`: user (the interrupt request), new_prompt (`onBusy: interrupt`) or delete."""
    data = interrupted_data(run_id, by)
    await connection.execute(queries["end_run"], session_id, run_id, INTERRUPTED, data)


async def end_failed(
    connection: Any, queries: Mapping[str, str], session_id: UUID, run_id: UUID, code: str, message: str
) -> None:
    data = failed_data(run_id, code, message, retryable=True)
    await connection.execute(queries["end_run"], session_id, run_id, FAILED, data)


async def end_queued_runs(connection: Any, queries: Mapping[str, str], session_id: UUID, by: str) -> None:
    for row in await connection.fetch(queries["find_queued_runs"], session_id):
        await end_interrupted(connection, queries, session_id, row["id"], by)


def interrupted_data(run_id: UUID, by: str) -> str:
    return encode_data({"runId": str(run_id), "by": by})


def failed_data(run_id: UUID, code: str, message: str, *, retryable: bool) -> str:
    return encode_data({"runId": str(run_id), "code": code, "message": message, "retryable": retryable})
