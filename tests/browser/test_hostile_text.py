"""Whatever users and models write is text: nothing of it becomes script, markup that loads, or a link that runs."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenBrowser
from tests.browser.site import Site
from tests.support.anthropic_fake import block

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMAGE = '<img src="x" onerror="window.__xss=1">'
SCRIPT = "<script>window.__xss=1;alert(1)</script>"
MARKDOWN = """\
# Hello <img src="y" onerror="window.__xss=1">

[a link](javascript:window.__xss=1) [another](JaVaScRiPt:window.__xss=1 "title") <javascript:window.__xss=1>
[third](data:text/html,<script>window.__xss=1</script>) [fourth](  java&#115;cript:window.__xss=1) [5](vbscript:x)
![picture](x" onerror="window.__xss=1) ![remote](https://example.org/pixel.png) [ref]

[ref]: javascript:window.__xss=1

<svg onload="window.__xss=1"></svg><iframe src="javascript:window.__xss=1"></iframe><math><mi xlink:href="x">
<a href="javascript:window.__xss=1">x</a><style>body{display:none}</style><base href="//example.org/">

| a | b |
| --- | --- |
| <img src="z" onerror="window.__xss=1"> | </td></table><script>window.__xss=1</script> |

```html"><script>window.__xss=1</script>
</code></pre><img src="w" onerror="window.__xss=1">
```

`</code><script>window.__xss=1</script>` **<b onclick="window.__xss=1">bold</b>**

That was all.
"""
DANGEROUS = """() => [
  ...[...document.querySelectorAll('a[href], area[href]')].map(({ href }) => href)
    .filter((href) => !/^(https?|mailto):/.test(href)),
  ...[...document.querySelectorAll('*')].flatMap((node) => [...node.attributes])
    .filter(({ name }) => /^on|^srcdoc$|^style$/.test(name)).map(({ name, value }) => `${name}=${value}`),
  ...[...document.querySelectorAll('body script, main style, iframe, object, embed, base, img[src^=http], svg[onload]')]
    .map((node) => node.outerHTML),
]"""


async def test_prompts_answers_tools_and_titles_stay_text(open_browser: OpenBrowser, site: Site) -> None:
    token = await site.new_login()
    prompt = f"{IMAGE} {SCRIPT} {MARKDOWN}"
    tool = {"type": "server_tool_use", "id": "srvtoolu_1", "name": f"search{IMAGE}", "input": {IMAGE: SCRIPT}}
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    site.model.will_say(
        prompt,
        *block(0, thinking, [{"type": "thinking_delta", "thinking": MARKDOWN + SCRIPT}]),
        *block(1, tool),
        *block(2, {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in MARKDOWN.split(" ")]),
    )
    browser = await open_browser(token)
    await browser.open()
    session_id = await browser.start(prompt)
    await browser.reads("That was all.")
    await browser.sees_status("Completed")
    await site.call(token, "PATCH", f"/api/sessions/{session_id}", {"title": f"Title {IMAGE}{SCRIPT}"})
    await browser.sees_in_list(f"Title {IMAGE}{SCRIPT}")
    await browser.unfold_everything()
    assert await browser.page.evaluate(DANGEROUS) == []
    reader = await open_browser()
    await reader.open_shared(await site.share(token, session_id))
    for again in (browser, reader):
        await again.page.reload()
        await again.reads("That was all.")
        await again.unfold_everything()
        assert await again.page.evaluate(DANGEROUS) == []


async def test_the_names_of_files_stay_text(open_browser: OpenBrowser, site: Site) -> None:
    token = await site.new_login()
    run = await site.run(token, "Hello")
    names = [f"a {IMAGE}.txt", 'b" onmouseover="window.__xss=1.html', "javascript:window.__xss=1", "c & <b>d</b>/e.svg"]
    for name in names:
        await site.put_file(token, run.session_id, name, b"<script>window.__xss=1</script>")
    browser = await open_browser(token)
    await browser.open(run.session_id)
    await browser.open_files()
    for name in names:
        await expect(browser.files).to_contain_text(name)
    assert await browser.page.evaluate(DANGEROUS) == []


async def test_the_name_of_a_user_stays_text(open_browser: OpenBrowser, site: Site) -> None:
    browser = await open_browser()
    await browser.open_logged_out()
    await browser.register("mallory@example.org", f"Mallory {IMAGE}{SCRIPT}")
    await browser.sees_user(f"Mallory {IMAGE}{SCRIPT}")
    assert await browser.page.evaluate(DANGEROUS) == []
