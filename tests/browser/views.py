"""Every view of the app and the way there: what is checked on all of them, and photographed, goes by this table."""

from collections.abc import Awaitable, Callable

from playwright.async_api import expect

from tests.browser.app import App
from tests.browser.stage import Stage
from tests.browser.watch import NOT_FOUND

Show = Callable[[App, Stage], Awaitable[None]]


async def login(app: App, stage: Stage) -> None:
    await app.open_logged_out()


async def register(app: App, stage: Stage) -> None:
    await app.open_logged_out()
    await app.page.get_by_role("button", name="Create one").click()
    await expect(app.page.get_by_role("heading", name="Create an account")).to_be_visible()


async def new(app: App, stage: Stage) -> None:
    await app.open()
    await expect(app.new_prompt).to_be_visible()
    await app.sees_in_list("Rename Basket to Cart everywhere")


async def session(app: App, stage: Stage) -> None:
    await app.open(stage.finished)
    await app.reads("Everything passes.")
    await app.sees_status("Completed")


async def unfolded(app: App, stage: Stage) -> None:
    await session(app, stage)
    await app.unfold_everything()


async def running(app: App, stage: Stage) -> None:
    await app.open(stage.running)
    await app.reads("FROM orders")
    await app.sees_status("Running")


async def failed(app: App, stage: Stage) -> None:
    await app.open(stage.failed)
    await app.sees_status("Failed")


async def missing(app: App, stage: Stage) -> None:
    app.expect_trouble(NOT_FOUND)
    await app.open("00000000-0000-4000-8000-000000000000")
    await app.sees_there_is_no_such_session()


PUBLIC: dict[str, Show] = {"login": login, "register": register}
PRIVATE: dict[str, Show] = {
    "new-session": new,
    "session": session,
    "session-unfolded": unfolded,
    "session-running": running,
    "session-failed": failed,
    "session-missing": missing,
}
ALL = {**PUBLIC, **PRIVATE}
