"""The Chromium of this machine, for tests and screenshots: where it is, and how it is started."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium: install it (Debian: apt-get install chromium), or name one by CHROMIUM"


def find_chromium() -> str | None:
    """The program, or None where there is none. `CHROMIUM` names one that must be there."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM={named} is no program")
        return found
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def must_be_there() -> bool:
    """Whether a missing Chromium is a failure, and no reason to leave tests out."""
    return os.environ.get("REQUIRE_BROWSER", "") not in ("", "0")


@contextlib.asynccontextmanager
async def launched(program: str) -> AsyncIterator[Browser]:
    """A browser without a window. Its own sandbox is off: it needs what root in a container has not."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        try:
            yield browser
        finally:
            await browser.close()
