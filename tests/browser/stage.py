"""A user with sessions in every state, as they look in real life: what views are checked and photographed with."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from tests.browser.site import Site
from tests.support.anthropic_fake import block
from tests.support.waiting import eventually

PROMPT = "The date parser fails on 29 February of some years. Find out why, fix it and add tests."

THOUGHT = """\
The tests mention 1900 and 2100. Both are divisible by four, and neither is a leap year, so the rule in `is_leap` must \
be the short one. I should read the parser first, then write the tests that fail, and only then touch the code."""

PARSER = """\
def is_leap(year: int) -> bool:
    return year % 4 == 0


def parse_date(text: str) -> date:
    match = re.fullmatch(r"(\\d{4})-(\\d{2})-(\\d{2})", text)
    if match is None:
        raise ValueError(f"not a date: {text!r}")
    year, month, day = map(int, match.groups())
    ..."""

FINDING = """\
The parser knows only half of the rule. A year divisible by 100 is a leap year only if it is divisible by 400 too, so \
**1900 and 2100 are not**, and 2000 is. `parse_date("1900-02-29")` passes the check and then fails deep inside `date`.

Tests first:

```python
@pytest.mark.parametrize(
    ("year", "leap"), [(1900, False), (2000, True), (2024, True), (2100, False)]
)
def test_centuries_follow_the_rule_of_400(year: int, leap: bool) -> None:
    assert is_leap(year) is leap
```
"""

SUMMARY = """\
Fixed. `is_leap` now follows the Gregorian rule:

```python
def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
```

| Year | Before | Now |
| --- | --- | --- |
| 1900 | leap | common |
| 2000 | leap | leap |
| 2100 | leap | common |

What changed:

1. `dates/parser.py`: the rule, and an error that names the day and the month.
2. `tests/test_parser.py`: six tests; two of them failed before.

> `calendar.isleap` would do as well. I kept the function, because three modules import it.

Everything passes. Do you want a [changelog entry](https://keepachangelog.com/) for it?
"""

HALF = """\
I compared the three slowest queries of the report page with `EXPLAIN (ANALYZE, BUFFERS)`. The first one reads all of \
`orders` because of the cast in its `WHERE`:

```sql
SELECT customer_id, sum(total)
FROM orders
WHERE created_at::date = $1
"""

FILES = {
    "dates/parser.py": PARSER.encode(),
    "tests/test_parser.py": FINDING.encode(),
    "report/coverage.html": b"<!doctype html>" + bytes(48_000),
    "a-file-whose-name-is-much-longer-than-any-phone-is-wide-and-has-no-place-to-break-it.log": bytes(930_000),
}


@dataclass(frozen=True)
class Stage:
    site: Site
    token: str
    finished: str
    """Id of a session with everything that an answer may hold."""
    running: str
    """One whose answer has stopped in the middle, with a follow-up that waits."""
    failed: str
    link: str
    """What is behind `/shared/` in a link to the finished one."""
    go_on: asyncio.Event
    """Lets the running one go on."""


async def set_stage(site: Site, pause_seconds: float = 0.0) -> Stage:
    """`pause_seconds` lie between the words of the model, so that its runs take some time."""
    token, go_on = await site.new_login(), asyncio.Event()
    _script(site, go_on, pause_seconds)
    deleted = await _finished(site, token, "Try out the new formatter")
    await site.call(token, "DELETE", f"/api/sessions/{deleted}")
    await _finished(site, token, "Explain how this codebase handles errors, and where it does not")
    favorite = await _finished(site, token, "Rename Basket to Cart everywhere")
    await site.call(token, "PATCH", f"/api/sessions/{favorite}", {"favorite": True})
    failed = await _finished(site, token, "Upgrade the framework to its next major version")
    finished = await _finished(site, token, PROMPT)
    for path, content in FILES.items():
        await site.put_file(token, finished, path, content)
    link = await site.share(token, finished)
    running = (await site.run(token, "Find the slowest query of the report page and make it fast")).session_id
    await eventually(lambda: site.has_said(token, running, "orders"), "the running session has begun")
    await site.call(token, "POST", f"/api/sessions/{running}/send", {"message": "Then write down how you measured it"})
    return Stage(site, token, finished, running, failed, link, go_on)


async def _finished(site: Site, token: str, prompt: str) -> str:
    session_id = (await site.run(token, prompt)).session_id
    await eventually(lambda: site.is_over(token, session_id), f"{prompt} ends")
    return session_id


def _script(site: Site, go_on: asyncio.Event, pause_seconds: float) -> None:
    answer = [
        *thought(0, THOUGHT),
        *tool(1, "read_file", {"path": "dates/parser.py"}, PARSER),
        *said(3, FINDING),
        *tool(4, "run_tests", {"path": "tests/test_parser.py"}, "2 failed, 4 passed in 0.08s", is_error=True),
        *tool(6, "edit_file", {"path": "dates/parser.py", "line": 2}, "1 line changed"),
        *tool(8, "run_tests", {"path": "tests"}, "148 passed in 2.31s"),
        *said(10, SUMMARY),
    ]
    paused = [item for event in answer for item in (event, pause_seconds)] if pause_seconds else answer
    site.model.will_say(PROMPT, *paused)
    site.model.will_say("Find the slowest query of the report page and make it fast", *said(0, HALF), go_on)
    site.model.will_refuse("Upgrade the framework to its next major version", 400)


def thought(index: int, text: str) -> list[dict[str, Any]]:
    opened = {"type": "thinking", "thinking": "", "signature": ""}
    return block(index, opened, [{"type": "thinking_delta", "thinking": part} for part in _pieces(text)])


def said(index: int, text: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in _pieces(text)])


def tool(index: int, name: str, given: dict[str, Any], result: str, *, is_error: bool = False) -> list[dict[str, Any]]:
    """A call and its result, two blocks."""
    call_id = f"mcptoolu_{index}"
    answer = {"tool_use_id": call_id, "is_error": is_error, "content": [{"type": "text", "text": result}]}
    return [
        *block(
            index, {"type": "mcp_tool_use", "id": call_id, "name": name, "server_name": "workspace", "input": given}
        ),
        *block(index + 1, {"type": "mcp_tool_result", **answer}),
    ]


def _pieces(text: str) -> list[str]:
    """Word by word, as models speak."""
    return re.findall(r"\S+\s*|\s+", text)
