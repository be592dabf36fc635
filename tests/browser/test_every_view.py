"""What holds on every view: it can be used by those who cannot see it well, and on a small phone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

from tests.browser import views
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.stage import Stage, set_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Of their rules those that look at colours, and so can hold in one theme and not in the other.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
RULES = {"light": {"type": "tag", "values": LEVELS}, "dark": {"type": "rule", "values": OF_COLOURS}}
BREACHES = """async (runOnly) => (await axe.run({ runOnly, resultTypes: ['violations'] })).violations.flatMap(
  ({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`))"""
# Texts that reach beyond the window, unless what holds them can be scrolled by itself (code, tables) or shortens them.
CUT_OFF = """() => {
  const isHeld = (node) => node !== document.documentElement && node.ariaLabel !== 'Conversation'
    && (getComputedStyle(node).overflowX !== 'visible' || isHeld(node.parentElement));
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const right = Math.max(...[...range.getClientRects()].filter(({ height }) => height > 1).map((box) => box.right));
    const words = texts.currentNode.data.trim().slice(0, 40);
    if (words && right > innerWidth + 1 && !isHeld(texts.currentNode.parentElement)) found.push(`${words}: ${right}`);
  }
  return found;
}"""
SMALL_PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


async def every_view(open_browser: OpenBrowser, stage: Stage, **options: Any) -> AsyncIterator[tuple[str, Page]]:
    """One after the other, each of them loaded anew."""
    for shows, token in ((views.PUBLIC, ""), (views.PRIVATE, stage.token)):
        app = await open_browser(token, **options)
        for name, show in shows.items():
            await app.page.goto("about:blank")
            await show(app, stage)
            yield name, app.page
        await app.page.context.close()


async def test_no_view_breaks_a_rule_of_accessibility_in_either_theme(open_browser: OpenBrowser, site: Site) -> None:
    found = []
    async for name, page in every_view(open_browser, await set_stage(site), reduced_motion="reduce"):
        await page.evaluate(AXE_SCRIPT)
        for theme, rules in RULES.items():
            await page.emulate_media(color_scheme=theme)
            found += [f"{name}, {theme}: {breach}" for breach in await page.evaluate(BREACHES, rules)]
    assert found == []


async def test_on_a_small_phone_no_view_scrolls_sideways_and_no_text_is_cut_off(
    open_browser: OpenBrowser, site: Site
) -> None:
    found = {}
    async for name, page in every_view(open_browser, await set_stage(site), **SMALL_PHONE):
        wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        cut_off = await page.evaluate(CUT_OFF)
        if wide != [360, 360] or cut_off:
            found[name] = [*wide, *cut_off]
    assert found == {}
