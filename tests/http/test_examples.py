"""The examples of the description are asked of a real replica; document and replica are both held to them."""

import json
from typing import Any

import jsonschema

from tests.http.client import LONG, SHORT, Client, Running, new_email, token_of
from tests.http.wire import Answer, Frame, events
from webedt.http.event_shapes import SHAPES
from webedt.http.examples import EXAMPLES, RUN_ID
from webedt.http.log_stream import EVENTS

# What is sent there is not to be shown anywhere.
SECRET = {"/api/user/credentials/{provider}"}
# What a run says that fails, is interrupted, thinks: each event of these must have its shape.
TALKS = (SHORT, "[[tokens=3 rate=0 thinking=3]] think", "[[tokens=9 rate=0 error_after=2]] fail")


def schema_of(document: Any, schema: Any) -> Any:
    """A schema that stands alone."""
    return {**schema, "components": document["components"]}


def check(document: Any, schema: Any, value: Any) -> None:
    jsonschema.validate(value, schema_of(document, schema), format_checker=jsonschema.FormatChecker())


def check_frame(document: Any, frame: Frame) -> None:
    assert frame.event is not None
    name = SHAPES[frame.event].__name__
    shape = document["components"]["schemas"][name]
    check(document, shape, frame.data)
    assert frame.data.keys() <= shape["properties"].keys(), f"{frame.event} says more than its shape"


def likeness(example: Any, found: Any, at: str = "$") -> None:
    """The same members of the same types; null stands for anything."""
    if example is None or found is None:
        return
    if isinstance(example, dict):
        assert found.keys() == example.keys(), at
        for key, value in example.items():
            likeness(value, found[key], f"{at}.{key}")
    elif isinstance(example, list):
        for value in found[:1] if example else []:
            likeness(example[0], value, f"{at}[0]")
    else:
        assert type(found) is type(example), at


async def the_document(app: Running) -> Any:
    return (await app.nobody.get("/api/openapi.json")).json()


async def test_examples_are_what_the_document_says(app: Running) -> None:
    document = await the_document(app)
    shown = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            contents = [body] if body else []
            for status, answer in operation["responses"].items():
                contents += [one for kind, one in answer.get("content", {}).items() if status.startswith("2")
                             and kind == "application/json"]  # fmt: skip
            for content in contents:
                if "example" in content:
                    check(document, content["schema"], content["example"])
                    shown += 1
            assert body is None or "example" in body or path in SECRET, f"{method} {path} shows no example of its body"
    assert shown >= 25
    for (_, path), example in EXAMPLES.items():
        for block in (example.stream or "").strip().split("\n\n"):
            frame = Frame(block.split("\n"))
            if example.stream and frame.event:
                assert frame.event in EVENTS or path == "/api/sessions/updates"
                check_frame(document, frame)


async def test_every_event_that_is_sent_has_the_shape_that_is_described(app: Running, user: Client) -> None:
    document, seen = await the_document(app), set()
    for talk in TALKS:
        async with user.stream("/api/execute-remote", {"userRequest": talk}) as stream:
            for frame in await stream.rest():
                if frame.event:
                    check_frame(document, frame)
                    seen.add(frame.event)
    session_id = (await user.start(LONG))["sessionId"]
    async with user.stream(f"/api/resume/{session_id}", Last_Event_ID="99999") as stream:
        await stream.until("caught_up")
        await user.post(f"/api/sessions/{session_id}/interrupt")
        for frame in [*stream.seen, *await stream.rest()]:
            if frame.event:
                check_frame(document, frame)
                seen.add(frame.event)
    async with user.stream("/api/sessions/updates") as stream:
        frames = await stream.until("snapshot")
        check_frame(document, frames[-1])
    assert seen >= {*EVENTS} - {"tool_use", "tool_result", "run_restarted", "run_recovered", "draining"}


async def test_the_examples_are_answered_as_they_say(app: Running) -> None:
    nobody, email = app.nobody, new_email()

    def example(method: str, path: str) -> Any:
        return json.loads(json.dumps(EXAMPLES[method, path].body).replace("ada@example.com", email))

    def alike(method: str, path: str, answer: Answer, status: int = 200) -> Any:
        assert answer.status == status, answer.body
        likeness(EXAMPLES[method, path].answer, answer.json())
        return answer.json()

    key = ("POST", "/api/auth/register")
    answer = await nobody.post(key[1], example(*key))
    alike(*key, answer, 201)
    user = app.bearer(token_of(answer))
    key = ("POST", "/api/auth/login")
    alike(*key, await nobody.post(key[1], example(*key)))
    for path in ("/api/auth/session", "/api/auth/sessions", "/api/user/preferences"):
        alike("GET", path, await user.get(path))

    key = ("POST", "/api/execute-remote")
    alike(*key, await user.post(key[1], example(*key), Prefer="respond-async"), 202)
    async with user.stream(key[1], example(*key)) as stream:
        said = events(await stream.rest())
        session_id = stream.head["X-Session-ID"]
    shown = [Frame(block.split("\n")).event for block in (EXAMPLES[key].stream or "").strip().split("\n\n")]
    assert [name for name in shown if name] == [name for name in dict.fromkeys(said) if name in shown]

    here = "/api/sessions/{id}"
    mine = here.replace("{id}", session_id)
    alike("GET", "/api/sessions", await user.get("/api/sessions"))
    alike("GET", here, await user.get(mine))
    key = ("PATCH", here)
    assert alike(*key, await user.patch(mine, example(*key)))["session"]["title"] == example(*key)["title"]
    alike("GET", f"{here}/events", await user.get(f"{mine}/events"))
    key = ("POST", f"{here}/share")
    made = alike(*key, await user.post(f"{mine}/share", example(*key)))
    alike("GET", "/api/shared/{token}", await app.nobody.get(f"/api/shared/{made['shareToken']}"))
    key = ("POST", f"{here}/send")
    alike(*key, await user.post(f"{mine}/send", example(*key)), 202)

    put = await user.ask("PUT", f"{mine}/files/logs/build.txt", b"red")
    alike("PUT", f"{here}/files/{{path}}", put, 201)
    alike("GET", f"{here}/files", await user.get(f"{mine}/files"))

    running = await user.start(LONG)
    key = ("POST", f"{here}/interrupt")
    body = json.loads(json.dumps(example(*key)).replace(RUN_ID, running["runId"]))
    alike(*key, await user.post(f"/api/sessions/{running['sessionId']}/interrupt", body), 202)

    assert (await user.delete(mine)).status == 204
    alike("POST", f"{here}/restore", await user.post(f"{mine}/restore"))
    assert (await user.ask("PUT", "/api/user/credentials/anthropic", {"apiKey": "sk-ant-none"})).status == 204
    alike("GET", "/api/user/credentials", await user.get("/api/user/credentials"))
    key = ("PATCH", "/api/user/preferences")
    alike(*key, await user.patch(key[1], example(*key)))
