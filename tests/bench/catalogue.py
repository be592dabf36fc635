"""The workloads by name, in the order in which they run and stand in the table."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tests.bench.bench import Bench, bench
from tests.bench.buses import bus, replicas
from tests.bench.fan_out import fan_out
from tests.bench.figures import Figure
from tests.bench.growth import growth
from tests.bench.idle import idle
from tests.bench.ingest import ingest
from tests.bench.live import live
from tests.bench.process import process
from tests.bench.providers import providers
from tests.bench.readers import without_garbage_collection
from tests.bench.reconnect import reconnect
from tests.bench.replay import replay
from tests.bench.tracing import tracing

WORKLOADS: Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "fan-out": fan_out,
    "live": live,
    "replay": replay,
    "idle": idle,
    "reconnect": reconnect,
    "replicas": replicas,
    "bus": bus,
    "process": process,
    "tracing": tracing,
    "ingest": ingest,
    "growth": growth,
    "providers": providers,
}
# These measure code of ours in this very process: it keeps its garbage collector.
IN_PROCESS = ("ingest", "growth", "providers")


async def measure(server_url: str, only: Sequence[str], *, sizes: int) -> list[Figure]:
    figures: list[Figure] = []
    for name in WORKLOADS:
        if name not in only:
            continue
        # A database, and the processes on it, of the workload's own: what one leaves must not slow the next one down.
        async with bench(server_url, sizes) as place:
            if name in IN_PROCESS:
                figures += await WORKLOADS[name](place)
            else:
                with without_garbage_collection():
                    figures += await WORKLOADS[name](place)
    return figures
