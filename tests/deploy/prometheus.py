"""A Prometheus server with the configuration and the rules that are shipped, scraping replicas of a test.

What is changed for a test, and nothing else: who is scraped stands in a file, and time is shorter. An hour of the rules
(how long something has to last, how far they look back) may be half a minute; what they ask is the same.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.fleet import Replica, eventually
from tests.support.ports import free_port
from tests.support.redis_server import LEASH

DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"
CONFIGURATION = DEPLOYED / "prometheus.yml"
RULES = DEPLOYED / "rules" / "webedt.yml"
UNIT_TESTS = sorted((DEPLOYED / "tests").glob("*.yml"))
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def program(name: str) -> str:
    """`prometheus` or `promtool`; without them the test is skipped, or fails where `REQUIRE_SERVERS` is 1."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed (apt-get install prometheus)"
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def hastened(rules: str, speed: float) -> str:
    """The same rules in another time: each `for: 5m` and each `[5m]` divided by `speed`."""

    def shorter(found: re.Match[str]) -> str:
        milliseconds = int(found["number"]) * SECONDS[found["unit"]] * 1000 / speed
        return f"{found['before']}{milliseconds:.0f}ms"

    return re.sub(r"(?P<before>\bfor: |\[)(?P<number>\d+)(?P<unit>[smhd])\b", shorter, rules)


class Prometheus:
    """One server; what it found is asked by its HTTP API."""

    def __init__(self, folder: Path, *, scrape_seconds: float, speed: float) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._scrape = f"{scrape_seconds * 1000:.0f}ms"
        self._speed = speed
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"127.0.0.1:{free_port()}"
        self.seen: set[str] = set()
        """The names of all alerts that fired while `fires` looked."""

    def discover(self, replicas: Sequence[Replica]) -> None:
        """Whom it scrapes from now on."""
        targets = [f"127.0.0.1:{replica.port}" for replica in replicas]
        written = self._folder / "targets.new"
        written.write_text(json.dumps([{"targets": targets}]))
        written.rename(self._folder / "targets.json")

    def configure(self) -> None:
        found: Any = yaml.safe_load(CONFIGURATION.read_text())
        found["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), self._scrape)
        [job] = [one for one in found["scrape_configs"] if one["job_name"] == "webedt"]
        del job["dns_sd_configs"]
        job |= {"file_sd_configs": [{"files": ["targets.json"]}], "scrape_timeout": self._scrape}
        found["scrape_configs"] = [job]
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(found))
        (self._folder / "rules").mkdir()
        (self._folder / "rules" / RULES.name).write_text(hastened(RULES.read_text(), self._speed))

    def start(self) -> None:
        command = [
            program("prometheus"),
            f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address={self._address}",
            "--log.level=warn",
        ]
        if sys.platform == "linux":
            command = [sys.executable, "-c", LEASH, str(os.getpid()), *command]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def ready(self) -> None:
        async def answers() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise AssertionError((self._folder / "prometheus.log").read_text())
            with contextlib.suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as http, http.get(f"http://{self._address}/-/ready") as answer:
                    return answer.status == 200
            return False

        await eventually(answers, "Prometheus is ready")

    async def ask(self, path: str, **parameters: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}"
        async with aiohttp.ClientSession() as http, http.get(url, params=parameters) as answer:
            body = await answer.json()
        if body["status"] != "success":
            raise AssertionError(f"{parameters}: {body}")
        return body["data"]

    async def query(self, expression: str) -> list[Any]:
        """The series of an instant, as the API gives them."""
        found: list[Any] = (await self.ask("query", query=expression))["result"]
        return found

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = (await self.ask("alerts"))["alerts"]
        firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        self.seen |= firing
        return firing

    async def fires(self, *names: str, seconds: float = 30.0) -> None:
        """Return once each of these has fired, from now on."""
        missing = set(names)

        async def all_did() -> bool:
            missing.difference_update(await self.firing())
            return not missing

        await self._look(all_did, lambda: f"{sorted(missing)} fire", seconds)

    async def quiet(self, but: Collection[str] = (), seconds: float = 30.0) -> None:
        """Return once nothing fires any more, but perhaps these."""
        loud: set[str] = set()

        async def nothing() -> bool:
            loud.clear()
            loud.update(await self.firing() - set(but))
            return not loud

        await self._look(nothing, lambda: f"{sorted(loud)} are over", seconds)

    async def _look(self, done: Callable[[], Any], what: Callable[[], str], seconds: float) -> None:
        try:
            await eventually(done, "", seconds)
        except AssertionError:
            raise AssertionError(f"not within {seconds:g} s: {what()}; fired so far: {sorted(self.seen)}") from None


@contextlib.asynccontextmanager
async def scraping(
    replicas: Sequence[Replica], folder: Path, *, scrape_seconds: float, speed: float
) -> AsyncIterator[Prometheus]:
    """A server for the time of the block."""
    server = Prometheus(folder, scrape_seconds=scrape_seconds, speed=speed)
    server.discover(replicas)
    server.configure()
    await asyncio.to_thread(server.start)
    try:
        await server.ready()
        yield server
    finally:
        server.stop()
