"""HAProxy with the configuration that is shipped, in front of replicas that a name server lists.

All replicas have one port and an address each, as in a network of containers, on the loopback interface.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.names import NameServer
from tests.support.fleet import Fleet, Replica, eventually
from tests.support.ports import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
ACTIVE_SERVERS = re.compile(r'^haproxy_backend_active_servers\{proxy="replicas"\} (\d+)', re.MULTILINE)


def haproxy() -> str:
    """The program; without one the test is skipped, or fails where `REQUIRE_SERVERS` is 1."""
    path = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if path is None:
        reason = "haproxy is not installed (apt-get install haproxy)"
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class AddressedReplica(Replica):
    """A replica that listens on an address of its own."""

    def __init__(self, address: str, port: int, like: Replica, logs: Path) -> None:
        super().__init__(like.name, port, {**like._environment, "HOST": address}, logs)
        self.address = address
        self.url = self.own_url = f"http://{address}:{port}"


class AddressedFleet(Fleet):
    """`r1` on 127.0.0.2, `r2` on 127.0.0.3, …"""

    def __init__(self, logs: Path, database_urls: list[str], lease_seconds: float, environment: Mapping[str, str]):
        super().__init__(logs, database_urls, lease_seconds, {"TRUSTED_PROXIES": "127.0.0.0/8", **environment})
        port = free_port()
        addressed = [AddressedReplica(f"127.0.0.{n + 2}", port, one, logs) for n, one in enumerate(self.replicas)]
        self.port = port
        self.addresses = [replica.address for replica in addressed]
        self.replicas = list(addressed)

    def reached_through(self, balancer: "Balancer") -> None:
        """Whatever a replica is asked for goes to the balancer from now on; only what it says of itself it is asked."""
        for replica in self.replicas:
            replica.url, replica.port = balancer.url, balancer.port


class Balancer:
    """Where HAProxy listens; `Caller` and `Reader` take it for a replica."""

    def __init__(self, log: Path) -> None:
        self.name = "haproxy"
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.status_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.status_url = f"http://127.0.0.1:{self.status_port}"
        self._log = log

    def start(self, environment: Mapping[str, str]) -> None:
        command = [haproxy(), "-db", "-f", str(CONFIGURATION)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def servers_up(self) -> int:
        """How many replicas get requests; -1 while it does not say."""
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"HAProxy has ended:\n{self.log()}")
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.status_url}/metrics") as answer:
                found = ACTIVE_SERVERS.search(await answer.text())
        except aiohttp.ClientError:
            return -1
        return int(found[1]) if found else -1

    async def serves(self, replicas: int) -> None:
        """Return once so many replicas get requests."""

        async def up() -> bool:
            return await self.servers_up() == replicas

        await eventually(up, f"{replicas} replicas are up")

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextlib.asynccontextmanager
async def balanced(names: NameServer, backend_port: int, logs: Path) -> AsyncIterator[Balancer]:
    """HAProxy for the time of the block, checking ten times as often as it does where it is deployed."""
    balancer = Balancer(logs / "haproxy.log")
    environment = {
        "LISTEN_PORT": str(balancer.port),
        "STATUS_PORT": str(balancer.status_port),
        "BACKEND_PORT": str(backend_port),
        "NAME_SERVER": f"127.0.0.1:{names.port}",
        "CHECK_INTERVAL": "100ms",
        "MAX_CONNECTIONS": "500",
    }
    balancer.start(environment)
    try:
        yield balancer
    finally:
        balancer.stop()


@contextlib.asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[NameServer]:
    names = NameServer(*addresses)
    await names.start()
    try:
        yield names
    finally:
        names.stop()


@contextlib.asynccontextmanager
async def start_balanced_fleet(
    database_urls: list[str], *, lease_seconds: float = 2.0, logs: Path | None = None, **environment: str
) -> AsyncIterator[AddressedFleet]:
    """As `start_fleet`, but readers and callers know the balancer only: to them any replica is as good as another."""
    with tempfile.TemporaryDirectory(prefix="webedt-balanced-") as name:
        folder = Path(name)
        usual = {"STORAGE_URL": (folder / "files").as_uri(), "LB_DRAIN_DELAY_SECONDS": "1"}
        fleet = AddressedFleet(logs or folder, database_urls, lease_seconds, {**usual, **environment})
        try:
            for replica in fleet.replicas:
                replica.start()
            async with (
                name_server(*fleet.addresses) as names,
                balanced(names, fleet.port, logs or folder) as balancer,
            ):
                await fleet.all_ready()
                await balancer.serves(len(fleet.replicas))
                fleet.reached_through(balancer)
                await fleet.register()
                yield fleet
        finally:
            fleet.stop()
