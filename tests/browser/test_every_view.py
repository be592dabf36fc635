"""What holds on every view: it can be used by those who cannot see it well, and on a small phone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.browser import views
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.stage import Stage, set_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
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
    axe, found = Axe(), []
    async for name, page in every_view(open_browser, await set_stage(site), reduced_motion="reduce"):
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            answer = await axe.run(page, options=RULES)
            found += [
                f"{name}, {theme}: {one['id']}: {node['target']} {node['failureSummary']}"
                for one in answer.response["violations"]
                for node in one["nodes"]
            ]
    assert found == []


async def test_no_view_scrolls_sideways_on_a_small_phone(open_browser: OpenBrowser, site: Site) -> None:
    widths = {}
    async for name, page in every_view(open_browser, await set_stage(site), **SMALL_PHONE):
        widths[name] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == {name: [360, 360] for name in views.ALL}
