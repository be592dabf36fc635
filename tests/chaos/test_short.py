"""Every scenario of `scripts/chaos`, in its short form."""

import pytest

from tests.chaos.lab import Lab
from tests.chaos.scenarios import NOT_SHORT, SCENARIOS, run_scenario
from webedt.database.embedded import EmbeddedPostgres


# What is under test is other processes. Of our own proxies and fakes a connection may be accepted in the very moment in
# which they are closed, and is then left to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in NOT_SHORT])
async def test_nothing_is_lost_and_nothing_doubled(
    name: str, database_url: str, own_postgres: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await run_scenario(name, Lab(database_url, own_postgres))
    print(report.line())
    if report.skipped:
        pytest.skip(report.skipped)
    assert report.faults == []
