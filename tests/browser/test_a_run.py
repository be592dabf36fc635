"""A run as its user sees it, while pages are left, replicas die and networks fail."""

import pytest

from tests.browser.app import words
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site, answer_of
from tests.browser.watch import NETWORK, Watch

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_run_is_read_whole_and_once_though_the_page_is_reloaded_and_the_replica_killed(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    first, second = site.fleet.replicas
    site.balancer.prefer(first)
    browser = await open_browser()
    await browser.open_logged_out()
    await browser.register("anna-run@example.org", "Anna")
    session_id = await browser.start("Tell me a lot [[tokens=400 rate=80 size=6 seed=7]]")
    await browser.reads("simulated answer")
    await browser.page.reload()
    await browser.reads("simulated answer")
    watch.announce(NETWORK)
    first.kill()
    await browser.sees_status("Completed")
    token = next(one["value"] for one in await browser.page.context.cookies() if one["name"] == "webedt_session")
    answer = words(answer_of(await site.events(token, session_id)))
    assert len(answer) > 2000
    text = await browser.text()
    assert text.count(answer) == 1
    assert text.count("This is a simulated answer") == 1
    assert site.balancer.connections(second) > 0
