"""Two real replicas on one database."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fleet import Caller, Fleet, start_fleet


@pytest.fixture
async def fleet(database_url: str) -> AsyncIterator[Fleet]:
    async with start_fleet(database_url, 2) as fleet:
        yield fleet


@pytest.fixture
async def caller(fleet: Fleet) -> AsyncIterator[Caller]:
    async with fleet.caller() as caller:
        yield caller
