"""What holds on every view: it can be used by those who cannot see it well, and on a small phone."""

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.browser import views
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.stage import set_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
SMALL_PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


async def test_no_view_breaks_a_rule_of_accessibility_in_either_theme(open_browser: OpenBrowser, site: Site) -> None:
    stage, axe, found = await set_stage(site), Axe(), []
    for name, show in views.ALL.items():
        app = await open_browser(stage.token if name in views.PRIVATE else "", color_scheme="light")
        await show(app, stage)
        for theme in ("light", "dark"):
            await app.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            answer = await axe.run(app.page, options=RULES)
            found += [
                f"{name}, {theme}: {one['id']}: {node['target']} {node['failureSummary']}"
                for one in answer.response["violations"]
                for node in one["nodes"]
            ]
        await app.page.context.close()
    assert found == []


async def test_no_view_scrolls_sideways_on_a_small_phone(open_browser: OpenBrowser, site: Site) -> None:
    stage = await set_stage(site)
    widths = {}
    for name, show in views.ALL.items():
        app = await open_browser(stage.token if name in views.PRIVATE else "", **SMALL_PHONE)
        await show(app, stage)
        widths[name] = await app.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        await app.page.context.close()
    assert widths == {name: [360, 360] for name in views.ALL}
