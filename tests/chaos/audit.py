"""The log itself, read out of the database and judged: ids, endings, and that nothing was said twice."""

from dataclasses import dataclass
from typing import Any

from tests.support.postgres import connect
from webedt.providers.simulated import parse_directive

# user_message, run_started, message, usage, completed: what a simulated run has besides its deltas
FRAMING_EVENTS = 5


@dataclass(frozen=True)
class LoggedRun:
    run_id: str
    status: str
    attempts: int
    handovers: int
    moves: list[float]
    """Seconds between the event before a take-over and the take-over, by the database's clock."""


@dataclass(frozen=True)
class Audit:
    """What the database holds: how many events a session has, and of each run how it went."""

    events: dict[str, int]
    runs: dict[str, LoggedRun]
    faults: list[str]


_HEADS = """
SELECT h.chat_session_id AS id, h.last_seq, h.running_run_id, h.queued_runs, s.status,
       count(e.seq) AS events, min(e.seq) AS first, max(e.seq) AS last
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id
LEFT JOIN events e ON e.chat_session_id = h.chat_session_id
GROUP BY h.chat_session_id, s.id
"""
_RUNS = """
SELECT r.chat_session_id AS session_id, r.id, r.status, r.attempt, r.handovers, r.end_seq, r.provider,
       (SELECT p.data -> 'content' -> 0 ->> 'text' FROM events p
        WHERE p.chat_session_id = r.chat_session_id AND p.seq = r.prompt_seq) AS prompt,
       count(e.seq) AS events,
       count(*) FILTER (WHERE e.type = 'text_delta') AS deltas,
       string_agg(e.data ->> 'text', '' ORDER BY e.seq) FILTER (WHERE e.type = 'text_delta') AS said,
       max(e.data -> 'content' -> 0 ->> 'text') FILTER (WHERE e.type = 'message') AS message,
       count(*) FILTER (WHERE e.type = 'message') AS messages,
       array_agg(e.type ORDER BY e.seq) FILTER (WHERE e.type IN ('completed', 'failed', 'interrupted')) AS endings,
       max(e.seq) AS last,
       array_agg(e.waited ORDER BY e.seq) FILTER (WHERE e.type IN ('run_recovered', 'run_restarted')) AS moves
FROM runs r
JOIN (SELECT *,
             extract(epoch FROM created_at - lag(created_at) OVER (PARTITION BY chat_session_id ORDER BY seq))::float8
                 AS waited
      FROM events) e ON e.chat_session_id = r.chat_session_id AND e.run_id = r.id
GROUP BY r.chat_session_id, r.id
"""


async def audit(database_url: str) -> Audit:
    """Read everything and judge it: ids without gap, one ending a run, nothing said twice, nothing left running."""
    connection = await connect(database_url)
    try:
        heads, runs = await connection.fetch(_HEADS), await connection.fetch(_RUNS)
    finally:
        await connection.close()
    faults: list[str] = []
    for head in heads:
        if not head["events"] == head["last_seq"] == (head["last"] or 0) or head["first"] not in (None, 1):
            faults.append(f"log of {head['id']}: {head['events']} events, head at {head['last_seq']}")
        if head["running_run_id"] is not None or head["queued_runs"]:
            faults.append(f"log of {head['id']}: still {head['status']}")
    for run in runs:
        faults += [f"run {run['id']}: {fault}" for fault in _faults_of(run)]
    return Audit(
        {str(head["id"]): head["events"] for head in heads},
        {
            str(run["id"]): LoggedRun(
                str(run["id"]), run["status"], run["attempt"], run["handovers"], list(run["moves"] or [])
            )
            for run in runs
        },
        faults,
    )


def _faults_of(run: Any) -> list[str]:
    faults = []
    if run["endings"] != [run["status"]] or run["end_seq"] != run["last"]:
        faults.append(f"is {run['status']} and ended in the log as {run['endings']}")
    if run["status"] == "completed" and run["provider"] == "simulated":
        tokens = parse_directive(run["prompt"]).tokens
        expected = tokens + FRAMING_EVENTS + run["attempt"] - 1
        if run["events"] != expected or run["deltas"] != tokens or run["messages"] != 1:
            faults.append(f"has {run['events']} events, {run['deltas']} deltas, of {expected} and {tokens}")
        if run["said"] != run["message"]:
            faults.append("its deltas do not say what its message says")
    return faults


async def ask(database_url: str, query: str, *args: Any) -> list[Any]:
    connection = await connect(database_url)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()
