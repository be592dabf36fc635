"""Waiting for an upstream, and for nothing else."""

import asyncio
from contextlib import closing

import pytest

from webedt.providers.patience import Patience


async def test_only_waits_are_measured_and_each_by_its_own_deadline() -> None:
    clock = asyncio.get_running_loop().time
    with closing(Patience()) as patience:
        assert await patience.wait(asyncio.sleep(0.01, "later"), clock() + 0.05) == "later"
        await asyncio.sleep(0.1)  # not a wait of ours
        assert await patience.wait(asyncio.sleep(0.02, "again"), clock() + 10) == "again"
        with pytest.raises(TimeoutError):
            await patience.wait(asyncio.sleep(5), clock() + 0.05)  # sooner than the timer that is set
        assert await patience.wait(asyncio.sleep(0.06, "and again"), clock() + 1) == "and again"


async def test_whoever_is_cancelled_by_others_stays_cancelled() -> None:
    clock = asyncio.get_running_loop().time
    with closing(Patience()) as patience:
        waiting = asyncio.create_task(patience.wait(asyncio.sleep(5), clock() + 0.02))
        # Both at once: the deadline has passed and somebody else cancels.
        asyncio.get_running_loop().call_at(clock() + 0.02, waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_what_comes_in_the_very_moment_of_the_deadline_leaves_nothing_behind() -> None:
    loop = asyncio.get_running_loop()
    with closing(Patience()) as patience:
        for _ in range(50):
            due = loop.time() + 0.002
            coming = loop.create_future()
            loop.call_at(due, coming.set_result, "just in time")
            try:
                assert await patience.wait(coming, due) == "just in time"
            except TimeoutError:
                coming.cancel()
            await asyncio.sleep(0)  # a cancellation that came too late would strike here
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
