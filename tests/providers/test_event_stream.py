"""The data of server-sent events, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webedt.client.sse import SSEParser
from webedt.providers.event_stream import EventStream, EventTooLarge

STREAM = (
    '\ufeffevent: ping\ndata: {"type": "ping"}\n\n'
    ": a comment\n\n"
    "event: a\r\ndata: grün\r\n\r\n"
    "data:two\rdata: lines\r\r"
    "data\n\n\n\n"
    "event: without data\n\n"
    "data: never finished\n"
).encode()
EVENTS = [b'{"type": "ping"}', "grün".encode(), b"two\nlines", b""]


def read(chunks: list[bytes]) -> list[bytes]:
    stream = EventStream()
    return [data for chunk in chunks for data in stream.feed(chunk)]


def test_it_does_not_matter_where_the_bytes_are_cut() -> None:
    for first in range(len(STREAM) + 1):
        for second in range(first, len(STREAM) + 1):
            assert read([STREAM[:first], STREAM[first:second], STREAM[second:]]) == EVENTS, (first, second)
    assert read([bytes([byte]) for byte in STREAM]) == EVENTS


@given(st.lists(st.lists(st.sampled_from([b"data: x", b"data", b"\r", b"\n", b"\r\n", b": c", b"data:y"]), max_size=9)))
def test_it_reads_what_the_parser_of_all_fields_reads(pieces: list[list[bytes]]) -> None:
    chunks = [b"".join(piece) for piece in pieces]
    parser = SSEParser()
    full = [frame.data for chunk in chunks for frame in parser.feed(chunk) if frame.data is not None]
    assert [data.decode() for data in read(chunks)] == full


def test_an_event_that_never_ends_has_a_bound() -> None:
    stream = EventStream(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        for _ in range(20):
            stream.feed(b"data: xxxx\n")
