"""A browser and a fleet for all tests of a worker; a site, users and open pages for each of them.

All run on the loop of the session (`pytestmark` of each module), so that one browser serves them all.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.app import App
from tests.browser.site import Model, Site, open_fleet, open_site
from tests.browser.watch import Watch
from tests.support.browser import launched
from tests.support.chromium import MISSING, find_chromium, must_be_there
from tests.support.fleet import Fleet
from tests.support.postgres import DatabaseServer

REPLICAS = 2
SLOWEST_MS = 20_000


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = find_chromium()
    if program is None:
        (pytest.fail if must_be_there() else pytest.skip)(MISSING)
    expect.set_options(timeout=SLOWEST_MS)
    async with launched(program) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_fleet(
    chromium: Browser, database_server: DatabaseServer, database_names: Iterator[str]
) -> AsyncIterator[tuple[Fleet, Model]]:
    database = database_server.database(next(database_names), template=database_server.template)
    async with database as url, open_fleet(url, REPLICAS) as fleet_and_model:
        yield fleet_and_model


@pytest_asyncio.fixture(loop_scope="session")
async def site(shared_fleet: tuple[Fleet, Model]) -> AsyncIterator[Site]:
    """An address of this test's own, in front of the fleet; a replica that an earlier test killed is back."""
    fleet, model = shared_fleet
    for replica in fleet.replicas:
        if not replica.running:
            replica.start()
    await fleet.all_ready()
    async with open_site(fleet, model) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def watch() -> AsyncIterator[Watch]:
    """Fails the test in the end by what went wrong in its pages."""
    watch = Watch()
    yield watch
    assert watch.troubles == []


class OpenBrowser(Protocol):
    async def __call__(self, token: str = "", **options: Any) -> App:
        """A page in a browser of its own (nothing is shared with another but the user), logged in by `token`.

        `options` are those of Playwright's `new_context`: the size of the window, the theme.
        """
        ...


@pytest_asyncio.fixture(loop_scope="session")
async def open_browser(chromium: Browser, site: Site, watch: Watch) -> AsyncIterator[OpenBrowser]:
    async with AsyncExitStack() as stack:

        async def open_one(token: str = "", **options: Any) -> App:
            context = await chromium.new_context(base_url=site.url, **options)
            stack.push_async_callback(context.close)
            context.set_default_timeout(SLOWEST_MS)
            await watch.follow(context)
            if token:
                await context.add_cookies([{"name": "webedt_session", "value": token, "url": site.url}])
            return App(await context.new_page(), watch)

        yield open_one
        assert await watch.scripts_smuggled_in() == []
