"""Addresses, tabs, keys and logins: where a user comes from and goes to."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.watch import UNAUTHENTICATED, Watch
from tests.support.fleet import PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_logout_in_one_tab_ends_the_other(open_browser: OpenBrowser, site: Site, watch: Watch) -> None:
    token = await site.new_login()
    run = await site.run(token, "Hello")
    tab = await open_browser(token)
    await tab.open(run.session_id)
    other_tab = await tab.other_tab()
    await other_tab.open(run.session_id)
    for one in (tab, other_tab):
        await one.sees_status("Completed")
    watch.announce(UNAUTHENTICATED)
    await tab.log_out()
    await tab.sees_login()
    await other_tab.sees_login()
    assert "No such prompt" not in await other_tab.page.inner_text("body")


async def test_a_link_to_a_session_opens_it_after_the_login(open_browser: OpenBrowser, site: Site) -> None:
    browser = await open_browser()
    await browser.open_logged_out()
    await browser.register("linda@example.org")
    session_id = await browser.start("Hello")
    await browser.reads("No such prompt is known.")
    await browser.log_out()
    later = await open_browser()
    await later.open_logged_out(session_id)
    await later.log_in("linda@example.org")
    await later.reads("No such prompt is known.")
    assert later.session_id == session_id


async def test_back_and_forward_lead_through_the_sessions(open_browser: OpenBrowser, site: Site) -> None:
    browser = await open_browser(await site.new_login())
    await browser.open()
    site.model.will_say("One", "The answer to one.")
    site.model.will_say("Two", "The answer to two.")
    await browser.start("One")
    await browser.reads("The answer to one.")
    await browser.new_session()
    await browser.start("Two")
    await browser.reads("The answer to two.")
    await browser.page.go_back()
    await expect(browser.new_prompt).to_be_visible()
    await browser.page.go_back()
    await browser.reads("The answer to one.")
    assert "The answer to two." not in await browser.text()
    await browser.page.go_forward()
    await browser.page.go_forward()
    await browser.reads("The answer to two.")
    assert "The answer to one." not in await browser.text()


async def test_from_the_login_to_the_answer_by_keys_alone(open_browser: OpenBrowser, site: Site) -> None:
    browser = await open_browser()
    await browser.open_logged_out()
    await browser.register("keys@example.org")
    await browser.log_out()
    await browser.sees_login()
    await browser.page.reload()
    await browser.sees_login()
    press, write = browser.page.keyboard.press, browser.page.keyboard.type
    await write("keys@example.org")
    await press("Tab")
    await write(PASSWORD)
    await press("Enter")
    await expect(browser.new_prompt).to_be_focused()
    await write("Hello")
    await press("Enter")
    await browser.reads("No such prompt is known.")
    await expect(browser.follow_up).to_be_focused()
    await write("And again")
    await press("Enter")
    await expect(browser.conversation.get_by_text("No such prompt is known.")).to_have_count(2)


async def test_what_was_typed_survives_a_reload(open_browser: OpenBrowser, site: Site) -> None:
    token = await site.new_login()
    run = await site.run(token, "Hello")
    browser = await open_browser(token)
    await browser.open()
    await browser.new_prompt.fill("A half-written prompt")
    await browser.page.reload()
    await expect(browser.new_prompt).to_have_value("A half-written prompt")
    await browser.open(run.session_id)
    await browser.follow_up.fill("A half-written follow-up")
    await browser.page.reload()
    await expect(browser.follow_up).to_have_value("A half-written follow-up")
    await browser.open()
    await expect(browser.new_prompt).to_have_value("A half-written prompt")
