"""What another process may ask of the fake Managed Agents API and tell it, under /_fake/, and its command line.

GET    /_fake/state                    {sessions: {id: {...}}, deleted, arrived, streams, failures, faults}
GET    /_fake/sessions/<id>/log        the persisted events in list order (deleted sessions too)
GET    /_fake/requests                 what came: endpoint, method, path, key (a hash), status, fault, body
POST   /_fake/script                   {script, session_id?}: steps or directives
POST   /_fake/options                  any of Options, by name
POST   /_fake/faults                   a Fault's fields, or a list of such; DELETE: no more faults
POST   /_fake/gates/<name>             open a gate
POST   /_fake/keys                     {keys: {key: workspace} | [key] | null}
POST   /_fake/emit                     {session_id, event}: an event out of turn
DELETE /_fake/streams                  end the open streams cleanly (?session_id=)
"""

import argparse
import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.claude_fake_http import key_hash

if TYPE_CHECKING:
    from tests.support.claude_fake import FakeClaude


class Control:
    def __init__(self, fake: "FakeClaude") -> None:
        self._fake = fake

    async def state(self, request: web.Request) -> web.Response:
        fake = self._fake
        sessions = {
            one.id: {
                "status": one.status,
                "workspace": one.workspace,
                "archived": one.body["archived_at"] is not None,
                "arrived": dict(one.arrived),
                "streams": len(one.listeners),
                "events": len(one.events),
                "session": one.shown(),
            }
            for one in fake.sessions.values()
        }
        answer = {
            "sessions": sessions,
            "deleted": list(fake.deleted),
            "arrived": dict(fake.arrived),
            "streams": fake.streams,
            "failures": [repr(failure) for failure in fake.failures],
            "faults": [asdict(fault) for fault in fake.faults],
        }
        return web.json_response(answer)

    async def log(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self._fake.log(request.match_info["session_id"]))
        except KeyError:
            raise web.HTTPNotFound from None

    async def requests(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(seen) for seen in self._fake.requests])

    async def script(self, request: web.Request) -> web.Response:
        told = await request.json()
        if told.get("session_id"):
            self._fake.scripts[told["session_id"]] = told["script"]
        else:
            self._fake.script = told["script"]
        return web.json_response({})

    async def options(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            if not hasattr(self._fake.options, name):
                raise web.HTTPBadRequest(text=f"no such option: {name}")
            setattr(self._fake.options, name, value)
        return web.json_response(asdict(self._fake.options))

    async def add_faults(self, request: web.Request) -> web.Response:
        told = await request.json()
        for one in told if isinstance(told, list) else [told]:
            try:
                self._fake.fail(one.pop("endpoint"), one.pop("kind"), **one)
            except (KeyError, TypeError, ValueError) as problem:
                raise web.HTTPBadRequest(text=repr(problem)) from None
        return web.json_response({})

    async def no_faults(self, request: web.Request) -> web.Response:
        self._fake.faults.clear()
        return web.json_response({})

    async def open_gate(self, request: web.Request) -> web.Response:
        self._fake.open_gate(request.match_info["name"])
        return web.json_response({})

    async def keys(self, request: web.Request) -> web.Response:
        keys: Any = (await request.json())["keys"]
        if isinstance(keys, list):
            keys = {key: f"wrkspc_{key_hash(key)}" for key in keys}
        self._fake.keys = keys
        return web.json_response({})

    async def emit(self, request: web.Request) -> web.Response:
        told = await request.json()
        event = dict(told["event"])
        return web.json_response(self._fake.emit(told["session_id"], event.pop("type"), **event))

    async def close_streams(self, request: web.Request) -> web.Response:
        self._fake.close_streams(request.query.get("session_id"))
        return web.json_response({})

    async def abort_connections(self, request: web.Request) -> web.Response:
        self._fake.abort_connections(but=request.transport)
        return web.json_response({})

    async def down(self, request: web.Request) -> web.Response:
        seconds = float((await request.json())["seconds"])

        async def be_down() -> None:
            await asyncio.sleep(0.01)  # the answer to this request goes out first
            await self._fake.refuse_connections()
            await asyncio.sleep(seconds)
            await self._fake.listen()

        self._being_down = asyncio.create_task(be_down())
        return web.json_response({})


def control_routes(fake: "FakeClaude") -> list[web.RouteDef]:
    control = Control(fake)
    return [
        web.get("/_fake/state", control.state),
        web.get("/_fake/sessions/{session_id}/log", control.log),
        web.get("/_fake/requests", control.requests),
        web.post("/_fake/script", control.script),
        web.post("/_fake/options", control.options),
        web.post("/_fake/faults", control.add_faults),
        web.delete("/_fake/faults", control.no_faults),
        web.post("/_fake/gates/{name}", control.open_gate),
        web.post("/_fake/keys", control.keys),
        web.post("/_fake/emit", control.emit),
        web.delete("/_fake/streams", control.close_streams),
        web.delete("/_fake/connections", control.abort_connections),
        web.post("/_fake/down", control.down),
    ]


async def serve(port: int, seed: int) -> None:
    """Serve until stdin closes, as it does when the process that started this one ends, however it ends."""
    from tests.support.claude_fake import fake_claude

    async with fake_claude(port=port, seed=seed) as fake:
        print(fake.url, flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.read(4096):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake Managed Agents API on loopback, until stdin closes.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.seed))
