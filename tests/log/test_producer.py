"""A run's side of the log: what it may hand over, what it is told, and when it has to wait."""

import asyncio
from uuid import uuid4

import pytest

from tests.support.log_harness import within
from tests.support.waiting import eventually
from webedt.domain.events import NewEvent
from webedt.log.producer import MAX_GATHERED_BYTES, MAX_GATHERED_EVENTS, ProducerClosed, RunLog, StaleFence


class Run:
    """A producer whose writer is the test."""

    def __init__(self) -> None:
        self.readied = 0
        self.log = RunLog(uuid4(), uuid4(), 1, self._ready)

    def _ready(self, _log: RunLog) -> None:
        self.readied += 1


def events(count: int, size: int = 1) -> list[NewEvent]:
    return [NewEvent("text_delta", "x" * size) for _ in range(count)]


async def fill(run: Run) -> asyncio.Task[None]:
    """Hand over as much as there is room for; returns the append that has to wait."""
    await within(run.log.append(events(MAX_GATHERED_EVENTS)))
    waiting = asyncio.create_task(run.log.append(events(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def test_a_run_waits_while_the_buffer_is_full_and_goes_on_when_the_writer_takes_it() -> None:
    run = Run()
    waiting = await fill(run)
    entry = run.log.take()
    assert entry is not None
    await within(waiting)
    assert len(entry.events) == MAX_GATHERED_EVENTS
    assert run.log.handed_over == MAX_GATHERED_EVENTS + 1


async def test_the_buffer_is_bounded_in_bytes_too() -> None:
    run = Run()
    await within(run.log.append(events(2, MAX_GATHERED_BYTES // 2)))
    waiting = asyncio.create_task(run.log.append(events(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    run.log.take()
    await within(waiting)


async def test_a_run_that_never_stops_writing_holds_no_more_than_the_bound_and_one_step() -> None:
    run = Run()
    step = 300

    async def write_for_ever() -> None:
        while True:
            await run.log.append(events(step))

    writing = asyncio.create_task(write_for_ever())
    taken = 0
    for _ in range(20):
        await eventually(lambda taken=taken: run.log.handed_over >= taken + MAX_GATHERED_EVENTS, "the buffer is full")
        entry = run.log.take()
        assert entry is not None
        assert len(entry.events) <= MAX_GATHERED_EVENTS + step
        taken = entry.last_ordinal
        run.log.acknowledge(entry, entry.first_ordinal)
    writing.cancel()


async def test_an_unanswered_entry_is_given_out_again_unchanged_while_newer_events_gather() -> None:
    run = Run()
    await run.log.append(events(2), checkpoint="1")
    entry = run.log.take()
    await run.log.append(events(3), checkpoint="2")
    assert run.log.take() is entry
    assert entry is not None
    assert (entry.first_ordinal, entry.last_ordinal, entry.checkpoint) == (1, 2, "1")
    run.log.acknowledge(entry, 10)
    following = run.log.take()
    assert following is not None
    assert (following.first_ordinal, following.last_ordinal, following.checkpoint) == (3, 5, "2")


async def test_the_writer_is_told_of_events_that_gathered_behind_an_unanswered_entry() -> None:
    run = Run()
    await run.log.append(events(1))
    assert run.readied == 1
    entry = run.log.take()
    assert entry is not None
    await run.log.append(events(1))
    assert run.readied == 1
    run.log.acknowledge(entry, 1)
    assert run.readied == 2
    assert run.log.take() is not None


async def test_the_checkpoint_of_gathered_steps_is_that_of_the_last_one_that_has_any() -> None:
    run = Run()
    await run.log.append(events(1), checkpoint="1", provider_state="a")
    await run.log.append(events(1), checkpoint="2")
    await run.log.append(events(1))
    entry = run.log.take()
    assert entry is not None
    assert (entry.checkpoint, entry.provider_state) == ("2", "a")


async def test_flush_returns_when_all_that_was_handed_over_before_it_is_durable() -> None:
    run = Run()
    await run.log.append(events(2))
    first = run.log.take()
    await run.log.append(events(2))
    flushing = asyncio.create_task(run.log.flush())
    await asyncio.sleep(0)
    await run.log.append(events(5))
    assert first is not None
    run.log.acknowledge(first, 1)
    await asyncio.sleep(0)
    assert not flushing.done()
    second = run.log.take()
    assert second is not None
    await run.log.append(events(1))  # later than the flush: not waited for
    run.log.acknowledge(second, 3)
    await within(flushing)


async def test_flush_of_nothing_returns_at_once() -> None:
    await within(Run().log.flush())


async def test_the_id_of_an_event_is_known_once_it_is_committed_wherever_its_entry_was_put() -> None:
    run = Run()
    await run.log.append(events(1))
    first = run.log.take()
    await run.log.append(events(1))
    next_one = run.log.expect_seq()
    third_from_here = run.log.expect_seq(2)
    await run.log.append(events(2))
    assert first is not None
    run.log.acknowledge(first, 7)
    assert not next_one.done()
    second = run.log.take()
    assert second is not None
    await run.log.append(events(1))
    run.log.acknowledge(second, 20)  # ordinals 2, 3, 4 became 20, 21, 22
    assert await within(next_one) == 21
    third = run.log.take()
    assert third is not None
    assert not third_from_here.done()
    run.log.acknowledge(third, 90)
    assert await within(third_from_here) == 90


async def test_failing_wakes_everybody_who_waits_with_the_first_reason() -> None:
    run = Run()
    seq = run.log.expect_seq(1)
    waiting = await fill(run)
    flushing = asyncio.create_task(run.log.flush())
    await asyncio.sleep(0)
    run.log.fail(StaleFence("taken over"))
    run.log.fail(ProducerClosed("later"))
    for waiter in (waiting, flushing, seq):
        with pytest.raises(StaleFence, match="taken over"):
            await within(waiter)
    with pytest.raises(StaleFence):
        await run.log.append(events(1))
    assert run.log.take() is None


async def test_a_producer_that_failed_after_all_was_durable_flushes_without_an_error() -> None:
    run = Run()
    await run.log.append(events(1))
    entry = run.log.take()
    assert entry is not None
    run.log.acknowledge(entry, 1)
    run.log.fail(StaleFence("taken over"))
    await within(run.log.flush())


async def test_nothing_is_appended_behind_the_event_that_ends_a_run() -> None:
    run = Run()
    await run.log.append([NewEvent("completed", "{}")], outcome="completed")
    with pytest.raises(ProducerClosed, match="ended"):
        await run.log.append(events(1))


async def test_a_run_that_ended_while_others_waited_for_room_takes_nothing_of_them_behind_its_end() -> None:
    run = Run()
    first = await fill(run)
    run.log.take()
    await within(first)
    await run.log.append([NewEvent("completed", "{}")], outcome="completed")
    late = asyncio.create_task(run.log.append(events(1)))
    with pytest.raises(ProducerClosed):
        await within(late)


async def test_a_checkpoint_without_events_is_sent_and_waited_for_too() -> None:
    run = Run()
    await run.log.append(events(2), checkpoint="1")
    first = run.log.take()
    await run.log.append([], checkpoint="2")
    assert first is not None
    run.log.acknowledge(first, 1)
    flushing = asyncio.create_task(run.log.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    second = run.log.take()
    assert second is not None
    assert (list(second.events), second.first_ordinal, second.last_ordinal, second.checkpoint) == ([], 3, 2, "2")
    run.log.acknowledge(second, 3)
    await within(flushing)
    assert run.log.take() is None
