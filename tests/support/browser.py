"""A real browser without a window, for tests and screenshots."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright


@contextlib.asynccontextmanager
async def launched(program: str) -> AsyncIterator[Browser]:
    """That Chromium, until the end of the block. Its sandbox is off: it needs what root in a container has not."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        try:
            yield browser
        finally:
            await browser.close()
