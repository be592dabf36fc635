"""The web app as its users find it: by roles, labels and the words that they see. What the page looks like is known
here and nowhere else in the tests."""

import re

from playwright.async_api import Locator, Page, expect

from tests.browser.watch import UNAUTHENTICATED, Watch
from tests.support.fleet import PASSWORD


def words(text: str) -> str:
    """The text, however it was broken into lines."""
    return " ".join(text.split())


class App:
    """One tab. Methods wait until what they did shows."""

    def __init__(self, page: Page, watch: Watch) -> None:
        self.page = page
        self._watch = watch

    async def other_tab(self) -> "App":
        """Another tab of the same browser, not opened anywhere yet."""
        return App(await self.page.context.new_page(), self._watch)

    def expect_trouble(self, pattern: str) -> None:
        """What shows in the console and is no fault."""
        self._watch.announce(pattern)

    # Getting in and out ----------------------------------------------------------------------------------------------

    async def open(self, session_id: str = "") -> None:
        await self.page.goto(f"/#/s/{session_id}" if session_id else "/")

    async def open_logged_out(self, session_id: str = "") -> None:
        self._watch.announce(UNAUTHENTICATED)  # a page learns by it that nobody is logged in
        await self.open(session_id)
        await expect(self.page.get_by_role("heading", name="Log in")).to_be_visible()

    async def register(self, email: str, name: str = "") -> None:
        await self.page.get_by_role("button", name="Create one").click()
        await self.fill_in_account(email)
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_role("button", name="Create an account").click()

    async def log_in(self, email: str, password: str = PASSWORD) -> None:
        await self.fill_in_account(email, password)
        await self.page.get_by_role("button", name="Log in").click()

    async def fill_in_account(self, email: str, password: str = PASSWORD) -> None:
        await self.page.get_by_label("Email").fill(email)
        await self.page.get_by_label("Password").fill(password)

    async def log_out(self) -> None:
        await self.page.get_by_role("button", name="Log out").click()

    async def token(self) -> str:
        """What this browser is logged in by."""
        return next(one["value"] for one in await self.page.context.cookies() if one["name"] == "webedt_session")

    async def sees_user(self, name: str) -> None:
        await expect(self.page.get_by_text(name, exact=True)).to_be_visible()

    async def sees_login(self) -> None:
        await expect(self.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()

    # Sessions --------------------------------------------------------------------------------------------------------

    @property
    def new_prompt(self) -> Locator:
        return self.page.get_by_role("textbox", name="Prompt", exact=True)

    @property
    def follow_up(self) -> Locator:
        return self.page.get_by_role("textbox", name="Follow-up prompt")

    @property
    def conversation(self) -> Locator:
        return self.page.get_by_role("region", name="Conversation")

    @property
    def sessions(self) -> Locator:
        """The list; its items are links."""
        return self.page.get_by_role("navigation", name="Sessions")

    @property
    def session_id(self) -> str:
        found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", self.page.url)
        assert found, self.page.url
        return found[0]

    async def start(self, prompt: str, provider: str = "") -> str:
        """Start a session with its first prompt; its id."""
        if provider:
            await self.page.get_by_label("Provider").select_option(provider)
        await self.new_prompt.fill(prompt)
        await self.page.get_by_role("button", name="Start").click()
        await expect(self.conversation).to_be_visible()
        return self.session_id

    async def new_session(self) -> None:
        await self.page.get_by_role("link", name="New session").click()
        await expect(self.new_prompt).to_be_visible()

    async def open_from_list(self, title: str) -> None:
        await self.sessions.get_by_role("link", name=title).click()

    async def sees_in_list(self, title: str) -> None:
        await expect(self.sessions.get_by_text(title, exact=True)).to_be_visible()

    async def sees_no_sessions(self) -> None:
        await expect(self.sessions.get_by_text("Nothing here yet")).to_be_visible()

    async def sees_there_is_no_such_session(self) -> None:
        await expect(self.page.get_by_text("There is no such session, or it is not yours.")).to_be_visible()

    async def send(self, prompt: str) -> None:
        await self.follow_up.fill(prompt)
        await self.page.get_by_role("button", name="Send").click()
        await expect(self.follow_up).to_have_value("")

    async def interrupt(self) -> None:
        await self.page.get_by_role("button", name="Interrupt").click()

    async def can_interrupt(self) -> None:
        await expect(self.page.get_by_role("button", name="Interrupt")).to_be_visible()

    async def cannot_interrupt(self) -> None:
        await expect(self.page.get_by_role("button", name="Interrupt")).to_be_hidden()

    @property
    def waiting_prompts(self) -> Locator:
        return self.page.get_by_role("list", name="Waiting prompts").get_by_role("listitem")

    async def cancel_waiting(self, prompt: str) -> None:
        await self.page.get_by_role("button", name=f"Cancel the waiting prompt: {prompt}").click()

    async def reads(self, text: str | re.Pattern[str]) -> None:
        """Until the conversation says that."""
        await expect(self.conversation).to_contain_text(text)

    def _status(self, status: str) -> Locator:
        return self.page.get_by_role("main").locator("header").get_by_text(status, exact=True)

    async def has_status(self, status: str) -> bool:
        return await self._status(status).is_visible()

    async def sees_status(self, status: str) -> None:
        """Until the open session has that status."""
        await expect(self._status(status)).to_be_visible()

    # Dialogs and pages -----------------------------------------------------------------------------------------------

    async def open_shared(self, link: str) -> None:
        await self.page.goto(f"/shared/{link}")

    async def open_settings(self) -> None:
        await self.page.goto("/#/settings")
        await expect(self.page.get_by_role("heading", name="Settings")).to_be_visible()
        await expect(self.page.get_by_text("This device")).to_be_visible()

    async def open_operations(self) -> None:
        await self.page.goto("/#/operations")
        await expect(self.page.get_by_role("region", name="Table of replicas")).to_contain_text("r1")

    async def open_files(self) -> None:
        await self.page.get_by_role("button", name="Files").click()
        await expect(self.files).to_be_visible()

    @property
    def files(self) -> Locator:
        return self.page.get_by_role("dialog", name="Files")

    async def open_share_dialog(self) -> None:
        await self.page.get_by_role("button", name="Share").click()
        await expect(self.page.get_by_role("dialog", name="Share this session")).to_be_visible()

    async def make_link(self) -> str:
        """In the open dialog; what is behind `/shared/`."""
        await self.page.get_by_role("button", name="Make a link").click()
        url = self.page.get_by_role("textbox", name="Link")
        await expect(url).to_have_value(re.compile("/shared/."))
        return (await url.input_value()).rpartition("/")[2]

    async def show_only(self, what: str) -> None:
        """Of the sessions in the list: such as Failed, Favorites or Trash."""
        await self.page.get_by_role("combobox", name="Show").select_option(label=what)

    async def text(self) -> str:
        return words(await self.conversation.inner_text())

    async def unfold_everything(self) -> None:
        """Open whatever is folded: thoughts, tool calls."""
        folded = self.conversation.locator("details:not([open]) > summary")
        while await folded.count():
            await folded.first.click()
