"""W5: all readers of a session lose their connection and come back at once, some events behind."""

import re
import statistics
import time
from uuid import uuid4

from tests.bench.bench import Bench, fill, fill_naive, new_session
from tests.bench.figures import Figure
from tests.bench.floor import ANSWERED as BEHIND
from tests.bench.readers import all_at, close, connect, get
from tests.bench.server import Server, floor

READERS = 1000
LOG = 1000


async def reconnect(bench: Bench) -> list[Figure]:
    readers = bench.size(READERS)
    connection, replica = await bench.connection(), await bench.replica()
    session_id = await new_session(bench.http, replica)
    await fill(connection, session_id, LOG)
    path = f"/api/sessions/{session_id}/events/stream"
    request = get(replica.port, path, {**replica.headers, "Last-Event-ID": str(LOG - BEHIND)})
    seconds, pages, tails = [], [], []
    for _ in range(bench.runs):
        before = await _reads(bench, replica)
        seconds.append(await _return(replica, request, readers, LOG - BEHIND, LOG))
        after = await _reads(bench, replica)
        pages.append(after["page"] - before["page"])
        tails.append(after["tail"] - before["tail"])

    naive, session = await bench.naive(), str(uuid4())
    await fill_naive(connection, session, LOG)
    naive_request = get(naive.port, f"/stream/{session}", {"Last-Event-ID": str(LOG - BEHIND)})
    naive_seconds = await _return(naive, naive_request, readers, LOG - BEHIND, LOG)
    async with floor("answers") as process:
        least = await _return(process, get(process.port, "/", {}), readers, 0, BEHIND)
    ours = statistics.median(seconds)
    return [
        Figure("reconnect", "floor: a prepared answer, no HTTP server", least, "s"),
        Figure("reconnect", "naive", naive_seconds, "s"),
        Figure("reconnect", f"{readers} readers, {BEHIND} events behind: all caught up", ours, "s", "<= 0.9"),
        Figure("reconnect", "reads of the log for readers behind", statistics.median(pages), "", "<= 1"),
        Figure("reconnect", "looks at the end of the log", statistics.median(tails), ""),
        Figure("reconnect", "naive / all caught up", naive_seconds / ours, "x"),
    ]


async def _return(process: Server, request: bytes, readers: int, after: int, last: int) -> float:
    began = time.time()
    opened = await connect(process.port, request, count=readers)
    await all_at(opened, last)
    caught_up = max(one.arrivals(after, last)[last] for one in opened)
    close(opened)
    return caught_up - began


async def _reads(bench: Bench, replica: Server) -> dict[str, float]:
    """Statements that the replica has read the log with, by what for."""
    async with bench.http.get(f"{replica.url}/metrics") as answer:
        found = re.findall(r'^webedt_log_reads_total\{.*kind="(\w+)".*\} ([\d.]+)$', await answer.text(), re.MULTILINE)
    return {kind: float(value) for kind, value in found}
