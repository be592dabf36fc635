"""Every scenario of `scripts/chaos`, in its short form, and some behind HAProxy."""

import pytest

from tests.chaos.lab import Lab
from tests.chaos.scenarios import NOT_SHORT, SCENARIOS, run_scenario
from tests.deploy.balancer import haproxy
from webedt.database.embedded import EmbeddedPostgres

BEHIND_HAPROXY = ("takeover", "rolling")  # the rest by `scripts/chaos --balanced`


# What is under test is other processes. Of our own proxies and fakes a connection may be accepted in the very moment in
# which they are closed, and is then left to the garbage collector.
quiet = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning")


@quiet
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in NOT_SHORT])
async def test_nothing_is_lost_and_nothing_doubled(
    name: str, database_url: str, own_postgres: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    await judged(name, Lab(database_url, own_postgres))


@quiet
@pytest.mark.parametrize("name", BEHIND_HAPROXY)
async def test_nor_is_it_for_those_who_know_only_the_balancer(
    name: str, database_url: str, own_postgres: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    haproxy()
    await judged(name, Lab(database_url, own_postgres, balanced=True))


async def judged(name: str, lab: Lab) -> None:
    report = await run_scenario(name, lab)
    print(report.line())
    if report.skipped:
        pytest.skip(report.skipped)
    assert report.faults == []
