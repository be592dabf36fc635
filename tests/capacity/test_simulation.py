"""The simulation: the same each time, nothing lost in it, and near what real fleets did."""

from dataclasses import replace

import pytest

from tests.capacity.__main__ import simulation_table
from tests.capacity.comparison import Compared, compare
from tests.capacity.document import DOCUMENT, between
from tests.capacity.measured import prices, read_figures
from tests.capacity.simulation import Course, Fleet, simulate

FIGURES = read_figures()
PRICES = replace(prices(FIGURES), append_seconds=0.005)
SMALL = Fleet(replicas=2, sessions=40, events_per_session_second=25, seconds=1)


def test_each_event_reaches_each_of_its_readers() -> None:
    for fleet in (
        SMALL,
        replace(SMALL, replicas=1),
        replace(SMALL, bus="redis"),
        replace(SMALL, readers_per_session=3),
    ):
        course = simulate(fleet, PRICES)
        assert course.events == 1000
        assert course.delivered == 1000 * fleet.readers_per_session, fleet


def test_the_same_seed_is_the_same_course_and_another_one_is_not() -> None:
    assert simulate(SMALL, PRICES) == simulate(SMALL, PRICES)
    assert simulate(replace(SMALL, seed=2), PRICES) != simulate(SMALL, PRICES)


def test_with_no_readers_nothing_is_told_and_nothing_read() -> None:
    course = simulate(replace(SMALL, readers_per_session=0), PRICES)
    assert (course.delivered, course.reads_per_event) == (0, 0)
    assert course.statements_per_second == course.commits_per_second


def test_a_slower_disk_makes_larger_commits_and_later_events() -> None:
    quick, slow = (simulate(SMALL, replace(PRICES, append_seconds=seconds)) for seconds in (0.002, 0.03))
    assert slow.events_per_commit > 2 * quick.events_per_commit
    assert slow.delivery_p50_ms > quick.delivery_p50_ms
    assert slow.database_cpu_us < quick.database_cpu_us


def test_each_replica_more_commits_by_itself() -> None:
    one, two, four = (simulate(replace(SMALL, replicas=replicas), PRICES) for replicas in (1, 2, 4))
    assert one.events_per_commit > two.events_per_commit > four.events_per_commit
    assert one.database_cpu_us < two.database_cpu_us < four.database_cpu_us


def test_a_redis_saves_the_reads_elsewhere() -> None:
    by_notify, by_redis = simulate(SMALL, PRICES), simulate(replace(SMALL, bus="redis"), PRICES)
    assert by_notify.reads_per_event > 0.1
    assert by_redis.reads_per_event == 0
    assert by_redis.delivery_p50_ms < by_notify.delivery_p50_ms


def test_a_replica_that_has_too_much_to_do_falls_behind() -> None:
    at_ease: Course = simulate(SMALL, PRICES)
    swamped = simulate(SMALL, replace(PRICES, replica_event_us=2400))  # 500 events a second: 1.2 cores
    assert (
        swamped.delivery_p99_ms > 2 * at_ease.delivery_p99_ms or swamped.events_per_commit < at_ease.events_per_commit
    )


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    return compare(FIGURES, prices(FIGURES))


def test_it_is_near_the_fleets_that_were_measured(compared: list[Compared]) -> None:
    assert {one.replicas for one in compared} == {1, 2, 3}
    reads = [one for one in compared if one.name == "reads of the log"]
    assert [one for one in compared if one not in reads and abs(one.error) > 0.5] == []
    # One read an event at most: a machine that is as busy as that of the measurements saves some of them.
    assert [one for one in reads if not one.measured <= one.simulated <= 1.01] == []


def test_the_document_shows_how_near(compared: list[Compared]) -> None:
    assert between(DOCUMENT.read_text(), "simulation") == simulation_table(compared), "run `scripts/capacity --write`"
