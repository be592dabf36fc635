"""Fixtures for every test: a database of its own on a real PostgreSQL, a Redis where one is asked for."""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.postgres import DatabaseServer
from tests.support.redis_server import RedisServer, any_redis, need_redis, redis_server
from tests.support.suite import FAST_SETTINGS, Suite, new_suite
from webedt.database.embedded import EmbeddedPostgres

SUITE = pytest.StashKey[Suite]()


def pytest_configure(config: pytest.Config) -> None:
    """Open the suite where the run begins; a worker of xdist is told about it instead."""
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[SUITE] = Suite(Path(worker_input["suite_folder"]))
        return
    closing = contextlib.ExitStack()
    config.stash[SUITE] = closing.enter_context(new_suite())
    config.add_cleanup(closing.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of xdist where the suite is."""
    node.workerinput["suite_folder"] = str(node.config.stash[SUITE].folder)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A replica that a test starts sets logging up for the whole process: not for the tests that follow."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """The PostgreSQL server of this run."""
    return request.config.stash[SUITE].server()


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    """Names that no other worker of this run uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return (f"{worker}_{number}" for number in itertools.count(1))


@pytest.fixture
async def database_url(database_server: DatabaseServer, database_names: Iterator[str]) -> AsyncIterator[str]:
    """A fresh, migrated database of this test's own."""
    async with database_server.database(next(database_names), template=database_server.template) as url:
        yield url


@pytest.fixture
async def empty_database_url(database_server: DatabaseServer, database_names: Iterator[str]) -> AsyncIterator[str]:
    """A fresh database without our schema, for tests of the migrations themselves."""
    async with database_server.database(next(database_names)) as url:
        yield url


@pytest.fixture
def own_postgres(request: pytest.FixtureRequest, database_names: Iterator[str]) -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, not started: for tests that stop, crash and restart it."""
    server = EmbeddedPostgres(request.config.stash[SUITE].folder / next(database_names), settings=FAST_SETTINGS)
    yield server
    server.delete()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis that no test breaks."""
    with any_redis() as url:
        yield url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test's own, to be broken."""
    need_redis()
    with redis_server() as server:
        yield server
