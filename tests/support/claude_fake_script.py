"""What an agent does upon a prompt: a list of steps, written out or made from a few directives.

Directives stand in the prompt, as in `[[messages=3 deltas=20 rate=50 tools=1]]`, or come as a dict. A step is a dict
whose `do` names what happens; what belongs to a model request opens one where none is open, the rest closes it:

    thinking                             a thinking block
    message   text deltas shed           a message, previewed in `deltas` pieces of which only `shed` are delivered
    tool      name input result is_error a tool that needs no permission, and its result
    mcp       name server input result   the same of an MCP server
    ask       count name input result    `count` tools that wait for user.tool_confirmation
    custom    count name input           `count` custom tools that wait for user.custom_tool_result
    fail      text deltas                a model request that breaks off in the middle of a preview
    error     type retry message         a session.error: "retrying", "exhausted" (ends the turn), "terminal" (the end)
    reschedule                           status_rescheduled, then status_running again
    refusal   category                   the turn ends as refused
    budget                               the session pauses at its budget until that is updated
    compact                              the context is compacted
    usage                                a snapshot of the usage
    sleep     seconds                    nothing, for so long
    gate      name                       nothing, until the gate is opened
    rate      rate                       from here on, so many events a second
    event     event                      this event, stamped and persisted as it is
    close_streams                        every open stream of the session ends cleanly
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Step = Mapping[str, Any]
Script = list[Step] | Mapping[str, Any]

DIRECTIVES = re.compile(r"\[\[([^\[\]]*)\]\]")
DEFAULTS: Mapping[str, Any] = {
    "messages": 2,
    "deltas": 4,
    "rate": None,
    "tools": 1,
    "thinking": 1,
    "text": "",
    "chars": 6,
    "shed": None,
    "ask": 0,
    "custom": 0,
    "mcp": 0,
    "fail": 0,
    "retrying": 0,
    "reschedule": 0,
    "error": "",
    "error_type": "model_overloaded_error",
    "refusal": 0,
    "budget": 0,
    "compact": 0,
    "silence": 0.0,
    "gate": "",
}


@dataclass(frozen=True)
class Turn:
    """What a script that is a function is asked about."""

    session_id: str
    number: int  # the first prompt of a session is 1
    prompt: str


ScriptSource = Script | Callable[[Turn], Script]


class BadScript(Exception):
    """No such directive, or not of that kind."""


def directives_in(prompt: str) -> dict[str, Any] | None:
    """The directives that stand in a prompt, None where there are none."""
    found = DIRECTIVES.findall(prompt)
    if not found:
        return None
    words: dict[str, Any] = {}
    for word in " ".join(found).split():
        name, _, value = word.partition("=")
        words[name] = value or "1"
    return words


def steps_of(script: Script, prompt: str, number: int) -> list[Step]:
    """A list of steps as it is, directives as the steps that they stand for."""
    if isinstance(script, list):
        return script
    given = {**DEFAULTS, **script}
    if unknown := given.keys() - DEFAULTS.keys():
        raise BadScript(f"no such directive: {', '.join(sorted(unknown))}")
    numbers = ("messages", "deltas", "tools", "thinking", "chars", "ask", "custom", "mcp", "fail", "retrying")
    for name in (*numbers, "reschedule", "refusal", "budget", "compact"):
        given[name] = int(given[name])
    return list(_steps(given, number))


def _steps(given: dict[str, Any], number: int) -> list[Step]:
    steps: list[Step] = []
    if given["rate"] is not None:
        steps.append({"do": "rate", "rate": float(given["rate"])})
    if given["thinking"]:
        steps.append({"do": "thinking"})
    steps += [{"do": "error", "type": given["error_type"], "retry": "retrying"}] * given["retrying"]
    steps += [{"do": "fail", "deltas": given["deltas"]}] * given["fail"]
    steps += [{"do": "reschedule"}] * given["reschedule"]
    steps += [{"do": "compact"}] * given["compact"]
    # The first message comes before whatever else there is, the others after it.
    for place in range(1, given["messages"] + 1):
        text = given["text"] or _text(number, place, given["deltas"] * given["chars"])
        steps.append({"do": "message", "text": text, "deltas": given["deltas"], "shed": given["shed"]})
        if place == 1:
            steps += _in_the_middle(given)
    if given["messages"] == 0:
        steps += _in_the_middle(given)
    if given["error"]:
        steps.append({"do": "error", "type": given["error_type"], "retry": given["error"]})
    if given["refusal"]:
        steps.append({"do": "refusal"})
    return steps


def _in_the_middle(given: dict[str, Any]) -> list[Step]:
    steps: list[Step] = []
    if given["gate"]:
        steps.append({"do": "gate", "name": given["gate"]})
    if float(given["silence"]):
        steps.append({"do": "sleep", "seconds": float(given["silence"])})
    for place in range(given["tools"]):
        steps.append({"do": "tool", "input": {"command": f"ls {place}"}, "result": f"file {place}"})
    steps += [{"do": "mcp"}] * given["mcp"]
    if given["ask"]:
        steps.append({"do": "ask", "count": given["ask"]})
    if given["custom"]:
        steps.append({"do": "custom", "count": given["custom"]})
    if given["budget"]:
        steps.append({"do": "budget"})
    return steps


def _text(number: int, place: int, length: int) -> str:
    """A text of about this length in which any two places differ, so that a piece lost or doubled shows."""
    text = f"Turn {number}, message {place}:"
    word = 0
    while len(text) < length:
        word += 1
        text += f" w{word}"
    return text


def pieces(text: str, count: int) -> list[str]:
    """The text in this many pieces of about the same length, none of them empty."""
    count = max(1, min(count, len(text)))
    edges = [len(text) * place // count for place in range(count + 1)]
    return [text[left:right] for left, right in pairwise(edges)]
