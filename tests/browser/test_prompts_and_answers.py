"""What goes into a prompt besides text, and what an answer is made of: pictures, steps in their order, code, motion."""

import asyncio
import base64

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.browser.stage import PARSER, said, tool

pytestmark = pytest.mark.asyncio(loop_scope="session")

# As a clipboard has it: a picture that was drawn just now, without a name.
PASTE = """async (field) => {
  const canvas = new OffscreenCanvas(40, 30);
  canvas.getContext('2d').fillRect(5, 5, 20, 20);
  const data = new DataTransfer();
  data.items.add(new File([await canvas.convertToBlob({ type: 'image/png' })], 'image.png', { type: 'image/png' }));
  field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
}"""
STEPS = "[...document.querySelectorAll('#transcript .items > *')].map((step) => step.innerText.split('\\n')[0])"
BEING_WRITTEN = "document.querySelectorAll('#transcript .message[aria-busy]').length"
MOVING = "document.getAnimations().filter(({ playState }) => playState === 'running').length"


async def test_a_picture_that_is_pasted_goes_with_the_prompt(open_browser: OpenBrowser, site: Site) -> None:
    token = await site.new_login()
    browser = await open_browser(token)
    await browser.open()
    await expect(browser.new_prompt).to_be_visible()
    await browser.new_prompt.evaluate(PASTE)
    await expect(browser.page.get_by_role("button", name="Remove image.png")).to_be_visible()
    session_id = await browser.start("What is this?", provider="simulated")
    await expect(browser.conversation.get_by_role("img", name="Attached picture")).to_be_visible()
    prompt = (await site.events(token, session_id))[0]["data"]["content"]
    (picture,) = (block["source"] for block in prompt if block["type"] == "image")
    assert picture["media_type"] == "image/png"
    assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")
    assert await browser.new_prompt.is_hidden()


async def test_the_steps_of_an_answer_stand_in_their_order_while_it_comes_and_when_it_is_read_again(
    open_browser: OpenBrowser, site: Site
) -> None:
    token, go_on = await site.new_login(), asyncio.Event()
    site.model.will_say(
        "Step by step",
        *said(0, "I read it first."),
        *tool(1, "read_file", {"path": "a.py"}, PARSER),
        *said(3, "Now I run it."),
        *tool(4, "run_tests", {"path": "."}, "1 passed"),
        *said(6, "All is well."),
        go_on,
    )
    steps = ["I read it first.", "read_file", "Now I run it.", "run_tests", "All is well."]
    browser = await open_browser(token)
    await browser.open()
    await browser.start("Step by step")
    await browser.reads("All is well.")
    assert await browser.page.evaluate(STEPS) == steps
    assert await browser.page.evaluate(BEING_WRITTEN) == 1
    go_on.set()
    await browser.sees_status("Completed")
    assert await browser.page.evaluate(STEPS) == steps
    await browser.page.reload()
    await browser.reads("All is well.")
    assert await browser.page.evaluate(STEPS) == steps


async def test_code_is_copied_as_the_model_wrote_it(open_browser: OpenBrowser, site: Site) -> None:
    code = "if a < b && c:\n\tprint('<b>&amp;')\n"
    site.model.will_say("Code, please", f"Here:\n\n```python\n{code}```\n")
    browser = await open_browser(await site.new_login(), permissions=["clipboard-read", "clipboard-write"])
    await browser.open()
    await browser.start("Code, please")
    await browser.sees_status("Completed")
    await browser.conversation.get_by_role("button", name="Copy").first.click()
    await expect(browser.conversation.get_by_role("button", name="Copied")).to_be_visible()
    assert await browser.page.evaluate("navigator.clipboard.readText()") == code.rstrip("\n")


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
async def test_nothing_moves_for_who_asked_for_less_motion(
    open_browser: OpenBrowser, site: Site, motion: str, moves: bool
) -> None:
    go_on = asyncio.Event()
    site.model.will_say(f"Work, {motion}", *said(0, "I am at it."), go_on)
    browser = await open_browser(await site.new_login(), reduced_motion=motion)
    await browser.open()
    await browser.start(f"Work, {motion}")
    await browser.reads("I am at it.")
    await browser.can_interrupt()
    assert (await browser.page.evaluate(MOVING) > 0) is moves
    go_on.set()
