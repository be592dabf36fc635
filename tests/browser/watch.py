"""What goes wrong in the pages of a test, whether or not the test looks: it fails by it in the end.

Errors on the console (a refused script and every other breach of the content security policy is one), exceptions,
dialogs, requests that failed and answers of 400 and above. A test announces what it brings about itself.
"""

import asyncio
import re

from playwright.async_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

# A script that was smuggled in would call this.
CANARY = "window.__xss = 0; addEventListener('securitypolicyviolation', (e) => console.error('csp', e.blockedURI));"

# The page itself stopped listening, or was left.
OWN_DOING = "net::ERR_ABORTED"
NETWORK = r"net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|CONNECTION_REFUSED|EMPTY_RESPONSE|NETWORK_CHANGED)"
OFFLINE = r"net::ERR_INTERNET_DISCONNECTED"
UNAUTHENTICATED = r"status of 401"
NOT_FOUND = r"status of 404"


class Watch:
    def __init__(self) -> None:
        self._troubles: list[str] = []
        self._announced: list[str] = []
        self._contexts: list[BrowserContext] = []
        self._dismissals: set[asyncio.Future[None]] = set()

    def announce(self, *patterns: str) -> None:
        """Errors that match one of these are what the test is about."""
        self._announced += patterns

    async def follow(self, context: BrowserContext) -> None:
        await context.add_init_script(CANARY)
        self._contexts.append(context)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("requestfailed", self._failed)
        context.on("dialog", self._dialog)

    @property
    def troubles(self) -> list[str]:
        """What nobody announced."""
        return [one for one in self._troubles if not any(re.search(pattern, one) for pattern in self._announced)]

    async def scripts_smuggled_in(self) -> list[str]:
        """Addresses of open pages in which foreign script ran."""
        pages = [page for context in self._contexts for page in context.pages]
        return [page.url for page in pages if await page.evaluate("window.__xss")]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self._troubles.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self._troubles.append(f"exception: {error.error.stack or error.error.message}")

    def _failed(self, request: Request) -> None:
        if request.failure != OWN_DOING:
            self._troubles.append(f"request: {request.failure} ({request.method} {request.url})")

    def _dialog(self, dialog: Dialog) -> None:
        self._troubles.append(f"dialog: {dialog.message}")
        dismissal = asyncio.ensure_future(dialog.dismiss())  # else the page waits for ever
        self._dismissals.add(dismissal)
        dismissal.add_done_callback(self._dismissals.discard)
