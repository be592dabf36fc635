"""The official SDK against the fake Managed Agents API, in few words."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from anthropic import AsyncAnthropic, BaseModel

from tests.support.claude_fake import AGENT, ENVIRONMENT, FakeClaude, fake_claude

PREVIEWS: Any = ["agent.message", "agent.thinking"]


@asynccontextmanager
async def client_of(fake: FakeClaude, key: str = "sk-one") -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(api_key=key, base_url=fake.url, max_retries=0) as client:
        yield client


@asynccontextmanager
async def session_with(**how: Any) -> AsyncIterator[tuple[FakeClaude, AsyncAnthropic, str]]:
    async with fake_claude(**how) as fake, client_of(fake) as client:
        session = await client.beta.sessions.create(agent=AGENT, environment_id=ENVIRONMENT)
        yield fake, client, session.id


def prompt(text: str = "Do something.") -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


async def say(client: AsyncAnthropic, session_id: str, *events: Any) -> list[Any]:
    return list((await client.beta.sessions.events.send(session_id, events=events)).data or [])


async def listed(client: AsyncAnthropic, session_id: str, **how: Any) -> list[Any]:
    return [event async for event in client.beta.sessions.events.list(session_id, **how)]


async def until_idle(stream: Any, times: int = 1) -> list[Any]:
    seen = []
    async for event in stream:
        seen.append(event)
        times -= event.type in ("session.status_idle", "session.status_terminated")
        if times == 0:
            break
    await stream.close()
    return seen


def kinds(events: Iterable[Any]) -> list[str]:
    return [event.type for event in events]


def check(value: Any) -> None:
    """Every model is what its type says, field by field, and has no field more."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, (type(value), value.model_extra)
        type(value).model_validate(value.model_dump())
        for name in value.model_fields_set:
            check(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            check(item)
