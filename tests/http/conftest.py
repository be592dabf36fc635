"""Fixtures: a replica that most tests share, each with users of its own; others for tests that need other settings."""

import functools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import argon2
import asyncpg
import pytest
import pytest_asyncio

from tests.http.client import CONTAINER, Client, Running, running
from tests.support.pooling import settings_to
from tests.support.postgres import DatabaseServer
from webedt.config import Settings
from webedt.services.sessions import ASessions

StartReplica = Callable[..., AbstractAsyncContextManager[Running]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder share one event loop, for they share a replica that lives on it."""
    for item in items:
        if "http" in item.path.parts and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


STORAGE = Path(tempfile.gettempdir(), f"webedt-test-files-{os.getpid()}")


def settings_for(database_url: str, **changes: Any) -> Settings:
    usual: dict[str, Any] = {
        **settings_to(database_url),
        "environment": "test",
        "container_id": CONTAINER,
        "session_secrets": ("a-secret-of-the-tests-that-is-long-enough",),
        "log_level": "error",
        "db_pool_min": 1,
        "auth_rate_limit_per_minute": 0,
        "storage_url": STORAGE.as_uri(),
    }
    return Settings(**{**usual, **changes})


@pytest.fixture(scope="session", autouse=True)
def cheap_password_hashes() -> Iterator[None]:
    """Argon2 is dear on purpose; how dear is not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = functools.partial(argon2.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(argon2, "PasswordHasher", cheap)
        yield


@pytest.fixture(scope="session", autouse=True)
def storage() -> Iterator[None]:
    yield
    shutil.rmtree(STORAGE, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_url(database_server: DatabaseServer, database_names: Iterator[str]) -> AsyncIterator[str]:
    async with database_server.database(next(database_names), template=database_server.template) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_app(shared_url: str, cheap_password_hashes: None) -> AsyncIterator[Running]:
    async with running(settings_for(shared_url)) as replica:
        yield replica


@pytest_asyncio.fixture(loop_scope="session")
async def app(shared_app: Running) -> AsyncIterator[Running]:
    """The replica that tests share; what a test left running is stopped behind it."""
    yield shared_app
    sessions = shared_app.service(ASessions)
    for user_id in shared_app.users:
        for session in await sessions.list(user_id, limit=200):
            if session.status in ("pending", "running"):
                await sessions.delete(user_id, session.id)
    shared_app.users.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def user(app: Running) -> Client:
    return await app.register()


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(app: Running) -> Client:
    return await app.register()


@pytest_asyncio.fixture(loop_scope="session")
async def database(shared_url: str) -> AsyncIterator[Any]:
    """A connection of the test's own to the shared replica's database, to arrange what no client can."""
    connection = await asyncpg.connect(shared_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def start(database_url: str) -> StartReplica:
    """Starts a replica with other settings on a fresh database: `async with start(max_streams_per_user=2) as app`."""
    return lambda **changes: running(settings_for(database_url, **changes))
