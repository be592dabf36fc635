"""The parser of server-sent events: whatever the network does to the bytes, the frames are the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webedt.client.sse import Frame, FrameTooLarge, SSEParser

STREAM = (
    b"\xef\xbb\xbfretry: 1500\n\n"
    b": a comment\n"
    b'id: 1\nevent: text_delta\ndata: {"text": "gr\xc3\xbc\xc3\x9fe \xf0\x9f\x91\x8b"}\n\n'
    b"id: 2\r\nevent: message\r\ndata: first\r\ndata: second\r\n\r\n"
    b"id: 3\rdata:third\r\r"
    b"id: 4\n\n"
    b":\n\n"
    b"event: nothing\n\n"
    b"event: caught_up\nunknown: field\ndata\n\n"
    b"id: 5\ndata: never finished"
)
FRAMES = [
    Frame(retry_ms=1500),
    Frame("1", "text_delta", '{"text": "grüße 👋"}'),
    Frame("2", "message", "first\nsecond"),
    Frame("3", "message", "third"),
    Frame("4"),
    Frame(None, "caught_up", ""),
]

lines = st.sampled_from(
    [b"id: 7", b"data: \xe2\x82\xac", b"data", b"retry: 10", b"event: x", b": note", b"", b"id:\xff"]
)
line_ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
streams = st.lists(st.tuples(lines, line_ends), max_size=30).map(lambda pairs: b"".join(a + b for a, b in pairs))


def parse(*chunks: bytes) -> list[Frame]:
    parser = SSEParser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def test_a_stream_with_every_kind_of_line_gives_its_frames() -> None:
    assert parse(STREAM) == FRAMES


def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames() -> None:
    assert parse(*(bytes([byte]) for byte in STREAM)) == FRAMES


@given(places=st.lists(st.integers(min_value=0, max_value=10_000)))
def test_any_split_of_a_known_stream_gives_the_same_frames(places: list[int]) -> None:
    assert parse(*cut(STREAM, places)) == FRAMES


@given(stream=streams, places=st.lists(st.integers(min_value=0, max_value=10_000)))
def test_any_split_of_any_stream_gives_the_same_frames(stream: bytes, places: list[int]) -> None:
    assert parse(*cut(stream, places)) == parse(stream)


@given(stream=streams)
def test_the_kind_of_line_end_makes_no_difference(stream: bytes) -> None:
    unified = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert parse(unified.replace(b"\n", b"\r\n")) == parse(unified) == parse(unified.replace(b"\n", b"\r"))


@given(garbage=st.lists(st.binary()))
def test_no_bytes_at_all_make_the_parser_fail(garbage: list[bytes]) -> None:
    parse(*garbage)


def test_a_frame_is_given_as_soon_as_its_empty_line_begins() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: now\r\n\r") == [Frame(data="now")]
    assert parser.feed(b"\ndata: next\r\n\r\n") == [Frame(data="next")]


def test_only_one_space_after_the_colon_is_removed() -> None:
    assert parse(b"data:  two\ndata:none\n\n") == [Frame(data=" two\nnone")]


def test_a_byte_order_mark_inside_the_stream_is_text() -> None:
    assert parse(b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n") == [Frame(data="a"), Frame(data="c")]


def test_an_id_with_a_nul_and_a_retry_that_is_no_number_are_ignored() -> None:
    assert parse(b"id: a\0b\nretry: soon\nretry: -1\ndata: x\n\n") == [Frame(data="x")]


def test_line_separators_of_unicode_do_not_end_a_line() -> None:
    assert parse("data: a\u2028b\x85c\x0bd\n\n".encode()) == [Frame(data="a\u2028b\x85c\x0bd")]


def test_malformed_utf_8_becomes_a_replacement_character() -> None:
    assert parse(b"data: a\xffb\n\n") == [Frame(data="a\ufffdb")]


def test_a_frame_beyond_the_bound_is_refused_and_many_small_ones_are_not() -> None:
    parser = SSEParser(max_frame_bytes=100)
    for _ in range(50):
        parser.feed(b"data: small\n\n")
    with pytest.raises(FrameTooLarge):
        parser.feed(b"data: " + b"x" * 100)
