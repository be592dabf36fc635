"""The model of capacity: it is made of measured figures, its numbers have the right size, and more is never less."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.capacity.__main__ import main, partitions_table, steps_table
from tests.capacity.comparison import measured_fleet
from tests.capacity.document import DOCUMENT, between
from tests.capacity.measured import DOCUMENT as BENCHMARKS
from tests.capacity.measured import Prices, prices, read_figures
from tests.capacity.model import (
    FULL,
    Deployment,
    Verdict,
    Workload,
    commits_per_second,
    following_replicas,
    loads,
    verdict,
)

FIGURES = read_figures()
PRICES = prices(FIGURES)
LIVE = Workload(streams=1000, live_share=1.0)


def load(name: str, workload: Workload, prices: Prices = PRICES, **deployment: Any) -> float:
    resources = loads(workload, Deployment(**{"replicas": 4, **deployment}), prices)
    return next(one.load for one in resources if one.name == name)


# Where the numbers come from -----------------------------------------------------------------------------------------


def test_every_price_is_a_positive_number_of_the_table() -> None:
    assert {item.name: value for item in fields(Prices) if not (value := getattr(PRICES, item.name)) >= 0} == {}
    assert PRICES.replica_delivery_us == FIGURES["fan-out", "CPU, 1000 readers"]


def test_another_figure_in_the_table_is_another_answer(tmp_path: Path) -> None:
    row = next(
        line for line in BENCHMARKS.read_text().splitlines() if line.startswith("| live | CPU when nobody watches |")
    )
    dearer = tmp_path / "benchmarks.md"
    dearer.write_text(BENCHMARKS.read_text().replace(row, "| live | CPU when nobody watches | 1,234 µs/event |  |"))
    before, after = (
        verdict(Workload(streams=10_000), Deployment(bus="redis"), prices(read_figures(document))).replicas
        for document in (BENCHMARKS, dearer)
    )
    assert after > 5 * before


def test_a_figure_that_is_missing_is_named(tmp_path: Path) -> None:
    text = BENCHMARKS.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| costs | sweep of tails: PostgreSQL |"))
    (tmp_path / "benchmarks.md").write_text(text.replace(row, ""))
    with pytest.raises(KeyError, match="sweep of tails"):
        prices(read_figures(tmp_path / "benchmarks.md"))


def test_a_document_without_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchmarks.md").write_text("# Benchmarks\n")
    with pytest.raises(ValueError, match="no table"):
        read_figures(tmp_path / "benchmarks.md")


# What is measured comes out again ------------------------------------------------------------------------------------


def test_it_gives_back_what_was_measured_of_many_live_sessions() -> None:
    """`live`: 9,000 events a second on one replica, each read there."""
    watched = Workload(streams=300, live_share=1.0, events_per_session_second=30.3)
    measured = FIGURES["live", "CPU, requests and simulated provider with it"]
    cores = load("CPU of a replica", watched, replicas=1)
    assert cores * 1e6 / watched.events_per_second == pytest.approx(measured, rel=0.35)
    wal = load("WAL", watched, replicas=1) * 1e6 / watched.events_per_second
    assert wal == pytest.approx(FIGURES["live", "WAL, sessions and runs with it"])


def test_it_gives_back_what_was_measured_of_a_fan_out() -> None:
    """`fan-out`: 1,000 readers of one session with 20 events a second."""
    watched = Workload(streams=1000, live_share=1.0, readers_per_session=1000, events_per_session_second=20)
    nobody = Workload(streams=0, unwatched_sessions=1, events_per_session_second=20)
    cores = load("CPU of a replica", watched, replicas=1) - load("CPU of a replica", nobody, replicas=1)
    assert cores * 1e6 / (1000 * 20) == pytest.approx(FIGURES["fan-out", "CPU, 1000 readers"], rel=0.25)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_it_gives_back_how_many_events_a_fleet_put_into_a_commit(replicas: int) -> None:
    measured = measured_fleet(FIGURES, replicas)
    events, append_seconds = measured["events"] / replicas, measured["append, sent to answered, p50"] / 1000
    reckoned = events / commits_per_second(events, append_seconds)
    assert reckoned == pytest.approx(measured["events in a commit"], rel=0.5)


# More is never less --------------------------------------------------------------------------------------------------

SHARED = ("CPU of PostgreSQL", "appends", "NOTIFY", "connections", "WAL", "log, before compaction")
OWN = ("CPU of a replica", "memory of a replica", "sockets of a replica")


@pytest.mark.parametrize(
    ("more", "of"),
    [
        (replace(LIVE, streams=2000), (*SHARED, *OWN)),
        (replace(LIVE, events_per_session_second=60), (*SHARED, "CPU of a replica")),
        (replace(LIVE, event_bytes=1000), ("WAL", "log, before compaction")),
        (replace(LIVE, unwatched_sessions=500), (*SHARED, "CPU of a replica")),
    ],
)
def test_more_work_is_more_load(more: Workload, of: tuple[str, ...]) -> None:
    for name in of:
        if name == "NOTIFY":
            assert load(name, more) >= load(name, LIVE), name  # signals gather
        elif name != "connections":
            assert load(name, more) > load(name, LIVE), name


def test_signals_grow_with_the_events_until_they_gather_and_who_is_alone_sends_none() -> None:
    few, many, more = (load("NOTIFY", replace(LIVE, streams=streams)) for streams in (8, 1000, 100_000))
    assert few < many <= more
    assert load("NOTIFY", LIVE, replicas=1) == pytest.approx(1.0), "the ping"


def test_more_replicas_share_the_work_and_cost_the_database_more() -> None:
    for name in OWN:
        assert load(name, LIVE, replicas=8) < load(name, LIVE, replicas=4), name
    for name in ("CPU of PostgreSQL", "appends", "NOTIFY", "connections"):
        assert load(name, LIVE, replicas=8) > load(name, LIVE, replicas=4), name


def test_with_a_redis_postgres_is_asked_for_nothing_that_is_live() -> None:
    assert load("CPU of PostgreSQL", LIVE, bus="redis") < load("CPU of PostgreSQL", LIVE)
    assert load("appends", LIVE, bus="redis") == load("appends", LIVE)


def test_one_replica_tells_nobody_and_reads_nothing() -> None:
    free = replace(PRICES, database_tail_read_us=1e9, replica_tail_read_us=1e9)
    for name in ("CPU of a replica", "CPU of PostgreSQL"):
        assert load(name, LIVE, replicas=1, prices=free) == load(name, LIVE, replicas=1)


# Odd workloads -------------------------------------------------------------------------------------------------------


def test_nothing_at_all_needs_one_replica() -> None:
    found = verdict(Workload(streams=0), Deployment(), PRICES)
    assert (found.replicas, found.enough) == (1, True)
    assert all(math.isfinite(one.load) for one in found.resources)


def test_sessions_without_readers_are_written_and_not_delivered() -> None:
    nobody = Workload(streams=0, unwatched_sessions=1000)
    dear = replace(PRICES, replica_delivery_us=1e6, replica_tail_read_us=1e6, database_tail_read_us=1e6)
    assert load("CPU of a replica", nobody, prices=dear) == load("CPU of a replica", nobody)
    assert load("appends", nobody) == load("appends", LIVE)


def test_a_million_readers_of_one_session_cost_the_database_little() -> None:
    crowd = Workload(streams=1_000_000, live_share=1.0, readers_per_session=1_000_000)
    found = verdict(crowd, Deployment(), PRICES)
    assert found.replicas > 100
    by_name = {one.name: one.load for one in found.resources}
    assert by_name["appends"] == pytest.approx(30, rel=0.1)
    assert by_name["CPU of PostgreSQL"] < 20


def test_a_million_waiting_streams_cost_what_the_sweeps_cost() -> None:
    waiting = Workload(streams=1_000_000, live_share=0.0)
    assert load("appends", waiting) == 0
    swept = 1_000_000 / 1.5 * (PRICES.database_swept_tail_us + PRICES.database_swept_login_us) / 1e6
    assert load("CPU of PostgreSQL", waiting) == pytest.approx(swept, rel=0.05)


def test_readers_of_a_session_are_on_as_many_replicas_as_there_are_or_fewer() -> None:
    assert following_replicas(1, 10) == pytest.approx(1)
    assert following_replicas(1_000_000, 10) == pytest.approx(10)
    assert 1 < following_replicas(2, 10) < 2


def test_a_replica_that_is_too_full_is_not_enough() -> None:
    found = verdict(replace(LIVE, streams=100_000), Deployment(replicas=1), PRICES)
    assert not found.enough
    assert found.bottleneck.name in OWN


def test_as_many_replicas_as_it_takes_are_not_fuller_than_full() -> None:
    for streams in (100, 3000, 10_000):
        found = verdict(Workload(streams=streams), Deployment(), PRICES)
        assert found.enough
        assert all(one.utilisation <= FULL for one in found.resources if one.each)


# The command and the document ----------------------------------------------------------------------------------------


def test_the_command_answers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--streams", "500", "--live-share", "1", "--bus", "redis", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected: Verdict = verdict(Workload(streams=500, live_share=1.0), Deployment(bus="redis"), PRICES)
    assert answer["replicas"] == expected.replicas
    assert answer["bottleneck"] == expected.bottleneck.name
    assert [one["name"] for one in answer["resources"]] == [one.name for one in expected.resources]


def test_the_command_says_when_it_is_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--streams", "100000", "--replicas", "1"]) == 1
    assert "not enough" in capsys.readouterr().out


def test_the_document_shows_what_the_command_says() -> None:
    assert between(DOCUMENT.read_text(), "steps") == steps_table(), "run `scripts/capacity --write`"
    assert between(DOCUMENT.read_text(), "partitions") == partitions_table(FIGURES), "run `scripts/capacity --write`"
