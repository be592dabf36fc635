"""What a database holds of every session's log, and whether a fleet on it goes on with the work."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.support.fleet import Caller, Replica, Run
from tests.support.fleet_reader import Reader

_LOGS = """
SELECT h.chat_session_id AS id, h.last_seq, s.status,
       array_agg(concat_ws(' ', e.seq, e.type, e.data) ORDER BY e.seq) FILTER (WHERE e.seq IS NOT NULL) AS events,
       array_agg(e.seq ORDER BY e.seq) FILTER (WHERE e.seq IS NOT NULL) AS ids,
       array_agg((e.data ->> 'replacesFrom')::bigint ORDER BY e.seq) FILTER (WHERE e.seq IS NOT NULL) AS replaces
FROM chat_sessions s
LEFT JOIN session_heads h ON h.chat_session_id = s.id
LEFT JOIN events e ON e.chat_session_id = h.chat_session_id
GROUP BY h.chat_session_id, h.last_seq, s.status
"""


@dataclass(frozen=True)
class Log:
    last_seq: int
    status: str
    events: list[str]
    unexplained: list[int]
    """Ids behind a gap that no `message` explains, and the head if it is not the last event."""


async def logs_of(connection: Any) -> dict[UUID, Log]:
    """By session, as this connection sees them in its transaction."""
    rows = await connection.fetch(_LOGS)
    return {row["id"]: Log(row["last_seq"], row["status"], row["events"] or [], _unexplained(row)) for row in rows}


async def stopped_after_take_over(caller: Caller, replica: Replica, run: Run) -> None:
    """Interrupt it once it was taken over there; its log is exact from the first event to the last."""
    reader = Reader(caller.http, run.session_id, [replica.url])
    following = asyncio.create_task(reader.follow())
    await reader.until(lambda seen: seen.first_mark("run_recovered", "run_restarted") is not None, "it is taken over")
    await caller.interrupt(replica, run)
    await following
    assert (reader.faults(), reader.outcomes[run.run_id]) == ([], "interrupted")


def _unexplained(row: Any) -> list[int]:
    wrong = []
    expected = 1
    for event_id, replaces_from in zip(row["ids"] or [], row["replaces"] or [], strict=True):
        if event_id != expected and (replaces_from is None or replaces_from > expected):
            wrong.append(event_id)
        expected = event_id + 1
    return wrong if row["last_seq"] == expected - 1 else [*wrong, row["last_seq"]]
