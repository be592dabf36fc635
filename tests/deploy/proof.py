"""What the built image does when it is started, asked from outside."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from tests.deploy.container import Container, started
from tests.deploy.findings import Findings
from tests.deploy.rootfs import Built
from tests.support.fleet import PASSWORD, SECRET, eventually
from tests.support.ports import free_port

NOWHERE = "postgresql://postgres@127.0.0.1:1/nothing"
DRAIN_SECONDS, FINISH_SECONDS = 0.5, 3.0
PROMPTS = 4
# A command that leaves children in sessions of their own behind, whom nobody but process 1 asks how they ended.
LEAVES_ORPHANS = ["sh", "-c", "cat >/dev/null; for n in 1 2; do (setsid sleep 60 >/dev/null 2>&1 &); done; echo done"]


class Proof:
    """Everything is asked of `image`; containers log into `folder`."""

    def __init__(self, findings: Findings, image: Built, folder: Path) -> None:
        self._findings, self._image, self._folder = findings, image, folder
        self._port = free_port()

    async def without_database(self) -> None:
        check = self._findings.check
        with self._start(["serve"], NOWHERE) as container:
            self._findings.measure("start to /live", f"{await self._up(container, '/live'):.1f} s")
            status, body = await self._get("/ready")
            check("without a database it lives and is not ready", status == 503, body)
            check("its HEALTHCHECK passes: it is to wait, not to be restarted", self._healthcheck(container) == 0)
            check("SIGTERM ends it with 0", (await self._ended(container))[0] == 0)
        with self._start(["serve"], "") as container:
            status = await asyncio.to_thread(container.process.wait, 30)
            check("a fault in the configuration ends it with 2, by name", status == 2, container.log.strip())

    async def migration(self, database_url: str) -> None:
        for times in ("once", "again"):
            with self._start(["migrate"], database_url) as container:
                status = await asyncio.to_thread(container.process.wait, 60)
                self._findings.check(f"`migrate` {times} ends with 0", status == 0, container.log.strip()[-80:])

    async def replica(self, database_url: str, build: Mapping[str, str]) -> None:
        check = self._findings.check
        with self._start(["serve"], database_url) as container:
            self._findings.measure("start to /ready", f"{await self._up(container, '/ready'):.1f} s")
            health = json.loads((await self._get("/health/status"))[1])
            check("/health/status says what was built", list(health["build"].values()) == list(build.values()))
            commit = f'commit="{build["BUILD_COMMIT_SHA"]}"'
            check("webedt_build_info says so too", commit in (await self._get("/metrics"))[1])
            status, page = await self._get("/")
            check("/ is the web page", status == 200 and page.lstrip().lower().startswith("<!doctype html"))
            identity = container.execute("id", "-u").stdout.strip()
            rights = container.execute("sh", "-c", "grep CapEff /proc/1/status").stdout.split()[-1]
            check("it is user 10001 without one capability", identity == "10001" and int(rights, 16) == 0)
            written = container.execute("sh", "-c", "touch /opt/webedt/x /etc/x /x")
            check("nothing but /tmp can be written", written.returncode != 0 and "Read-only" in written.stderr)
            async with self._logged_in() as http:
                body = {"userRequest": "[[tokens=60 rate=0]]", "provider": "simulated"}
                async with http.post("/api/execute-remote", json=body) as answer:
                    stream = await answer.text()
                check("a prompt is answered by a stream", "event: completed" in stream)
            check("its HEALTHCHECK passes", self._healthcheck(container) == 0)
            check("its HEALTHCHECK fails where nobody answers", self._healthcheck(container, PORT="1") != 0)
            status, seconds = await self._ended(container)
            grace = DRAIN_SECONDS + FINISH_SECONDS + 30
            check("SIGTERM ends it with 0 within the grace period", status == 0 and seconds < grace, f"{seconds:.1f} s")

    async def orphans(self, database_url: str) -> None:
        """With process 1 of the image, and without: else the finding would mean nothing."""
        tini = self._image.said["ENTRYPOINT"].words[:-1]
        left = {}
        for first in (tini, []):
            command = {"COMMAND_PROVIDER": json.dumps(LEAVES_ORPHANS)}
            with self._start(["serve"], database_url, [*first, "webedt"], command) as container:
                await self._up(container, "/ready")
                async with self._logged_in() as http:
                    for _ in range(PROMPTS):
                        body = {"userRequest": "x", "provider": "command"}
                        async with http.post("/api/execute-remote", json=body) as answer:
                            stream = await answer.text()
                        if "event: completed" not in stream:
                            raise AssertionError(stream)
                left[bool(first)] = container.zombies()
        seen = f"{left[True]}; {left[False]} without tini, after {PROMPTS} prompts"
        self._findings.check("no ended process piles up", left[True] == 0 < left[False], seen)

    # ------------------------------------------------------------------------------------------------------------------

    def _start(
        self, arguments: list[str], database_url: str, entrypoint: list[str] | None = None, more: Any = None
    ) -> Any:
        environment = {
            "DATABASE_URL": database_url,
            "SESSION_SECRET": SECRET,
            "CONTAINER_ID": "image",
            "PORT": str(self._port),
            "LB_DRAIN_DELAY_SECONDS": str(DRAIN_SECONDS),
            "SHUTDOWN_TIMEOUT_SECONDS": str(FINISH_SECONDS),
            "SIMULATED_PROVIDER": "on",
            **(more or {}),
        }
        chosen = self._image.said["ENTRYPOINT"].words if entrypoint is None else entrypoint
        log = self._folder / f"{uuid4().hex}.log"
        return started(self._image, [*chosen, *arguments], environment, log)

    async def _get(self, path: str) -> tuple[int, str]:
        """Status 0: nobody answers."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self._port}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    def _logged_in(self) -> "LoggedIn":
        return LoggedIn(f"http://127.0.0.1:{self._port}")

    async def _up(self, container: Container, path: str) -> float:
        began = time.monotonic()

        async def answers() -> bool:
            if container.process.poll() is not None:
                raise AssertionError(f"it ended with {container.process.returncode}:\n{container.log}")
            return (await self._get(path))[0] == 200

        await eventually(answers, f"{path} answers:\n{container.log}", 60)
        return time.monotonic() - began

    def _healthcheck(self, container: Container, **more: str) -> int:
        return container.execute(*self._image.said["HEALTHCHECK"].command, **more).returncode

    async def _ended(self, container: Container) -> tuple[int, float]:
        """Exit status and seconds, after SIGTERM."""
        began = time.monotonic()
        container.signal(signal.SIGTERM)
        return await asyncio.to_thread(container.process.wait, 60), time.monotonic() - began


class LoggedIn:
    """An HTTP client with a login of its own."""

    def __init__(self, url: str) -> None:
        self._http = aiohttp.ClientSession(url)

    async def __aenter__(self) -> aiohttp.ClientSession:
        body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        async with self._http.post("/api/auth/register", json=body) as answer:
            token = answer.cookies["webedt_session"].value
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self._http

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
