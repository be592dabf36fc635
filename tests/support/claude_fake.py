"""A Managed Agents API of one's own, on loopback: `client.beta.sessions` of the official SDK, with faults on request.

In the test's process, `async with fake_claude() as fake`; or as a process of its own, which outlives the replicas that
a test kills: `python -m tests.support.claude_fake`, scripted through /_fake/ (see claude_fake_control).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.claude_fake_faults import Fault, Refused
from tests.support.claude_fake_http import Events, Seen, endpoint, key_hash
from tests.support.claude_fake_script import ScriptSource, Turn
from tests.support.claude_fake_sessions import Sessions
from tests.support.claude_fake_state import Clock, Event, Ids, Options, Session
from tests.support.claude_fake_steps import Agent

AGENT = "agent_fake"
ENVIRONMENT = "env_fake"
MODEL = "claude-opus-5"


class FakeClaude:
    """`keys` maps each API key to its workspace (or lists keys with a workspace each); None takes any key.

    `script` is what an agent does upon a prompt without directives, `scripts` the same for one session.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str] | Iterable[str] | None = None,
        agents: Iterable[str] = (AGENT,),
        environments: Iterable[str] = (ENVIRONMENT,),
        models: Collection[str] | None = None,
        script: ScriptSource | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.url = ""
        self.options = Options(**options)
        self.clock = Clock(self.options)
        self.ids = Ids(seed)
        self.keys: dict[str, str] | None = None
        if keys is not None:
            named = keys if isinstance(keys, Mapping) else {key: _workspace(key) for key in keys}
            self.keys = dict(named)
        self.agents: dict[str, dict[str, Any]] = {
            name: {"name": name, "version": 1, "model": {"id": MODEL}} for name in agents
        }
        self.environments = set(environments)
        self.models = models
        self.script: ScriptSource = {} if script is None else script
        self.scripts: dict[str, ScriptSource] = {}
        self.sessions: dict[str, Session] = {}
        self.deleted: dict[str, Session] = {}
        self.agents_at_work: dict[str, Agent] = {}
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.arrived: Counter[str] = Counter()  # create, archive, delete, and the events sent by their type
        self.failures: list[BaseException] = []  # of scripts
        self.events = Events(self)
        self._gates: dict[str, asyncio.Event] = {}
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    # What a test asks.

    def log(self, session_id: str) -> list[Event]:
        """What is persisted of a session, in list order, even when it has been deleted."""
        return [dict(event) for _, event in self._any(session_id).listed()]

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return sum(len(session.listeners) for session in self.sessions.values())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        server = None if self._runner is None else self._runner.server
        open_ones = [one for one in ([] if server is None else server.connections) if one.transport is not None]
        return len([one for one in open_ones if one.transport is not None and not one.transport.is_closing()])

    async def logged(self, session_id: str, kind: str, count: int = 1, within: float = 10) -> Event:
        """Wait until the log has so many events of a type; the last of them."""
        async with asyncio.timeout(within):
            while True:
                found = [event for event in self.log(session_id) if event["type"] == kind]
                if len(found) >= count:
                    return found[count - 1]
                await asyncio.sleep(0.002)

    # What a test does to it.

    def fail(self, endpoint: str, kind: str, **how: Any) -> Fault:
        """Have a fault: see `Fault`. The first that meets a request befalls it."""
        self.faults.append(Fault(endpoint, kind, **how))
        return self.faults[-1]

    def open_gate(self, name: str) -> None:
        self.gate(name).set()

    def emit(self, session_id: str, kind: str, **fields: Any) -> Event:
        """An event out of turn, persisted and on the streams."""
        return self.agents_at_work[session_id].emit(kind, **fields)

    def close_streams(self, session_id: str | None = None) -> None:
        """End the open streams cleanly."""
        for session in self.sessions.values():
            if session_id in (None, session.id):
                session.close_streams()

    def allow(self, key: str, workspace: str | None = None) -> None:
        """Take this key too; from now on only those that are named."""
        self.keys = {**(self.keys or {}), key: workspace or _workspace(key)}

    def revoke(self, key: str) -> None:
        if self.keys is not None:
            self.keys.pop(key, None)

    async def remove(self, session: Session) -> None:
        """Delete a session: its streams get a last event and end."""
        await self.agents_at_work[session.id].stop()
        session.broadcast({"id": self.ids("sevt"), "type": "session.deleted", "processed_at": self.clock.stamp()})
        session.close_streams()
        session.deleted = True
        self.deleted[session.id] = self.sessions.pop(session.id)

    async def listen(self, port: int = 0) -> None:
        """Accept connections: at first, or again, at the same address."""
        if self._runner is None:
            self._runner = web.AppRunner(
                self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
            )
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", port or self._port, reuse_address=True)
        await self._site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def refuse_connections(self) -> None:
        """Close the port until `listen`, and abort what is open; the agents go on."""
        assert self._site is not None
        await self._site.stop()
        self.abort_connections()

    def abort_connections(self, but: asyncio.BaseTransport | None = None) -> None:
        """Abort the connections that are open, streams and all: nobody is told of an end."""
        server = None if self._runner is None else self._runner.server
        for connection in [] if server is None else server.connections:
            if connection.transport is not None and connection.transport is not but:
                connection.transport.abort()

    async def close(self) -> None:
        for agent in self.agents_at_work.values():
            await agent.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    # What the endpoints and the agents ask.

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def script_for(self, session: Session, turn: Turn) -> ScriptSource:
        return self.scripts.get(session.id, self.script)

    def fault_for(self, endpoint: str, session_id: str | None) -> Fault | None:
        return next((fault for fault in self.faults if fault.meets(endpoint, session_id)), None)

    def workspace_of(self, key: str | None) -> str:
        if key is None or (self.keys is not None and key not in self.keys):
            raise Refused(401, "invalid x-api-key")
        return _workspace(key) if self.keys is None else self.keys[key]

    def session_of(self, request: web.Request, workspace: str) -> Session:
        wanted = request.match_info["session_id"]
        session = self.sessions.get(wanted)
        if session is None or session.workspace != workspace:
            raise Refused(404, f"Session {wanted} not found")
        return session

    def add(self, session: Session) -> None:
        self.arrived["create"] += 1
        self.sessions[session.id] = session
        self.agents_at_work[session.id] = Agent(self, session)

    def _any(self, session_id: str) -> Session:
        return self.sessions.get(session_id) or self.deleted[session_id]

    @property
    def _port(self) -> int:
        return int(self.url.rsplit(":", 1)[-1]) if self.url else 0

    def _application(self) -> web.Application:
        from tests.support.claude_fake_control import control_routes

        sessions, one = Sessions(self), "/v1/sessions/{session_id}"
        routes = [
            ("POST", "/v1/sessions", "create", sessions.create),
            ("GET", "/v1/sessions", "list_sessions", sessions.list_them),
            ("GET", one, "retrieve", sessions.retrieve),
            ("POST", one, "update", sessions.update),
            ("DELETE", one, "delete", sessions.delete),
            ("POST", one + "/archive", "archive", sessions.archive),
            ("GET", one + "/events", "list", self.events.list_them),
            ("POST", one + "/events", "send", self.events.send),
            ("GET", one + "/events/stream", "stream", self.events.stream),
            ("GET", one + "/resources", "resources", sessions.resources),
            ("POST", one + "/resources", "add_resource", sessions.add_resource),
            ("GET", one + "/resources/{resource_id}", "resource", sessions.resource),
            ("POST", one + "/resources/{resource_id}", "update_resource", sessions.update_resource),
            ("DELETE", one + "/resources/{resource_id}", "delete_resource", sessions.delete_resource),
        ]
        application = web.Application(client_max_size=32 * 1024 * 1024)
        for method, path, name, work in routes:
            application.router.add_route(method, path, endpoint(self, name, work))
        application.add_routes(control_routes(self))
        application.router.add_route("*", "/{path:.*}", _nothing_here)
        return application


async def _nothing_here(request: web.Request) -> web.Response:
    return web.json_response(Refused(404, f"{request.method} {request.path} not found").body, status=404)


def _workspace(key: str) -> str:
    return f"wrkspc_{key_hash(key)}"


@asynccontextmanager
async def fake_claude(*, port: int = 0, **how: Any) -> AsyncIterator[FakeClaude]:
    """A fake on loopback; see FakeClaude and Options for what it takes."""
    fake = FakeClaude(**how)
    await fake.listen(port)
    try:
        yield fake
    finally:
        await fake.close()


if __name__ == "__main__":
    from tests.support.claude_fake_control import main

    main()
