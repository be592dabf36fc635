"""What the browsers of a test talk to: a fleet of replicas behind one address, and a model that a test scripts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from yarl import URL

from tests.support.anthropic_fake import end, fake_anthropic, start, text
from tests.support.balancer import Balancer
from tests.support.fleet import PASSWORD, Caller, Fleet, Replica, Run, start_fleet


class Model:
    """Answers a prompt with the items that a test set for it (`tests.support.anthropic_fake`)."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}

    def will_say(self, prompt: str, *items: Any) -> None:
        """`items` stand between start and end: events, and what to wait for; a text is a block of its own."""
        script = [start(input_tokens=1200 + len(prompt))]
        for index, item in enumerate(items):
            script += text(index, item) if isinstance(item, str) else [item]
        stop, last = end()
        self._answers[prompt] = [*script, {**stop, "usage": {"output_tokens": 2 * len(items)}}, last]

    def will_refuse(self, prompt: str, status: int) -> None:
        self._answers[prompt] = (status, {})

    def __call__(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        prompt = body["messages"][-1]["content"][-1]  # before it may stand prompts that were never answered
        return self._answers.get(prompt["text"]) or [start(), *text(0, "No such prompt is known."), *end()]


class Site:
    def __init__(self, fleet: Fleet, balancer: Balancer, model: Model, caller: Caller) -> None:
        self.fleet = fleet
        self.balancer = balancer
        self.model = model
        self._caller = caller

    @property
    def url(self) -> str:
        return self.balancer.url

    async def new_login(self) -> str:
        """The token of a user that was not there before."""
        body = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, "displayName": "Ada Lovelace"}
        async with self._caller.http.post(f"{self.url}/api/auth/register", json=body) as answer:
            assert answer.status == 201, await answer.text()
            return answer.cookies["webedt_session"].value

    async def run(self, token: str, prompt: str, provider: str = "anthropic") -> Run:
        """Start a run beside the page, as another client of that user does."""
        body = {"userRequest": prompt, "provider": provider}
        headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async", "Idempotency-Key": uuid4().hex}
        status, answer = await self._caller.call("POST", self._living(), "/api/execute-remote", body, headers)
        assert status == 202, answer
        return Run(answer["sessionId"], answer["runId"])

    async def call(self, token: str, method: str, path: str, body: Any = None) -> Any:
        """Any other request of that user; its answer."""
        headers = {"Authorization": f"Bearer {token}"}
        status, answer = await self._caller.call(method, self._living(), path, body, headers)
        assert status < 400, answer
        return answer

    async def put_file(self, token: str, session_id: str, path: str, content: bytes) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._living().url}/api/sessions/{session_id}/files/{quote(path)}"
        async with self._caller.http.put(URL(url, encoded=True), data=content, headers=headers) as answer:
            assert answer.status == 201, await answer.text()

    async def share(self, token: str, session_id: str) -> str:
        """What is behind `/shared/` in the link to that session."""
        return str((await self.call(token, "POST", f"/api/sessions/{session_id}/share", {}))["shareToken"])

    async def events(self, token: str, session_id: str) -> list[dict[str, Any]]:
        """The log of a session, by its JSON pages."""
        events: list[dict[str, Any]] = []
        while True:
            after = events[-1]["id"] if events else 0
            page = await self.call(token, "GET", f"/api/sessions/{session_id}/events?after={after}")
            if not page["events"]:
                return events
            events += page["events"]

    async def is_over(self, token: str, session_id: str) -> bool:
        session = (await self.call(token, "GET", f"/api/sessions/{session_id}"))["session"]
        return session["status"] in ("completed", "failed", "interrupted")

    async def has_said(self, token: str, session_id: str, text: str) -> bool:
        return text in answer_of(await self.events(token, session_id))

    def _living(self) -> Replica:
        return next(replica for replica in self.fleet.replicas if replica.running)


@asynccontextmanager
async def open_fleet(database_url: str, replicas: int) -> AsyncIterator[tuple[Fleet, Model]]:
    """Replicas whose default provider is a model that can be scripted."""
    model = Model()
    with TemporaryDirectory(prefix="webedt-files-") as folder:
        async with fake_anthropic(model) as upstream:
            settings = {
                "ANTHROPIC_BASE_URL": upstream.url,
                "ANTHROPIC_API_KEY": "sk-of-the-tests",
                "DEFAULT_PROVIDER": "anthropic",
                "STORAGE_URL": f"file://{folder}",
            }
            async with start_fleet(database_url, replicas, **settings) as fleet:
                yield fleet, model


@asynccontextmanager
async def open_site(fleet: Fleet, model: Model) -> AsyncIterator[Site]:
    """That fleet behind an address of its own."""
    async with Balancer(fleet.replicas).running() as balancer, fleet.caller() as caller:
        yield Site(fleet, balancer, model, caller)


def answer_of(events: list[dict[str, Any]]) -> str:
    """The text that the model said, message by message; of unfinished ones what came."""
    whole = {event["data"]["messageId"]: event["data"]["content"] for event in events if event["type"] == "message"}
    said: dict[str, str] = {}
    for event in events:
        if event["type"] in ("text_delta", "message"):
            message_id = event["data"]["messageId"]
            said[message_id] = said.get(message_id, "") + event["data"].get("text", "")
    for message_id, content in whole.items():
        said[message_id] = "".join(block.get("text", "") for block in content if block["type"] == "text")
    return "\n".join(said.values())
