"""A Redis of a test's own, to be killed, frozen and restarted: on a port of its own, and nothing is kept on disk.

Where no `redis-server` is installed the tests that need one are skipped; with `REQUIRE_SERVERS=1` they fail.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from tests.support.ports import free_port

START_SECONDS = 10.0
MISSING = "there is no redis-server here: install it (Debian: `apt-get install redis-server`)"

# As in `tests.support.fleet`: it dies with its parent, however that dies.
LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def redis_missing() -> str:
    """Why there can be no Redis here, or nothing. Fails where there has to be one."""
    if shutil.which("redis-server"):
        return ""
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(MISSING)
    return MISSING


def need_redis() -> None:
    """Skip the test where there is no Redis."""
    if missing := redis_missing():
        pytest.skip(missing)


class RedisServer:
    """`options`: of `redis-server`, such as `--requirepass`. Keeps its port over all its restarts."""

    def __init__(self, options: Sequence[str] = (), *, tls: bool = False) -> None:
        self.port = free_port()
        self.url = f"redis{'s' if tls else ''}://127.0.0.1:{self.port}/0"
        ports = ("--port", "0", "--tls-port", str(self.port)) if tls else ("--port", str(self.port))
        self._options = [*ports, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="webedt-redis-")

    def start(self) -> None:
        """Raises `FileNotFoundError` where none is installed."""
        if not shutil.which("redis-server"):
            raise FileNotFoundError("redis-server")
        command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self._options]
        if sys.platform == "linux":
            command = [sys.executable, "-c", LEASH, str(os.getpid()), *command]
        self._process = subprocess.Popen(
            command, cwd=self._folder.name, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("redis-server does not start")
            time.sleep(0.01)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def process(self) -> psutil.Process:
        if self._process is None:
            raise AssertionError("redis-server does not run")
        return psutil.Process(self._process.pid)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def redis_server(options: Sequence[str] = (), *, tls: bool = False) -> Iterator[RedisServer]:
    """A running one for the time of the block."""
    server = RedisServer(options, tls=tls)
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def any_redis() -> Iterator[str]:
    """The URL of a Redis that nobody breaks: that of `TEST_REDIS_URL`, or else one of its own."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    need_redis()
    with redis_server() as server:
        yield server.url
