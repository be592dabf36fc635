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
    await app.can_interrupt()


async def failed(app: App, stage: Stage) -> None:
    await app.open(stage.failed)
    await app.sees_status("Failed")


async def missing(app: App, stage: Stage) -> None:
    app.expect_trouble(NOT_FOUND)
    await app.open("00000000-0000-4000-8000-000000000000")
    await app.sees_there_is_no_such_session()


async def api_docs(app: App, stage: Stage) -> None:
    await app.page.goto("/api/docs")
    await expect(app.page.get_by_role("heading", name="WebEDT API")).to_be_visible()


async def shared(app: App, stage: Stage) -> None:
    await app.open_shared(stage.link)
    await app.reads("Everything passes.")
    await app.sees_status("Completed")


async def not_shared(app: App, stage: Stage) -> None:
    app.expect_trouble(NOT_FOUND)
    await app.open_shared("a-link-that-nobody-made")
    await expect(app.page.get_by_text("There is no such shared conversation")).to_be_visible()


async def trash(app: App, stage: Stage) -> None:
    await app.open()
    await app.show_only("Trash")
    await app.sees_in_list("Try out the new formatter")


async def share_dialog(app: App, stage: Stage) -> None:
    await session(app, stage)
    await app.open_share_dialog()
    await app.make_link()


async def files(app: App, stage: Stage) -> None:
    await session(app, stage)
    await app.open_files()
    await expect(app.files).to_contain_text("dates/parser.py")


async def settings(app: App, stage: Stage) -> None:
    await app.open_settings()


async def operations(app: App, stage: Stage) -> None:
    await app.open_operations()


async def shortcuts(app: App, stage: Stage) -> None:
    await new(app, stage)
    await app.page.get_by_role("button", name="Shortcuts").click()
    await expect(app.page.get_by_role("dialog")).to_be_visible()


PUBLIC: dict[str, Show] = {
    "login": login,
    "register": register,
    "shared": shared,
    "shared-missing": not_shared,
    "api-docs": api_docs,
}
PRIVATE: dict[str, Show] = {
    "new-session": new,
    "session": session,
    "session-unfolded": unfolded,
    "session-running": running,
    "session-failed": failed,
    "session-missing": missing,
    "share": share_dialog,
    "files": files,
    "trash": trash,
    "shortcuts": shortcuts,
    "settings": settings,
    "operations": operations,
}
ALL = {**PUBLIC, **PRIVATE}
