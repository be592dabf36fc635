"""Photographs every view in both themes, on a desktop and on a phone: `python -m tests.browser.screenshots [FOLDER]`.

On a fleet, a database and a scripted model of its own, as the tests have them. The names of the files depend on
nothing but the views; a picture that is no longer made is removed.
"""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser import views
from tests.browser.app import App
from tests.browser.palette import with_palette
from tests.browser.site import open_fleet, open_site
from tests.browser.stage import Stage, set_stage
from tests.browser.watch import Watch
from tests.support.browser import launched
from tests.support.chromium import MISSING, find_chromium
from tests.support.suite import new_suite

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 150_000
MAX_BYTES_IN_ALL = 2_000_000
DEVICES = {
    "desktop": {"viewport": {"width": 1200, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 760}, "is_mobile": True, "has_touch": True},
}
THEMES = ("light", "dark")
WORD_SECONDS = 0.02
SETTLED_MS = 600
"""Words about a connection wait a moment before they change."""
SLOWER_MS = {"operations": 9_000}
"""Figures that are drawn over time."""
REPLICAS = 2


async def photograph(browser: Browser, stage: Stage) -> dict[str, bytes]:
    """Name and content of each picture."""
    pictures, darkroom = {}, await browser.new_page()
    for name, show in views.ALL.items():
        for device, options in DEVICES.items():
            watch = Watch()
            context = await browser.new_context(base_url=stage.site.url, reduced_motion="reduce", **options)
            await watch.follow(context)
            if name in views.PRIVATE:
                login = {"name": "webedt_session", "value": stage.token, "url": stage.site.url}
                await context.add_cookies([login])
            app = App(await context.new_page(), watch)
            await show(app, stage)
            await app.page.wait_for_timeout(SLOWER_MS.get(name, SETTLED_MS))
            for theme in THEMES:
                await app.page.emulate_media(color_scheme=theme)
                png = await app.page.screenshot(animations="disabled", caret="hide")
                pictures[f"{name}-{device}-{theme}.png"] = await with_palette(darkroom, png)
            await context.close()
            if watch.troubles:
                raise SystemExit(f"{name} on a {device}: {watch.troubles}")
    return pictures


def store(folder: Path, pictures: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        if old.name not in pictures:
            old.unlink()
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    sizes = {name: len(content) for name, content in pictures.items()}
    print(f"{len(sizes)} pictures in {folder}, {sum(sizes.values()):,} bytes, the largest {max(sizes.values()):,}")
    if sum(sizes.values()) > MAX_BYTES_IN_ALL or max(sizes.values()) > MAX_BYTES:
        raise SystemExit(f"too large: {MAX_BYTES:,} bytes are allowed for one, {MAX_BYTES_IN_ALL:,} for all")


async def main(folder: Path) -> None:
    program = find_chromium() or sys.exit(MISSING)
    expect.set_options(timeout=20_000)
    with new_suite() as suite:
        server = await asyncio.to_thread(suite.server)
        async with (
            server.database("screenshots", template=server.template) as url,
            open_fleet(url, REPLICAS) as (fleet, model),
            open_site(fleet, model) as site,
            launched(program) as browser,
        ):
            store(folder, await photograph(browser, await set_stage(site, WORD_SECONDS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
