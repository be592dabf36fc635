"""Every workload in a tiny form: figures come out and no id is missing (readers see to that). Speed is not judged."""

import math
from pathlib import Path

import pytest

from tests.bench.catalogue import WORKLOADS, measure
from tests.bench.figures import MARKER, Figure, write_into
from tests.bench.readers import Reader
from tests.support.postgres import DatabaseServer


@pytest.mark.parametrize("name", WORKLOADS)
async def test_a_workload_still_answers_its_figures(name: str, database_server: DatabaseServer) -> None:
    figures = await measure(database_server.url, [name], sizes=100)
    assert figures
    assert {one.workload for one in figures} == {name}
    assert [one for one in figures if not math.isfinite(one.value)] == []
    for one in figures:
        assert one.row.count("|") == 5


@pytest.mark.parametrize("ids", [[1, 2, 4], [2, 3], [1, 2, 2, 3], [2, 1, 3], [1, 2]])
async def test_a_reader_finds_what_is_wrong_with_the_ids(ids: list[int]) -> None:
    with pytest.raises(AssertionError, match="ids"):
        reader_of(ids).arrivals(0, 3)


async def test_a_reader_finds_events_that_are_cut_in_two() -> None:
    assert list(reader_of([1, 2, 3], size=7).arrivals(0, 3)) == [1, 2, 3]


async def test_an_error_is_not_a_stream() -> None:
    reader = Reader(b"", until=None)
    reader.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    with pytest.raises(AssertionError, match="not a stream"):
        reader.arrivals(0)


def reader_of(ids: list[int], size: int = 1000) -> Reader:
    reader = Reader(b"", until=None)
    text = b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(b"\r\nid: %d\nevent: x\ndata: {}\n\n" % number for number in ids)
    for at in range(0, len(text), size):
        reader.data_received(text[at : at + size])
    return reader


def test_the_document_keeps_the_rows_of_workloads_that_did_not_run(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# Method\n\n{MARKER}\n")
    order = ["one", "two"]
    write_into(document, [Figure("two", "a", 1, "s"), Figure("one", "b", 2000, "x", ">= 1")], order, "first:")
    write_into(document, [Figure("two", "c", 3, "s", "<= 2")], order, "second:")
    assert document.read_text().splitlines() == [
        "# Method", "", MARKER, "", "second:", "",
        "| workload | what | measured | target |",
        "| --- | --- | ---: | --- |",
        "| one | b | 2,000 x | >= 1 reached |",
        "| two | c | 3.0 s | <= 2 MISSED |",
    ]  # fmt: skip
