"""Two real replicas for the tests of a module: they are only asked, never broken."""

from collections.abc import AsyncIterator, Iterator

import pytest_asyncio

from tests.support.fleet import Fleet, start_fleet
from tests.support.postgres import DatabaseServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(database_server: DatabaseServer, database_names: Iterator[str]) -> AsyncIterator[Fleet]:
    async with database_server.database(next(database_names), template=database_server.template) as url:
        # Few streams, so that the limit can be reached; no check but that one needs more than 24 of one user.
        async with start_fleet(url, 2, MAX_STREAMS_PER_USER="70") as fleet:
            yield fleet
