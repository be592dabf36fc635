"""What a user does with sessions, and what another tab shows of it: names, favorites, the trash, links, files."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.app import App
from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.watch import NOT_FOUND, Watch

pytestmark = pytest.mark.asyncio(loop_scope="session")

BYTES = bytes(range(256)) * 300


async def choose(app: App, title: str, action: str) -> None:
    """What the menu beside a session offers."""
    entry = app.sessions.get_by_role("listitem").filter(has_text=title)
    await entry.hover()
    await entry.get_by_role("button", name=f"More for {title}").click()
    await app.page.get_by_role("menuitem", name=action).click()


async def test_a_session_is_renamed_starred_found_thrown_away_and_brought_back_before_the_eyes_of_another_tab(
    open_browser: OpenBrowser, site: Site
) -> None:
    token = await site.new_login()
    for prompt in ("Paint the fence", "Mow the lawn"):
        await site.run(token, prompt, provider="simulated")
    tab, phone = await open_browser(token), await open_browser(token)
    for reader in (tab, phone):
        await reader.open()
        await reader.sees_in_list("Mow the lawn")
    await choose(tab, "Paint the fence", "Rename")
    await tab.page.get_by_label("New title of Paint the fence").fill("Paint the gate")
    await tab.page.keyboard.press("Enter")
    await phone.sees_in_list("Paint the gate")
    await choose(tab, "Paint the gate", "Add to favorites")
    await phone.show_only("Favorites")
    await expect(phone.sessions.get_by_role("listitem")).to_have_count(1)
    await phone.sees_in_list("Paint the gate")
    await phone.show_only("All sessions")
    await phone.page.get_by_label("Search titles").fill("lawn")
    await expect(phone.sessions.get_by_role("listitem")).to_have_count(1)
    await phone.sees_in_list("Mow the lawn")
    await phone.page.get_by_label("Search titles").fill("")
    await choose(tab, "Paint the gate", "Move to trash")
    await expect(phone.sessions.get_by_text("Paint the gate")).to_have_count(0)
    await phone.show_only("Trash")
    await phone.page.get_by_role("button", name="Restore").click()
    await tab.sees_in_list("Paint the gate")


async def test_whoever_reads_by_a_link_sees_at_once_that_it_was_taken_back(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    token = await site.new_login()
    run = await site.run(token, "[[tokens=9000 rate=20]]", provider="simulated")
    owner, reader = await open_browser(token), await open_browser()
    await owner.open(run.session_id)
    await owner.open_share_dialog()
    await reader.open_shared(await owner.make_link())
    await reader.reads("This is a simulated answer")
    await expect(reader.page.get_by_role("textbox")).to_have_count(0)
    watch.announce(NOT_FOUND)
    await owner.page.get_by_role("button", name="Revoke").click()
    await expect(reader.page.get_by_text("This conversation is no longer shared.")).to_be_visible()
    await site.call(token, "POST", f"/api/sessions/{run.session_id}/interrupt", {})


async def test_a_file_goes_up_comes_down_as_it_was_and_is_deleted_by_the_second_press(
    open_browser: OpenBrowser, site: Site, tmp_path: Path
) -> None:
    token = await site.new_login()
    run = await site.run(token, "Hello", provider="simulated")
    browser = await open_browser(token)
    await browser.open(run.session_id)
    await browser.open_files()
    await expect(browser.files).to_contain_text("No files yet.")
    name = "notes <b>&.bin"
    await browser.files.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/html", "buffer": BYTES}
    )
    async with browser.page.expect_download() as started:
        await browser.files.get_by_role("link", name=f"Download {name}").click()
    download = await started.value
    await download.save_as(tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == BYTES
    await browser.files.get_by_role("button", name=f"Delete {name}").click()
    await expect(browser.files.get_by_role("link", name=re.compile("Download"))).to_have_count(1)
    await browser.files.get_by_role("button", name=f"Really delete {name}").click()
    await expect(browser.files).to_contain_text("No files yet.")
    left = await site.call(token, "GET", f"/api/sessions/{run.session_id}/files")
    assert (left["files"], left["usedBytes"]) == ([], 0)


async def test_operations_show_a_run_that_begins_and_a_replica_that_is_gone(
    open_browser: OpenBrowser, site: Site, watch: Watch
) -> None:
    token = await site.new_login()
    browser = await open_browser(token)
    await browser.open_operations()
    active = browser.page.get_by_role("figure", name="Active runs")
    before = await active.text_content() or ""
    run = await site.run(token, "[[tokens=9000 rate=20]]", provider="simulated")
    await expect(active).not_to_have_text(before)
    await site.call(token, "POST", f"/api/sessions/{run.session_id}/interrupt", {})
    row = browser.page.get_by_role("region", name="Table of replicas").get_by_role("row").filter(has_text="r2")
    await expect(row).to_have_count(1)
    watch.announce("net::ERR_", "status of 50")
    site.fleet[1].kill()
    await expect(row).to_have_count(0)
