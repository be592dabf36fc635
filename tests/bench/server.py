"""A real PostgreSQL (fsync on) and a real replica process, for as long as a benchmark takes."""

import asyncio
import os
import resource
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import psutil

from webedt.database.embedded import EmbeddedPostgres
from webedt.database.migrations import migrate

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@contextmanager
def postgres() -> Iterator[str]:
    """The server of BENCH_DATABASE_URL, or an embedded one of its own with every write made durable."""
    given = os.environ.get("BENCH_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="webedt-bench-") as folder:
        server = EmbeddedPostgres(Path(folder), settings={"max_wal_size": "4GB", "shared_buffers": "512MB"})
        url = server.start()
        try:
            yield url
        finally:
            server.stop("immediate")


@asynccontextmanager
async def database(server_url: str) -> AsyncIterator[str]:
    """A fresh, migrated database, dropped afterwards."""
    name = f"bench_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f'CREATE DATABASE "{name}"')
    head, _, tail = server_url.partition("?")
    url = head.rsplit("/", 1)[0] + f"/{name}" + (f"?{tail}" if tail else "")
    try:
        await migrate(url)
        yield url
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@dataclass
class Server:
    """A `webedt serve` process, or what it is compared with; `headers` log a user in."""

    process: psutil.Process
    port: int
    headers: dict[str, str]
    ready_seconds: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def cpu_seconds_since(self, before: float) -> float:
        """At least a tick of the kernel's clock, by which it counts: a tiny load may cost less."""
        return max(TICK_SECONDS, self.cpu_seconds() - before)

    def rss_bytes(self) -> int:
        return int(self.process.memory_info().rss)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_open_files() -> int:
    """As many as this process may open, and those that it starts; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(soft, 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


@asynccontextmanager
async def server(database_url: str, http: aiohttp.ClientSession, **settings: str) -> AsyncIterator[Server]:
    """A replica with a user of its own. `settings` are variables of its configuration."""
    raise_open_files()
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "WEBEDT_ENV": "test",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "error",
        "AUTH_RATE_LIMIT_PER_MINUTE": "0",
        "LB_DRAIN_DELAY_SECONDS": "0",
        "SHUTDOWN_TIMEOUT_SECONDS": "0",
        "MAX_STREAMS_PER_USER": "100000",
        "MAX_ACTIVE_RUNS": "1000",
        **settings,
    }
    started = time.perf_counter()
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "webedt", "serve", env=environment)
    try:
        base = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(30):
            while not await _is_ready(http, base):
                if child.returncode is not None:
                    raise AssertionError(f"`webedt serve` ended with {child.returncode}")
                await asyncio.sleep(0.01)
        ready = time.perf_counter() - started
        account = {"email": f"{secrets.token_hex(6)}@bench.local", "password": "bench-password"}
        async with http.post(f"{base}/api/auth/register", json=account) as answer:
            token = answer.cookies["webedt_session"].value
        yield Server(psutil.Process(child.pid), port, {"Authorization": f"Bearer {token}"}, ready)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _is_ready(http: aiohttp.ClientSession, base: str) -> bool:
    try:
        async with http.get(f"{base}/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def floor(kind: str) -> AsyncIterator[Server]:
    """The process of `tests.bench.floor`."""
    async with _listening("tests.bench.floor", kind) as process:
        yield process


@asynccontextmanager
async def naive(database_url: str) -> AsyncIterator[Server]:
    """The process of `tests.bench.naive`."""
    async with _listening("tests.bench.naive", arguments=(database_url,)) as process:
        yield process


@asynccontextmanager
async def upstream() -> AsyncIterator[Server]:
    """The process of `tests.bench.upstream`."""
    async with _listening("tests.bench.upstream") as process:
        yield process


@asynccontextmanager
async def _listening(module: str, *kind: str, arguments: tuple[str, ...] = ()) -> AsyncIterator[Server]:
    raise_open_files()
    port = free_port()
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *kind, str(port), *arguments)
    try:
        async with asyncio.timeout(30):
            while not await _listens(port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        yield Server(psutil.Process(child.pid), port, {})
    finally:
        child.kill()
        await child.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
