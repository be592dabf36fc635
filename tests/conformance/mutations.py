"""Ways to break the contract, one each, and the checks that must go red for it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tests.conformance.breaking_proxy import Answer, Block, Mutation, Request

Spoil = Callable[[Block | None], list[Block]]
ID = re.compile(rb"^id: (\d+)\n")


@dataclass(frozen=True)
class Broken:
    mutation: Mutation
    caught_by: tuple[str, ...]


def _each(change: Callable[[Block], list[Block]], *, resume_only: bool = True) -> Mutation:
    """Spoils every frame by itself."""

    def frames(request: Request) -> Spoil:
        spoils = request.resumes or not resume_only
        return lambda block: [] if block is None else change(block) if spoils else [block]

    return Mutation(frames=frames)


def _numbered(number: int, change: Callable[[Block], list[Block]]) -> Mutation:
    """Spoils the frame of the log with this id, in answers of resume."""

    def change_one(block: Block) -> list[Block]:
        found = ID.match(block)
        return change(block) if found and int(found[1]) == number else [block]

    return _each(change_one)


def _event(name: str, change: Callable[[Block], list[Block]]) -> Mutation:
    wanted = f"event: {name}\n".encode()
    return _each(lambda block: change(block) if wanted in block else [block], resume_only=False)


def _swap(request: Request) -> Spoil:
    """Two neighbours change places."""
    held: list[Block] = []

    def spoil(block: Block | None) -> list[Block]:
        if block is None or not request.resumes:
            return [] if block is None else [block]
        if block.startswith(b"id: 5\n"):
            held.append(block)
            return []
        return [block, held.pop()] if held else [block]

    return spoil


def _end_early(request: Request) -> Spoil:
    """The stream of a POST without what ends the run."""
    own = request.method == "POST"
    return lambda block: [] if block is None or (own and b"\nevent: completed\n" in block) else [block]


def _resume_fails(request: Request, answer: Answer) -> None:
    if request.resumes and "lastEventId=7" in request.path:
        problem = {"type": "urn:x", "title": "Oops", "status": 500, "code": "internal", "detail": "Oops"}
        answer.status = 500
        answer.body = json.dumps({**problem, "requestId": answer.get("X-Request-ID")}).encode()
        answer.put("Content-Type", "application/problem+json")


def _query_wins(request: Request) -> None:
    found = parse_qs(urlsplit(request.path).query).get("lastEventId")
    if found:
        request.drop("Last-Event-ID")


def _only_query(request: Request) -> None:
    request.drop("Last-Event-ID")


def _say_200(request: Request, answer: Answer) -> None:
    if request.resumes and answer.status == 204:
        answer.status, answer.body = 200, b"retry: 1000\n\n"
        answer.put("Content-Type", "text/event-stream")


def _field(name: str, value: str | None, *, streams: bool = True) -> Mutation:
    """A header field of all answers, or of streams alone, is another one or missing."""

    def change(_request: Request, answer: Answer) -> None:
        if not streams or answer.get("Content-Type").startswith("text/event-stream"):
            answer.put(name, value)

    return Mutation(answer=change)


def _problem(change: Callable[[dict[str, object]], object]) -> Mutation:
    def spoil(_request: Request, answer: Answer) -> None:
        if answer.body and answer.get("Content-Type") == "application/problem+json":
            found = json.loads(answer.body)
            change(found)
            answer.body = json.dumps(found).encode()

    return Mutation(answer=spoil)


def _status(route: str, before: int, after: int) -> Mutation:
    def change(request: Request, answer: Answer) -> None:
        if re.search(route, request.route) and answer.status == before:
            answer.status = after

    return Mutation(answer=change)


def _page_for_unknown(request: Request, answer: Answer) -> None:
    if answer.status == 404 and request.route.startswith("/api/nothing"):
        answer.status, answer.body = 200, b"<!doctype html>"
        answer.put("Content-Type", "text/html")


def _origin_for_all(request: Request) -> None:
    host = next(value for name, value in request.headers.items() if name.lower() == "host")
    request.drop("Origin")
    request.headers["Origin"] = f"http://{host}"


def _cookie_for_scripts(_request: Request, answer: Answer) -> None:
    cookie = answer.get("Set-Cookie")
    if cookie:
        answer.put("Set-Cookie", cookie.replace("; HttpOnly", "").replace("HttpOnly;", ""))


def _shorten_files(request: Request, answer: Answer) -> None:
    if request.method == "GET" and "/files/" in request.route and answer.status == 200 and answer.body:
        answer.body = answer.body[:-1]


def _same_tag(request: Request, answer: Answer) -> None:
    if "/files/" in request.route and answer.get("ETag"):
        answer.put("ETag", '"always-the-same"')


def _no_reject(request: Request) -> None:
    request.body = request.body.replace(b'"reject"', b'"queue"')


def _interrupt_whatever_runs(request: Request) -> None:
    if request.route.endswith("/interrupt"):
        request.body = b""


def _shift_page(request: Request, answer: Answer) -> None:
    if answer.body and request.route.endswith("/events") and answer.status == 200:
        page = json.loads(answer.body)
        page["events"] = page["events"][1:]
        answer.body = json.dumps(page).encode()


def _no_wait(request: Request) -> None:
    request.path = re.sub(r"&?wait=\d+", "", request.path)


BROKEN: dict[str, Broken] = {
    "drops an event": Broken(_numbered(6, lambda _block: []), ("resume-at-every-id", "replay-equals-live")),
    "doubles an event": Broken(
        _numbered(6, lambda block: [block, block]), ("resume-at-every-id", "replay-equals-live")
    ),
    "renumbers an id": Broken(
        _numbered(6, lambda block: [block.replace(b"id: 6\n", b"id: 60\n")]), ("resume-at-every-id",)
    ),
    "reorders two events": Broken(Mutation(frames=_swap), ("resume-at-every-id", "a-long-log-in-order")),
    "changes a space in a replay": Broken(
        _numbered(6, lambda block: [block.replace(b"data: {", b"data: { ")]), ("replay-equals-live",)
    ),
    "changes an event's type": Broken(
        _numbered(6, lambda block: [block.replace(b"event: ", b"event: x_")]), ("replay-equals-live",)
    ),
    "ends lines with CRLF": Broken(
        _each(lambda block: [block.replace(b"\n", b"\r\n")], resume_only=False), ("line-ends",)
    ),
    "sends data in two lines": Broken(
        _numbered(6, lambda block: [block.replace(b'"runId"', b'\ndata: "runId"', 1)]), ("log-frames",)
    ),
    "sends fields in another order": Broken(
        _numbered(6, lambda block: [b"\n".join([*sorted(block.strip().split(b"\n")), b"", b""])]), ("log-frames",)
    ),
    "sends no retry": Broken(
        _each(lambda block: [] if block.startswith(b"retry:") else [block], resume_only=False), ("retry-first",)
    ),
    "gives caught_up an id": Broken(
        _event("caught_up", lambda block: [b"id: 3\n" + block]), ("control-frames-without-id",)
    ),
    "sends no caught_up": Broken(_event("caught_up", lambda _block: []), ("caught-up-once",)),
    "sends caught_up twice": Broken(_event("caught_up", lambda block: [block, block]), ("caught-up-once",)),
    "sends no reset": Broken(
        _event("reset", lambda _block: []), ("unparsable-cursor-resets", "too-high-cursor-resets")
    ),
    "forgets a member of an event": Broken(
        _event("run_started", lambda block: [block.replace(b'"attempt"', b'"try"')]), ("event-members",)
    ),
    "ends without the terminal event": Broken(Mutation(frames=_end_early), ("post-ends-with-its-run",)),
    "says failed too seldom": Broken(_event("failed", lambda _block: []), ("a-run-that-fails",)),
    "cuts streams off": Broken(Mutation(cut_streams=True), ("replay-equals-live",)),
    "lets streams be cached": Broken(_field("Cache-Control", "public, max-age=60"), ("stream-headers",)),
    "lets streams be buffered": Broken(_field("X-Accel-Buffering", None), ("stream-headers",)),
    "calls a stream text": Broken(_field("Content-Type", "text/plain"), ("stream-headers",)),
    "answers a resume with 500": Broken(Mutation(answer=_resume_fails), ("resume-at-every-id",)),
    "swallows Last-Event-ID": Broken(Mutation(request=_only_query), ("resume-at-every-id", "follow-takes-a-cursor")),
    "prefers the query": Broken(Mutation(request=_query_wins), ("header-wins-over-query",)),
    "answers 200 when there is nothing": Broken(Mutation(answer=_say_200), ("nothing-to-say-is-204",)),
    "loses an event of the pages": Broken(Mutation(answer=_shift_page), ("pages-agree-with-the-stream",)),
    "does not hold a long poll": Broken(Mutation(request=_no_wait), ("long-poll-gives-up",)),
    "swallows Prefer": Broken(Mutation(request=lambda request: request.drop("Prefer")), ("respond-async",)),
    "forgets Location": Broken(
        _field("Location", None, streams=False), ("post-answers-with-a-stream", "respond-async")
    ),
    "swallows Idempotency-Key": Broken(
        Mutation(request=lambda request: request.drop("Idempotency-Key")), ("same-key-same-run", "twenty-at-once")
    ),
    "queues what should be rejected": Broken(Mutation(request=_no_reject), ("a-prompt-that-is-rejected",)),
    "answers an interrupt with 200": Broken(
        _status("/interrupt$", 202, 200), ("interrupt-from-another-replica", "interrupt-a-queued-run")
    ),
    "interrupts whatever runs": Broken(
        Mutation(request=_interrupt_whatever_runs), ("interrupt-what-has-ended", "interrupt-a-queued-run")
    ),
    "sends problems without a code": Broken(_problem(lambda found: found.pop("code")), ("problem-shape",)),
    "sends problems of another request": Broken(
        _problem(lambda found: found.update(requestId="another")), ("problem-shape",)
    ),
    "calls problems JSON": Broken(
        Mutation(
            answer=lambda _request, answer: (
                answer.put("Content-Type", "application/json") if answer.status >= 400 else None
            )
        ),
        ("problem-shape",),
    ),
    "forbids what strangers should not find": Broken(_status("/api/(sessions|resume)/", 404, 403), ("malformed-ids",)),
    "sends a page for unknown paths": Broken(Mutation(answer=_page_for_unknown), ("unknown-paths",)),
    "loses the last byte of a file": Broken(Mutation(answer=_shorten_files), ("a-file-comes-back-as-it-was",)),
    "tags all files alike": Broken(Mutation(answer=_same_tag), ("a-file-comes-back-as-it-was",)),
    "forbids strangers' files": Broken(_status("/files", 404, 403), ("another-users-files",)),
    "loses X-Request-ID": Broken(
        Mutation(request=lambda request: request.drop("X-Request-ID")), ("request-id-comes-back",)
    ),
    "loses X-Container-ID": Broken(_field("X-Container-ID", None, streams=False), ("container-id",)),
    "takes every page for its own": Broken(
        Mutation(request=_origin_for_all), ("cookie-needs-an-origin", "foreign-pages-may-not-log-in")
    ),
    "gives the cookie to scripts": Broken(Mutation(answer=_cookie_for_scripts), ("register-and-log-in",)),
    "begins the list without a snapshot": Broken(
        _event("snapshot", lambda block: [block.replace(b"snapshot", b"created")]), ("the-list-as-it-changes",)
    ),
}  # fmt: skip
