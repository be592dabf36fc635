"""Fixtures of tests on the real services of one or two replicas."""

from collections.abc import AsyncIterator

import pytest

from tests.support.log_harness import LogDatabase
from tests.support.replica import Replica


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogDatabase]:
    """The test's own view of the database, with a user."""
    async with LogDatabase(database_url) as database:
        yield database


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[Replica]:
    async with Replica(database_url, "a").running() as running:
        yield running


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Replica]:
    """A second replica on the same database."""
    async with Replica(database_url, "b").running() as running:
        yield running


@pytest.fixture
async def full_replica(database_url: str) -> AsyncIterator[Replica]:
    """A replica that accepts prompts and has no room to drive any."""
    async with Replica(database_url, "full", max_active_runs=0).running() as running:
        yield running
