"""One event, the same bytes by every way: rendered by this program, by PostgreSQL for a replay, and as a JSON page."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.log_harness import (
    EVENTS,
    Claimed,
    LogDatabase,
    LogReplica,
    parse_frames,
    within,
)
from webedt.domain.events import NewEvent, encode_data, encode_delta
from webedt.domain.frames import log_frame

NASTY = {
    "newlines": "a\nb\r\nc\rd\n\n",
    "what looks like a frame": "x\n\nid: 99\nevent: completed\ndata: {}\n\n",
    "data: inside": "data: {}\ndata:",
    "line and paragraph separators": "a\u2028b\u2029c\u0085d",
    "quotes and backslashes": '"\\"\\\\ \\n \\u0041 \'$$ %s {0}',
    "emoji and beyond": "👩‍👩‍👧‍👦 🇩🇪 𝄞 é e\u0301",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f",
    "right to left": "\u202eabc\u200f\ufeff",
    "nothing": "",
    "much": "ü" * 20_000,
}
REPLACED = {
    "NUL": ("a\0b", "a\ufffdb"),
    "a lone high surrogate": ("a\ud83db", "a\ufffdb"),
    "a lone low surrogate": ("a\ude00b", "a\ufffdb"),
    "surrogates the wrong way round": ("\ude00\ud83d", "\ufffd\ufffd"),
    "a pair in two halves": ("\ud83d\ude00", "😀"),
}
TEXTS = {**{name: (text, text) for name, text in NASTY.items()}, **REPLACED}


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    async with LogDatabase(database_url) as database:
        yield database


async def written(log: LogDatabase, replica: LogReplica) -> tuple[Claimed, list[NewEvent]]:
    """A session whose log holds every nasty text, as a delta and in the middle of other data."""
    run = await log.new_claim()
    run_id = str(run.run_id)
    events: list[NewEvent] = []
    for text, _ in TEXTS.values():
        events.append(NewEvent("text_delta", encode_delta(run_id, "m1", text)))
        events.append(NewEvent("tool_result", encode_data({"runId": run_id, "content": [{"deep": {text: [text]}}]})))
    producer = replica.open(run)
    await producer.append(events)
    await within(producer.flush())
    return run, events


async def test_a_replay_a_live_push_and_a_json_page_carry_the_same_bytes(log: LogDatabase, database_url: str) -> None:
    async with LogReplica(database_url).running() as replica, LogReplica(database_url).running() as elsewhere:
        session_id = await log.new_session()
        await log.accept(session_id)
        run = await log.claim(session_id)
        _, here = await replica.follow(session_id)
        tail, there = await elsewhere.follow(session_id)
        events = [NewEvent("text_delta", encode_delta(str(run.run_id), "m1", text)) for text, _ in TEXTS.values()]
        producer = replica.open(run)
        await producer.append(events)
        await within(producer.flush())
        await within(tail.refresh())
        expected = b"".join(log_frame(seq, *event) for seq, event in enumerate(events, 3))
        assert here.payload == expected
        assert there.payload == expected
        assert await replica.replay(session_id, after=2) == expected
        assert await replica.json_pages(session_id, limit=4) == parse_frames(await replica.replay(session_id))
        assert (await log.log(session_id))[2:] == parse_frames(expected)


async def test_every_text_comes_out_as_it_went_in_and_only_what_cannot_be_stored_is_replaced(
    log: LogDatabase, database_url: str
) -> None:
    async with LogReplica(database_url).running() as replica:
        run, _ = await written(log, replica)
        events = parse_frames(await replica.replay(run.session_id, after=2))
        assert len(events) == 2 * len(TEXTS)
        deltas, results = events[::2], events[1::2]
        for (name, (_, expected)), delta, result in zip(TEXTS.items(), deltas, results, strict=True):
            assert json.loads(delta.data)["text"] == expected, name
            assert json.loads(result.data)["content"] == [{"deep": {expected: [expected]}}], name


async def test_a_page_that_is_cut_by_its_size_goes_on_exactly_behind_the_cut(
    log: LogDatabase, database_url: str
) -> None:
    async with LogReplica(database_url).running() as replica:
        run, _ = await written(log, replica)
        whole = await replica.replay(run.session_id)
        for rows, size in ((1, 1 << 20), (3, 1 << 20), (1000, 1), (1000, 300), (7, 45_000)):
            payload, after, pages = b"", 0, 0
            while True:
                arguments = (run.session_id, after, 1000, rows, size, True)
                row = await log.connection.fetchrow(EVENTS["read_page"], *arguments)
                tail = await log.connection.fetchrow(EVENTS["read_tail"], run.session_id, after, rows, size, True)
                assert (tail["frames"], tail["page_last_seq"]) == (row["frames"], row["last_seq"])
                if not row["rows"]:
                    break
                payload += row["frames"]
                after, pages = row["last_seq"], pages + 1
            assert payload == whole
            assert pages > 1


async def test_a_page_without_deltas_leaves_out_deltas_and_nothing_else(log: LogDatabase, database_url: str) -> None:
    async with LogReplica(database_url).running() as replica:
        run, _ = await written(log, replica)
        row = await log.connection.fetchrow(EVENTS["read_page"], run.session_id, 0, 1000, 1000, 1 << 20, False)
        every = await log.log(run.session_id)
        assert parse_frames(row["frames"]) == [event for event in every if event.type != "text_delta"]
