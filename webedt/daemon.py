"""A replica's life on one page: listen, start, serve, drain, stop.

It listens before it starts, so that `/live` answers while the database is away. On SIGTERM: not ready → (the balancer
notices) → streams end cleanly → runs are handed over or finish, files that are being moved pass → services stop →
exit 0. A second signal skips waits.
"""

import asyncio
import errno
import signal
import time
from typing import Any

import structlog
from aiohttp import web

from webedt.composition import Replica, compose
from webedt.config import Settings
from webedt.fleet.heartbeat import AHeartbeat
from webedt.http.stream_registry import AStreams
from webedt.kernel import Background
from webedt.services.execution import AExecution

CLOSE_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 75.0  # longer than balancers keep theirs, so that they never use one that is being closed


class CannotListen(Exception):
    """The port is taken, or the address is not ours."""


async def serve(settings: Settings) -> int:
    """Run one replica until a signal; returns the exit status. Raises `CannotListen`."""
    return await Daemon(compose(settings)).run()


class Daemon:
    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._told_to_stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._exit_status = 0
        self._background = Background()
        self._log = structlog.get_logger(component="daemon")

    async def run(self) -> int:
        replica = self._replica
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._task_crashed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        # Cancellation: a stream's handler ends at once when its client leaves. Changes are carried to their end.
        runner = web.AppRunner(
            replica.application,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=CLOSE_SECONDS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        await runner.setup()
        try:
            await self._listen(runner)
            if runner.server is not None:
                self._background.start("doorkeeper", replica.doorkeeper.watch(runner.server))
            await self._until_told(replica.provider.initialize())
            if not self._told_to_stop.is_set():
                replica.lifecycle.initialized = True
                self._log.info(
                    "replica_started", port=replica.settings.port, instance=str(replica.identity.instance_id)
                )
                await self._told_to_stop.wait()
                await self._drain()
        finally:
            await self._background.stop()
            await runner.cleanup()
            await replica.pipeline.finish()
            await replica.provider.reset()
        self._log.info("replica_stopped", exit_status=self._exit_status)
        return self._exit_status

    async def _listen(self, runner: web.AppRunner) -> None:
        settings = self._replica.settings
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotListen(f"port {settings.port} is taken; choose another with PORT or --port") from error
            raise CannotListen(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error

    async def _until_told(self, starting: Any) -> None:
        """Start the services, unless a signal comes first."""
        start = asyncio.ensure_future(starting)
        told = asyncio.ensure_future(self._told_to_stop.wait())
        await asyncio.wait({start, told}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)
        try:
            await start
        except asyncio.CancelledError:
            if not self._told_to_stop.is_set():
                raise

    async def _drain(self) -> None:
        replica, settings = self._replica, self._replica.settings
        replica.lifecycle.draining = True
        replica.provider.get(AHeartbeat).drain()
        self._log.info("draining", seconds=settings.lb_drain_delay_seconds)
        await self._pause(settings.lb_drain_delay_seconds)
        await replica.provider.get(AStreams).drain()
        grace = 0.0 if self._hurry.is_set() else settings.shutdown_timeout_seconds
        until = time.monotonic() + grace
        await replica.provider.get(AExecution).hand_over(grace, self._hurry)
        await replica.transfers.drain(until - time.monotonic(), self._hurry)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _signalled(self) -> None:
        if self._told_to_stop.is_set():
            self._hurry.set()
        self._told_to_stop.set()

    def _task_crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A replica without its writer or its heartbeat is worse than none: stop, and be started anew."""
        if "crashed_task" in context:
            self._log.error("task_crashed", task=context["crashed_task"], exc_info=context.get("exception"))
            self._exit_status = 1
            self._told_to_stop.set()
            self._hurry.set()
        else:
            loop.default_exception_handler(context)
