"""The instances of `webedt dev`: child processes that are started, started again when they crash, and stopped."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

STOP_TIMEOUT_SECONDS = 45  # what `serve` takes at most by default, and some more
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STABLE_AFTER_SECONDS = 30.0  # who ran for so long has not crashed at its start

PR_SET_PDEATHSIG = 1  # of prctl(2)


class Instance:
    """One `webedt serve` on its own port."""

    def __init__(self, name: str, port: int, environment: Mapping[str, str]) -> None:
        self.name = name
        self._environment = {**environment, "CONTAINER_ID": name, "PORT": str(port)}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._start_again_at: float | None = None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or before it was ever started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process in a group of its own: Ctrl-C must reach the parent alone, which stops things in order."""
        self._start_again_at = None
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "webedt", "serve"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # safe: this process has no threads
        )

    def restart_if_ended(self) -> None:
        """Start a crashed process again after a pause, which doubles as long as it crashes early."""
        if self.exit_code is None:
            return
        now = time.monotonic()
        if self._start_again_at is None:
            if now - self._started_at > STABLE_AFTER_SECONDS:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            self._start_again_at = now + self._pause_seconds
            print(f"{self.name} ended with code {self.exit_code}; again in {self._pause_seconds:g} s", flush=True)
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        elif now >= self._start_again_at:
            self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM; harmless to a process that has ended."""
        if self._process:
            self._process.terminate()

    def wait(self, timeout_seconds: float) -> None:
        """Wait for the end, and bring it about after `timeout_seconds`."""
        if self._process is None:
            return
        try:
            self._process.wait(max(timeout_seconds, 0))
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not stop; killing it", flush=True)
            self._process.kill()
            self._process.wait()


class Instances:
    """All instances: started when the block begins, stopped together when it ends."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances

    def __enter__(self) -> Self:
        for instance in self._instances:
            instance.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for instance in self._instances:
            instance.ask_to_stop()
        try:
            for instance in self._instances:
                instance.wait(deadline - time.monotonic())
        except KeyboardInterrupt:  # asked a second time
            for instance in self._instances:
                instance.wait(0)

    def ended(self) -> Instance | None:
        """One that does not run any more, if there is one."""
        return next((instance for instance in self._instances if instance.exit_code is not None), None)

    def restart_ended(self) -> None:
        """Start again whatever crashed; to be called often."""
        for instance in self._instances:
            instance.restart_if_ended()


def _end_with_parent() -> None:
    """Linux only, in the child: SIGTERM when the parent dies, however it dies; else its ports would stay taken."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
