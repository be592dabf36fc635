"""A fleet of real replicas: `python -m webedt serve` processes on one database, to be killed, frozen and restarted.

Nothing here outlives the process that started it: the kernel kills a replica, also a frozen one, when its parent dies.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from tests.support.pooling import environment_to
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-that-all-replicas-of-a-test-share"
PASSWORD = "correct horse battery staple"
LOOK_SECONDS = 0.02
READY_SECONDS = 60.0

# Runs in the child before the program: dies with its parent, however that dies. PR_SET_PDEATHSIG outlives execv.
LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def leashed(*arguments: str) -> list[str]:
    """The command for `python ARGUMENTS` that ends with this process (on Linux)."""
    if sys.platform != "linux":
        return [sys.executable, *arguments]
    return [sys.executable, "-c", LEASH, str(os.getpid()), *arguments]


async def eventually(condition: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = 30.0) -> Any:
    """The first true answer of `condition`; fails by name when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(LOOK_SECONDS)


class Replica:
    """One replica on its own port; it keeps port, name and log file over all its restarts."""

    def __init__(self, name: str, port: int, environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.port = port
        self.url = self.own_url = f"http://127.0.0.1:{self.port}"
        """Where it is asked, and where it is asked about itself: the two differ behind a balancer."""
        self._environment = {**environment, "CONTAINER_ID": name, "PORT": str(self.port)}
        self._log = logs / f"{name}-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, **environment: str) -> None:
        """Settings that hold from its next start on."""
        self._environment = {**self._environment, **environment}

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed("-m", "webedt", "serve"),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError(f"{self.name} was not started")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.process.terminate()

    async def ended(self, seconds: float = 60.0) -> int:
        """The exit status, once it has ended by itself."""
        await eventually(lambda: self.process.poll() is not None, f"{self.name} ends", seconds)
        return self.process.returncode

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def logged(self, event: str) -> list[str]:
        """The lines of the log with that event name."""
        return [line for line in self.log().splitlines() if f" {event} " in f"{line} "]

    async def probe(self, path: str) -> tuple[int, Any]:
        """Status and body of a probe such as `/ready`; status 0 when nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
                http.get(self.own_url + path) as answer,
            ):
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, None

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        async def answers() -> bool:
            if not self.running:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            return (await self.probe("/ready"))[0] == 200

        await eventually(answers, f"{self.name} is ready; its log ends:\n{self.log()[-2000:]}", seconds)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.own_url}/metrics") as answer:
            text = await answer.text()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(item in line for item in wanted))


class Fleet:
    """Replicas `r1`, `r2`, … and a user that they all know. `database_urls` may differ: one may go through a proxy."""

    def __init__(self, logs: Path, database_urls: list[str], lease_seconds: float, environment: Mapping[str, str]):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "WEBEDT"))}
        self.lease_seconds = lease_seconds
        self.token = ""
        self.replicas = [
            Replica(
                f"r{number}",
                free_port(),
                {
                    **inherited,
                    **environment_to(url),
                    "WEBEDT_ENV": "test",
                    "SESSION_SECRET": SECRET,
                    "HOST": "127.0.0.1",
                    "LEASE_SECONDS": f"{lease_seconds:g}",
                    "LB_DRAIN_DELAY_SECONDS": "0",
                    "AUTH_RATE_LIMIT_PER_MINUTE": "0",
                    "MAX_STREAMS_PER_USER": "100000",
                    # Two workers of a run may each have three replicas on a server that takes a hundred connections.
                    "DB_POOL_MAX": "8",
                    **environment,
                },
                logs,
            )
            for number, url in enumerate(database_urls, 1)
        ]

    def __getitem__(self, index: int) -> Replica:
        return self.replicas[index]

    def others(self, replica: Replica) -> list[Replica]:
        return [one for one in self.replicas if one is not replica]

    def named(self, name: str) -> Replica:
        return next(replica for replica in self.replicas if replica.name == name)

    async def all_ready(self) -> None:
        await asyncio.gather(*(replica.ready() for replica in self.replicas))

    async def register(self) -> None:
        """Make the user whose token `caller` uses from then on."""
        self.token = await self.new_user()

    async def new_user(self, replica: Replica | None = None) -> str:
        """The token of a user that was not there before, made by this replica or the first."""
        async with aiohttp.ClientSession() as http:
            body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
            async with http.post(f"{(replica or self.replicas[0]).url}/api/auth/register", json=body) as answer:
                if answer.status != 201:
                    raise AssertionError(await answer.text())
                return answer.cookies["webedt_session"].value

    @contextlib.asynccontextmanager
    async def caller(self, token: str = "") -> AsyncIterator["Caller"]:
        """An HTTP client with the user's login, or that of another, and as many connections as it is asked for."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as http:
            yield Caller(http)

    def stop(self) -> None:
        for replica in self.replicas:
            replica.kill()


@contextlib.asynccontextmanager
async def start_fleet(
    database_url: str | list[str],
    replicas: int = 2,
    *,
    lease_seconds: float = 2.0,
    wait: bool = True,
    logs: Path | None = None,
    **environment: str,
) -> AsyncIterator[Fleet]:
    """A fleet for the time of the block: its replicas are ready and its user is registered, unless `wait` is off.

    What they log goes to the folder `logs`, if one is given, and is kept there.
    """
    urls = [database_url] * replicas if isinstance(database_url, str) else database_url
    with tempfile.TemporaryDirectory(prefix="webedt-fleet-") as folder:
        fleet = Fleet(
            logs or Path(folder), urls, lease_seconds, {"STORAGE_URL": Path(folder, "files").as_uri(), **environment}
        )
        try:
            for replica in fleet.replicas:
                replica.start()
            if wait:
                await fleet.all_ready()
                await fleet.register()
            yield fleet
        finally:
            fleet.stop()


@dataclass(frozen=True)
class Run:
    session_id: str
    run_id: str


class Caller:
    """Requests to any replica, as the fleet's user."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def call(
        self, method: str, replica: Replica, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body, if it is JSON."""
        limits = aiohttp.ClientTimeout(total=60)
        async with self.http.request(method, replica.url + path, json=body, headers=headers, timeout=limits) as answer:
            said_by_us = answer.content_type.endswith("json")  # and not by a balancer
            return answer.status, await answer.json(content_type=None) if said_by_us else None

    async def start(self, replica: Replica, prompt: str, **more: Any) -> Run:
        """Start a run there without following it."""
        body = {"userRequest": prompt, "provider": "simulated", **more}
        status, answer = await self.call(
            "POST", replica, "/api/execute-remote", body, {"Prefer": "respond-async", "Idempotency-Key": uuid4().hex}
        )
        if status != 202:
            raise AssertionError(f"{replica.name} answered {status}: {answer}")
        return Run(answer["sessionId"], answer["runId"])

    async def start_somewhere(self, replicas: list[Replica], prompt: str, **more: Any) -> Run:
        """Start a run as a client behind a balancer does: the same request again, elsewhere, until it is accepted."""
        body = {"userRequest": prompt, "provider": "simulated", **more}
        headers = {"Prefer": "respond-async", "Idempotency-Key": uuid4().hex}
        deadline = time.monotonic() + 60
        number = 0
        while time.monotonic() < deadline:
            replica = replicas[number % len(replicas)]
            number += 1
            try:
                status, answer = await self.call("POST", replica, "/api/execute-remote", body, headers)
            except (aiohttp.ClientError, OSError):
                status, answer = 0, None
            if status == 202:
                return Run(answer["sessionId"], answer["runId"])
            if status not in (0, 502, 503):  # 502: a balancer lost the replica before it had answered
                raise AssertionError(f"{replica.name} answered {status}: {answer}")
            await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError("no replica accepted the prompt within 60 s")

    async def send(self, replica: Replica, session_id: str, message: str, **more: Any) -> tuple[int, Any]:
        return await self.call("POST", replica, f"/api/sessions/{session_id}/send", {"message": message, **more})

    async def interrupt(self, replica: Replica, run: Run) -> int:
        path = f"/api/sessions/{run.session_id}/interrupt"
        return (await self.call("POST", replica, path, {"runId": run.run_id}))[0]

    async def pages(self, replica: Replica, session_id: str) -> list[dict[str, Any]]:
        """All events of a session by the JSON pages."""
        events: list[dict[str, Any]] = []
        while True:
            after = events[-1]["id"] if events else 0
            status, page = await self.call("GET", replica, f"/api/sessions/{session_id}/events?after={after}")
            if status != 200:
                raise AssertionError(f"{replica.name} answered {status}: {page}")
            if not page["events"]:
                return events
            events += page["events"]
