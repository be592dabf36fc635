"""The endpoints of the fake Managed Agents API for sessions themselves and the resources that they mount."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.claude_fake_faults import Fault, Refused
from tests.support.claude_fake_http import BOUNDS, Query, body_of
from tests.support.claude_fake_state import Session, page_of, within

if TYPE_CHECKING:
    from tests.support.claude_fake import FakeClaude

STATUSES = ("rescheduling", "running", "idle", "terminated")
FILTERS = {"agent_id", "agent_version", "deployment_id", "include_archived", "memory_store_id", "statuses"}
ANYTHING = {"enabled": True, "permission_policy": {"type": "always_allow"}}
TOOLSET = {"type": "agent_toolset_20260401", "configs": [], "default_config": ANYTHING}


class Sessions:
    def __init__(self, fake: "FakeClaude") -> None:
        self._fake = fake

    async def create(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        body = await body_of(request, "create")
        session = Session(workspace, self._resource(body))
        events = list(body.get("initial_events") or [])
        if len(events) > 50:
            raise Refused(400, "initial_events: List should have at most 50 items")
        self._fake.add(session)
        if events:
            self._fake.events.take(session, events)
        return web.json_response(session.shown())

    async def retrieve(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        return web.json_response(self._fake.session_of(request, workspace).shown())

    async def list_them(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        query = Query(request, {"limit", "order", "page"} | FILTERS | BOUNDS)
        order, bounds, statuses = query.order("desc"), query.bounds(), query.all("statuses", STATUSES)
        archived = query.one("include_archived", "false") == "true"
        agent, version = query.one("agent_id"), query.one("agent_version")
        found = [
            ((session.body["created_at"], session.id), session.shown())
            for session in self._fake.sessions.values()
            if session.workspace == workspace
            and (archived or session.body["archived_at"] is None)
            and (not statuses or session.status in statuses)
            and agent in (None, session.body["agent"]["id"])
            and (agent is None or version in (None, str(session.body["agent"]["version"])))
            and within(session.body["created_at"], bounds)
        ]
        found.sort(key=lambda item: item[0], reverse=order == "desc")
        bound_to = [order, statuses, archived, agent, version]
        try:
            page = page_of(found, query.limit(20, 100), query.one("page"), bound_to, order == "desc")
        except ValueError as problem:
            raise Refused(400, str(problem)) from None
        return web.json_response({"data": page[0], "next_page": page[1], "prev_page": None})

    async def update(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        patch = await body_of(request, "update")
        shown = session.body
        if "vault_ids" in patch:
            raise Refused(400, "vault_ids: not yet supported")
        if "agent" in patch and session.status != "idle":
            raise Refused(400, "agent: the session must be idle")
        changed: dict[str, Any] = {}
        if "budget" in patch:
            changed |= self._new_budget(shown, patch["budget"])
        if "title" in patch and patch["title"] != shown["title"]:
            changed["title"] = patch["title"]
        if patch.get("metadata") is not None:
            merged = {**shown["metadata"], **patch["metadata"]}
            kept = {name: value for name, value in merged.items() if value is not None}
            changed |= {"metadata": kept} if kept != shown["metadata"] else {}
        if patch.get("agent"):
            changed["agent"] = {**shown["agent"], **patch["agent"]}
        if changed:
            shown.update(changed)
            self._fake.agents_at_work[session.id].emit(
                "session.updated", **{name: value for name, value in changed.items() if name != "metadata" or value}
            )
        if "budget" in changed:
            self._fake.agents_at_work[session.id].budget_changed.set()
        return web.json_response(session.shown())

    def _new_budget(self, shown: dict[str, Any], budget: dict[str, Any] | None) -> dict[str, Any]:
        if shown["budget"] is None:
            if budget is not None:
                raise Refused(400, "budget: budget_create_only")
            return {}
        spent = int(shown["usage"]["list_cost"]["amount"])
        if budget is not None and int(budget["max_list_cost"]["amount"]) <= spent:
            raise Refused(400, "budget: budget_not_raised")
        return {"budget": budget}

    async def archive(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        self._fake.arrived["archive"] += 1
        session.arrived["archive"] += 1
        self._refuse_while_running(session)
        if session.body["archived_at"] is None:  # once more changes nothing
            await self._fake.agents_at_work[session.id].stop()
            session.body["archived_at"] = self._fake.clock.now()
            if self._fake.options.archive_terminates and session.body["status"] != "terminated":
                self._fake.agents_at_work[session.id].terminate()
        return web.json_response(session.shown())

    async def delete(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        session = self._fake.session_of(request, workspace)
        self._fake.arrived["delete"] += 1
        self._refuse_while_running(session)
        await self._fake.remove(session)
        return web.json_response({"id": session.id, "type": "session_deleted"})

    def _refuse_while_running(self, session: Session) -> None:
        if session.status in ("running", "rescheduling"):
            raise Refused(self._fake.options.running_conflict, "cannot delete/archive while running.")

    async def resources(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        query = Query(request, {"limit", "page"})
        found = [((number,), one) for number, one in enumerate(self._mounted(request, workspace))]
        try:
            shown, following = page_of(found, query.limit(1000, 1000), query.one("page"), [], False)
        except ValueError as problem:
            raise Refused(400, str(problem)) from None
        return web.json_response({"data": shown, "next_page": following})

    async def resource(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        return web.json_response(self._one(request, workspace))

    async def add_resource(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        mounted = self._mounted(request, workspace)
        mounted.append(self._mount(await body_of(request, "add_resource"), self._fake.clock.now()))
        return web.json_response(mounted[-1])

    async def update_resource(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        one = self._one(request, workspace)
        await body_of(request, "update_resource")
        if one["type"] != "github_repository":
            raise Refused(400, "only github_repository resources support token rotation")
        one["updated_at"] = self._fake.clock.now()
        return web.json_response(one)

    async def delete_resource(self, request: web.Request, workspace: str, fault: Fault | None) -> web.StreamResponse:
        one = self._one(request, workspace)
        self._mounted(request, workspace).remove(one)
        return web.json_response({"id": one["id"], "type": "session_resource_deleted"})

    def _mounted(self, request: web.Request, workspace: str) -> list[dict[str, Any]]:
        mounted: list[dict[str, Any]] = self._fake.session_of(request, workspace).body["resources"]
        return mounted

    def _one(self, request: web.Request, workspace: str) -> dict[str, Any]:
        wanted = request.match_info["resource_id"]
        for one in self._mounted(request, workspace):
            if one["id"] == wanted:
                return one
        raise Refused(404, f"Resource {wanted} not found")

    def _resource(self, body: dict[str, Any]) -> dict[str, Any]:
        """The session as the API shows it, from the request for it."""
        agent = self._agent(body["agent"])
        if body["environment_id"] not in self._fake.environments:
            raise Refused(404, f"Environment {body['environment_id']} not found")
        metadata = body.get("metadata") or {}
        if len(metadata) > 16 or any(len(name) > 64 or len(value) > 512 for name, value in metadata.items()):
            raise Refused(400, "metadata: at most 16 pairs, keys up to 64 characters, values up to 512")
        now = self._fake.clock.now()
        usage = {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "list_cost": {"amount": "0", "currency": "USD"},
            "active_seconds": 0.0,
        }
        return {
            "id": self._fake.ids("sesn"),
            "type": "session",
            "agent": agent,
            "environment_id": body["environment_id"],
            "title": body.get("title"),
            "metadata": metadata,
            "budget": body.get("budget"),
            "resources": [self._mount(one, now) for one in body.get("resources") or []],
            "vault_ids": list(body.get("vault_ids") or []),
            "outcome_evaluations": [],
            "stats": {"active_seconds": 0.0, "duration_seconds": 0.0},
            "usage": usage,
            "status": "idle",
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
            "deployment_id": None,
        }

    def _agent(self, wanted: str | dict[str, Any]) -> dict[str, Any]:
        given = {"id": wanted} if isinstance(wanted, str) else dict(wanted)
        known = self._fake.agents.get(given["id"])
        if known is None or given.get("version", known["version"]) != known["version"]:
            raise Refused(404, f"Agent {given['id']} not found")
        agent = {
            "id": given["id"],
            "type": "agent",
            "description": None,
            "execution_identity": {"type": "service_account"},
            "mcp_servers": [],
            "multiagent": None,
            "skills": [],
            "system": None,
            "tools": [TOOLSET],
            **known,
        }
        agent.update({name: given[name] for name in ("system", "skills", "tools", "mcp_servers") if name in given})
        model = given.get("model", agent["model"])
        model = {"id": model} if isinstance(model, str) else dict(model)
        if self._fake.models is not None and model["id"] not in self._fake.models:
            raise Refused(400, f"agent.model: unknown model {model['id']!r}")
        effort = model.get("effort") or "high"
        model["effort"] = {"type": effort} if isinstance(effort, str) else effort
        agent["model"] = {"speed": "standard", "inference_geo": None, **model}
        return agent

    def _mount(self, given: dict[str, Any], now: str) -> dict[str, Any]:
        one = {"id": self._fake.ids("sesrsc"), "type": given["type"], "created_at": now, "updated_at": now}
        if given["type"] == "file":
            path = given.get("mount_path") or f"/mnt/session/uploads/{given['file_id']}"
            return {**one, "file_id": given["file_id"], "mount_path": path}
        if given["type"] != "github_repository":
            raise Refused(400, f"resources: this fake has no {given['type']}")
        if not given["url"].startswith("https://github.com/"):
            raise Refused(400, "resources.url: Input should be the URL of a GitHub repository")
        name = given["url"].rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        path = given.get("mount_path") or f"/workspace/{name}"
        # The token is write-only: no answer carries it.
        return {**one, "url": given["url"], "mount_path": path, "checkout": given.get("checkout")}
