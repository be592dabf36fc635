"""What the page costs: bytes to load it, movement while it streams, and a log of ten thousand events."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site, answer_of
from tests.browser.stage import said, thought, tool
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST_LOAD_BYTES = 100_000
LOADED = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""
MANY = 10_000
MANY_MS = 60_000
# Characters of the longest text that is laid out as one, and so anew with each word that is added to it.
LAID_OUT_AS_ONE = """() => Math.max(...[...document.querySelectorAll('.markdown p, .markdown .stretch')]
  .filter((node) => !node.querySelector('.stretch')).map((node) => node.textContent.length))"""
OBSERVE = """
window.__shifts = [];
window.__long = [];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) window.__shifts.push(value);
}).observe({ type: 'layout-shift', buffered: true });
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.__long.push(duration);
}).observe({ type: 'longtask', buffered: true });
"""


async def test_the_page_and_all_that_it_loads_at_first_fit_in_100_kb(open_browser: OpenBrowser, site: Site) -> None:
    """Of who is logged in: bodies as they come over the wire."""
    browser = await open_browser(await site.new_login())
    await browser.open()
    await browser.sees_no_sessions()
    await browser.page.wait_for_load_state()
    assert 20_000 < await browser.page.evaluate(LOADED) < FIRST_LOAD_BYTES
    print("with all headers:", site.balancer.bytes_sent)


async def test_nothing_jumps_while_an_answer_streams(open_browser: OpenBrowser, site: Site) -> None:
    token, go_on = await site.new_login(), asyncio.Event()
    paragraphs = "\n\n".join(f"Paragraph {number} of an answer that grows below what is read." for number in range(12))
    site.model.will_say(
        "Grow",
        *said(0, "It begins.\n\n"),
        go_on,
        *thought(1, paragraphs),
        *tool(2, "run_tests", {"path": "tests"}, "148 passed"),
        *(item for event in said(4, paragraphs + "\n\n```sh\nmake\n```\n\nThe end.") for item in (event, 0.004)),
    )
    browser = await open_browser(token)
    await browser.page.add_init_script(OBSERVE)
    await browser.open()
    await browser.start("Grow")
    await browser.reads("It begins.")
    await browser.page.evaluate("window.__shifts.length = 0")
    go_on.set()
    await browser.reads("The end.")
    await browser.sees_status("Completed")
    shifts = await browser.page.evaluate("window.__shifts")
    assert sum(shifts) < 0.1, shifts


async def test_a_session_of_ten_thousand_events_opens(open_browser: OpenBrowser, site: Site) -> None:
    token = await site.new_login()
    run = await site.run(token, f"[[tokens={MANY} rate=0 size=6 seed=3]]", provider="simulated")
    await eventually(lambda: site.is_over(token, run.session_id), "the run ends", seconds=60)
    browser = await open_browser(token)
    await browser.page.add_init_script(OBSERVE)
    await browser.open(run.session_id)
    answer = answer_of(await site.events(token, run.session_id))
    assert len(answer) == MANY * 6
    last_words = re.compile(r"\s+".join(map(re.escape, answer.split()[-8:])))
    await expect(browser.conversation).to_contain_text(last_words, timeout=MANY_MS)
    assert " ".join(answer.split()) in await browser.text()
    assert 1000 < await browser.page.evaluate(LAID_OUT_AS_ONE) < 5000
    print("long tasks (ms):", await browser.page.evaluate("window.__long"))
