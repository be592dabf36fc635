"""What a delta costs from a provider's socket to its commit, in CPU of the application.

In this process: the provider, the driver and the writer, with everything they use. In others: the upstream and
PostgreSQL. To measure one more provider, add it to `CONTENDERS` and its protocol to `tests.bench.upstream`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg

from tests.bench.bench import Bench, claimed_run, make_user
from tests.bench.figures import Figure
from tests.bench.server import upstream
from webedt.composition import compose_services
from webedt.config import Settings
from webedt.domain.runs import Claim
from webedt.domain.secrets import Secret
from webedt.fleet.identity import Identity
from webedt.kernel import ServiceProvider
from webedt.log.interface import AEventWriter
from webedt.log.producer import RunLog
from webedt.providers.anthropic import AnthropicProvider
from webedt.providers.claude import ClaudeProvider
from webedt.providers.claude_client import ClaudeWebClient
from webedt.providers.interface import ExecutionProvider, RunRequest
from webedt.providers.openai import OpenAIProvider
from webedt.providers.simulated import SimulatedProvider
from webedt.services.driver import Preparation, RunDriver
from webedt.telemetry.metrics import Metrics
from webedt.telemetry.tracing import NoTracing

TARGET = "<= 60"
KEY = "sk-bench"


@dataclass(frozen=True)
class Load:
    """`rate` deltas a second in each of `runs` streams; 0 is as fast as possible."""

    name: str
    runs: int
    deltas: int
    rate: int

    @property
    def prompt(self) -> list[dict[str, Any]]:
        return [{"type": "text", "text": f"[[tokens={self.deltas} rate={self.rate} size=24]]"}]


WARM_UP = Load("warm-up", 1, 10, 0)
CONTENDERS: Mapping[str, Callable[[Settings], ExecutionProvider]] = {
    "simulated": lambda settings: SimulatedProvider(allowed=True),
    "anthropic": AnthropicProvider,
    "openai": OpenAIProvider,
    "claude": lambda settings: ClaudeProvider(settings, ClaudeWebClient(settings)),
}


async def providers(bench: Bench) -> list[Figure]:
    # Live: as many runs as a replica takes (MAX_ACTIVE_RUNS), as fast as models speak. Bursts: the upstream is faster.
    loads = [Load("live", 100, bench.size(500), 100), Load("bursts", 10, bench.size(5000), 0)]
    database_url = await bench.url()
    figures = []
    async with upstream() as fake:
        settings = Settings(
            database_url=database_url,
            environment="test",
            log_level="error",
            lease_seconds=3600,
            max_active_runs=0,  # the runs are driven here
            anthropic_api_key=KEY,
            anthropic_base_url=fake.url,
            claude_agent_id="agent_bench",
            claude_environment_id="env_bench",
            openai_base_url=f"{fake.url}/v1",
            openai_model="bench",
        )
        services = compose_services(settings, Identity(uuid4(), "bench"), Metrics("bench"))
        await services.initialize()
        try:
            for load in loads:
                least = await _event_objects(load, fake.url)
                figures.append(Figure("providers", f"SDK's event objects alone, {load.name}", least, "µs/delta"))
                for name, make in CONTENDERS.items():
                    provider = make(settings)
                    await provider.initialize()
                    await _cpu(WARM_UP, await _runs(services, database_url, provider, WARM_UP))
                    cost = await _cpu(load, await _runs(services, database_url, provider, load))
                    await provider.dispose()
                    figures.append(Figure("providers", f"{name}, {load.name}", cost, "µs/delta", TARGET))
                    if name == "anthropic":
                        figures.append(Figure("providers", f"event objects / {name}, {load.name}", least / cost, "x"))
        finally:
            await services.reset()
    return figures


async def _cpu(load: Load, streams: Sequence[Coroutine[Any, Any, None]]) -> float:
    """Microseconds of this process for each delta."""
    before = time.process_time()
    await asyncio.gather(*streams)
    return (time.process_time() - before) / (load.runs * load.deltas) * 1e6


async def _event_objects(load: Load, url: str) -> float:
    """The least that a program can do with the SDK: it looks at the text and forgets it. One client for all."""
    import anthropic  # costs seconds; other workloads do not need it

    async def consume(load: Load) -> None:
        messages: Any = [{"role": "user", "content": load.prompt}]
        stream = await client.messages.create(model="bench", max_tokens=1, messages=messages, stream=True)
        seen = 0
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                seen += len(event.delta.text) > 0
        if seen != load.deltas:
            raise AssertionError(f"{seen} deltas, {load.deltas} expected")

    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
        await consume(WARM_UP)
        return await _cpu(load, [consume(load) for _ in range(load.runs)])


async def _runs(
    services: ServiceProvider, database_url: str, provider: ExecutionProvider, load: Load
) -> list[Coroutine[Any, Any, None]]:
    connection = await asyncpg.connect(database_url)
    user_id = await make_user(connection)
    writer = services.get(AEventWriter)
    runs = []
    for _ in range(load.runs):
        session_id, run_id = await claimed_run(connection, user_id)
        claim = Claim(
            session_id=session_id,
            run_id=run_id,
            user_id=user_id,
            fence=1,
            attempt=1,
            provider=provider.name,
            model=None,
            prompt=load.prompt,
            prompt_seq=0,
            checkpoint=None,
            provider_state=None,
            repository_url=None,
            branch=None,
            elapsed_ms=0,
            recovered=False,
        )
        runs.append(_drive(claim, writer.open(session_id, run_id, 1), provider))
    await connection.close()
    return runs


async def _drive(claim: Claim, log: RunLog, provider: ExecutionProvider) -> None:
    async def prepare() -> Preparation:
        request = RunRequest(
            run_id=claim.run_id,
            session_id=claim.session_id,
            user_id=claim.user_id,
            attempt=1,
            model=None,
            prompt=claim.prompt,
            api_key=Secret(KEY),
        )
        return Preparation(request, {})

    async def still_ours() -> None:
        pass  # nobody else is there

    outcome = await RunDriver(claim, log, provider, prepare, still_ours, NoTracing()).drive()
    if outcome != "completed":
        raise AssertionError(f"a run of {provider.name} ended as {outcome}")
