"""`webedt top`: the arithmetic, the layout, and what it shows of real replicas."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.fleet import start_fleet
from tests.support.ports import free_port
from webedt.cli.top_figures import fleet_figures
from webedt.cli.top_samples import Sample, quantile, rate, read_metrics
from webedt.cli.top_view import per_second, seconds, view
from webedt.cli.width import text_width

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def metrics(committed: int, *buckets: int, recovered: int = 0) -> str:
    lines = [f'webedt_events_committed_total{{container="r1"}} {committed}.0']
    for bound, number in zip(("0.001", "0.01", "+Inf"), buckets, strict=True):
        lines.append(f'webedt_event_commit_seconds_bucket{{container="r1",le="{bound}"}} {number}')
    lines += [
        'webedt_db_pool_connections{container="r1",state="in_use"} 3',
        'webedt_db_pool_connections{container="r1",state="idle"} 5',
        'webedt_db_pool_max{container="r1"} 20',
        'webedt_db_pool_waiting{container="r1"} 1',
        f'webedt_runs_recovered_total{{container="r1"}} {recovered}',
        "# HELP nonsense",
        "not a sample at all",
    ]
    return "\n".join(lines)


def sample(at: float, text: str, container: str = "r1", **status: Any) -> Sample:
    instances = [
        {"container": "r1", "heartbeatAt": "2026-01-02T03:04:04Z", "draining": False, "activeRuns": 2},
        {"container": "r2", "heartbeatAt": "2026-01-02T03:03:05Z", "draining": True, "activeRuns": 0},
    ]
    shared = {"runs": {"active": 2, "queued": 7}, "instances": instances, "cleanup": {"leader": "r2"}}
    answer = {"container": container, "status": "healthy", "streams": {"active": 4}, **shared, **status}
    return Sample("http://one", at, answer, read_metrics(text))


def test_rates_are_a_second_and_survive_a_restart() -> None:
    before, after = sample(10, metrics(100, 0, 0, 0)), sample(12, metrics(150, 0, 0, 0))
    assert rate(before, after, "webedt_events_committed_total") == 25
    assert rate(after, sample(14, metrics(30, 0, 0, 0)), "webedt_events_committed_total") == 15
    assert rate(before, before, "webedt_events_committed_total") is None
    assert rate(before, after, "nobody_counts_this") is None


def test_quantiles_are_of_what_happened_in_between() -> None:
    before, after = sample(0, metrics(0, 100, 100, 100)), sample(1, metrics(0, 100, 110, 110))
    assert quantile(before, after, "webedt_event_commit_seconds", 0.5) == pytest.approx(0.0055)
    assert quantile(before, before, "webedt_event_commit_seconds", 0.5) is None
    beyond = sample(1, metrics(0, 100, 100, 110))
    assert quantile(before, beyond, "webedt_event_commit_seconds", 0.99) == float("inf")
    restarted = sample(1, metrics(0, 10, 10, 10))
    assert quantile(before, restarted, "webedt_event_commit_seconds", 0.5) == pytest.approx(0.0005)


def test_a_fleet_is_put_together_from_what_each_url_says() -> None:
    samples = [sample(0, metrics(0, 0, 0, 0)), sample(2, metrics(10, 0, 4, 4, recovered=3))]
    silent = Sample("http://gone", 2, fault="connection refused")
    figures = fleet_figures({"http://one": samples, "http://gone": [silent]}, NOW)
    assert (figures.leader, figures.active_runs, figures.queued_runs, figures.healthy) == ("r2", 2, 7, 1)
    first, second, gone = figures.replicas
    assert (gone.url, gone.fault) == ("http://gone", "connection refused")
    assert (first.container, first.heartbeat_age, first.leader, first.active_runs) == ("r1", 1.0, False, 2)
    assert (first.pool_in_use, first.pool_max, first.pool_waiting, first.streams) == (3, 20, 1, 4)
    assert (first.events_per_second, first.takeovers) == (5, 3)
    assert (second.container, second.url, second.draining, second.leader) == ("r2", None, True, True)
    assert second.heartbeat_age == 60.0
    named = figures.as_json()
    assert named["replicas"][0]["eventsPerSecond"] == 5
    assert json.loads(json.dumps(named)) == named


def test_behind_a_balancer_only_answers_of_the_same_replica_are_compared() -> None:
    samples = [sample(0, metrics(900, 0, 0, 0), "r2"), sample(1, metrics(10, 0, 0, 0)), sample(2, metrics(30, 0, 0, 0))]
    [row] = [row for row in fleet_figures({"http://one": samples}, NOW).replicas if row.container == "r1"]
    assert row.events_per_second == 20


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 12), (200, 60), (20, 5), (1, 1)])
@pytest.mark.parametrize("colours", [True, False])
def test_the_view_fits_any_screen(columns: int, lines: int, colours: bool) -> None:
    histories = {"http://one": [sample(0, metrics(0, 0, 0, 0)), sample(2, metrics(10, 0, 4, 4))]}
    shown = view(fleet_figures(histories, NOW), columns, lines, colours=colours)
    assert len(shown) == lines
    plain = [line.replace("\x1b[0;1m", "").replace("\x1b[0;2m", "").replace("\x1b[0;32m", "") for line in shown]
    assert all(text_width(line.replace("\x1b[0m", "")) <= columns for line in plain)
    assert colours or not any("\x1b" in line for line in shown)
    if columns >= 80:
        assert any(line.startswith("r2*") and "draining" in line for line in plain)
        assert "q quits" in plain[-1]


def test_figures_are_short() -> None:
    assert [seconds(value) for value in (None, 0.00085, 0.0123, 3.4, 240, float("inf"))] == [
        *("-", "850us", "12.3ms", "3.4s", "240s", ">10s")
    ]
    assert [per_second(value) for value in (None, 3.14, 12345.6)] == ["-", "3.1", "12,346"]


async def test_real_replicas_are_shown_once_as_json_and_live(database_url: str, tmp_path: Path) -> None:
    async with start_fleet(database_url, 2) as fleet, fleet.caller() as caller:
        webedt = CommandLine(tmp_path, fleet[0].url)
        await caller.start(fleet[0], "[[tokens=100000 rate=50]]")
        nobody = f"http://127.0.0.1:{free_port()}"
        urls = [*("--url", fleet[0].url), *("--url", fleet[1].url), *("--url", nobody)]
        table, ended = await asyncio.gather(
            webedt("top", "--once", "--interval", "0.5", "--url", fleet[0].url),
            webedt("top", "--once", "--json", "--interval", "0.5", *urls),
        )
        assert (table.status, table.err, ended.status, ended.err) == (0, "", 0, "")
        assert [line.split()[0].rstrip("*") for line in table.out.splitlines()] == ["REPLICA", "r1", "r2"]
        [line] = ended.out.splitlines()
        figures = json.loads(line)
        assert (figures["activeRuns"], figures["healthy"]) == (1, 2)
        first, second, gone = figures["replicas"]
        assert (gone["url"], gone["fault"]) == (nobody, "connection refused")
        assert (first["container"], first["url"], first["activeRuns"]) == ("r1", fleet[0].url, 1)
        assert 5 < first["eventsPerSecond"] < 500
        assert 0 < first["commitP50"] <= first["commitP99"]
        assert (second["container"], second["activeRuns"], second["eventsPerSecond"]) == ("r2", 0, 0)
        assert (await webedt("top", "--once", "--interval", "0.1", "--url", nobody)).status == 5

        async with webedt.at_terminal("top", *urls, columns=100) as session:
            await session.shows(lambda text: "r1" in text and "connection refused" in text and "DRAIN" not in text)
            assert session.screen.modes == {"1049"}
            assert not session.cooked
            session.resize(40, 24)
            await session.shows(lambda text: all(len(line) <= 40 for line in text.splitlines()) and "r1" in text)
            session.press("q")
            assert await session.ended() == 0
            assert session.cooked
            assert ("1049" in session.screen.modes, "25" in session.screen.modes) == (False, True)
            assert session.screen.text() == ""
        async with webedt.at_terminal("top", "--url", fleet[0].url) as session:
            await session.shows("r1")
            os.kill(session.process.pid, signal.SIGTERM)
            assert await session.ended() == 143
            assert session.cooked
            assert "1049" not in session.screen.modes
