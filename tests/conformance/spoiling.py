"""How answers and requests are spoiled on their way, for `mutations.py`."""

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from tests.conformance.breaking_proxy import Answer, Block, Mutation, Request

Spoil = Callable[[Block | None], list[Block]]
ID = re.compile(rb"^id: (\d+)\n")


def each(change: Callable[[Block], list[Block]], *, resume_only: bool = True) -> Mutation:
    """Spoils every frame by itself."""

    def frames(request: Request) -> Spoil:
        spoils = request.resumes or not resume_only
        return lambda block: [] if block is None else change(block) if spoils else [block]

    return Mutation(frames=frames)


def numbered(number: int, change: Callable[[Block], list[Block]]) -> Mutation:
    """Spoils the frame of the log with this id, in answers of resume."""

    def change_one(block: Block) -> list[Block]:
        found = ID.match(block)
        return change(block) if found and int(found[1]) == number else [block]

    return each(change_one)


def event(name: str, change: Callable[[Block], list[Block]]) -> Mutation:
    wanted = f"event: {name}\n".encode()
    return each(lambda block: change(block) if wanted in block else [block], resume_only=False)


def swap(request: Request) -> Spoil:
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


def end_early(request: Request) -> Spoil:
    """The stream of a POST without what ends the run."""
    own = request.method == "POST"
    return lambda block: [] if block is None or (own and b"\nevent: completed\n" in block) else [block]


def late_caught_up(request: Request) -> Spoil:
    """The stream of a POST says behind its end that it has caught up."""
    held: list[Block] = []

    def spoil(block: Block | None) -> list[Block]:
        if block is None:
            return held
        if request.method == "POST" and b"event: caught_up\n" in block:
            held.append(block)
            return []
        return [block]

    return spoil


def one_space_for_keys() -> Mutation:
    """A key that was used once is another request's on every other route."""
    used: dict[str, str] = {}

    def refuse(request: Request, answer: Answer) -> None:
        key = request.headers.get("Idempotency-Key")
        if key is not None and used.setdefault(key, request.route) != request.route:
            answer.status = 409

    return Mutation(answer=refuse)


def said_otherwise(route: str, before: bytes, after: bytes) -> Mutation:
    """The answers of a route with other words."""

    def change(request: Request, answer: Answer) -> None:
        if answer.body and request.route == route:
            answer.body = answer.body.replace(before, after)

    return Mutation(answer=change)


def resume_fails(request: Request, answer: Answer) -> None:
    if request.resumes and "lastEventId=7" in request.path:
        problem = {"type": "urn:x", "title": "Oops", "status": 500, "code": "internal", "detail": "Oops"}
        answer.status = 500
        answer.body = json.dumps({**problem, "requestId": answer.get("X-Request-ID")}).encode()
        answer.put("Content-Type", "application/problem+json")


def query_wins(request: Request) -> None:
    found = parse_qs(urlsplit(request.path).query).get("lastEventId")
    if found:
        request.drop("Last-Event-ID")


def only_query(request: Request) -> None:
    request.drop("Last-Event-ID")


def say_200(request: Request, answer: Answer) -> None:
    if request.resumes and answer.status == 204:
        answer.status, answer.body = 200, b"retry: 1000\n\n"
        answer.put("Content-Type", "text/event-stream")


def field(name: str, value: str | None, *, streams: bool = True) -> Mutation:
    """A header field of all answers, or of streams alone, is another one or missing."""

    def change(_request: Request, answer: Answer) -> None:
        if not streams or answer.get("Content-Type").startswith("text/event-stream"):
            answer.put(name, value)

    return Mutation(answer=change)


def problem(change: Callable[[dict[str, object]], object]) -> Mutation:
    def spoil(_request: Request, answer: Answer) -> None:
        if answer.body and answer.get("Content-Type") == "application/problem+json":
            found = json.loads(answer.body)
            change(found)
            answer.body = json.dumps(found).encode()

    return Mutation(answer=spoil)


def status(route: str, before: int, after: int) -> Mutation:
    def change(request: Request, answer: Answer) -> None:
        if re.search(route, request.route) and answer.status == before:
            answer.status = after

    return Mutation(answer=change)


def page_for_unknown(request: Request, answer: Answer) -> None:
    if answer.status == 404 and request.route.startswith("/api/nothing"):
        answer.status, answer.body = 200, b"<!doctype html>"
        answer.put("Content-Type", "text/html")


def origin_for_all(request: Request) -> None:
    host = next(value for name, value in request.headers.items() if name.lower() == "host")
    request.drop("Origin")
    request.headers["Origin"] = f"http://{host}"


def cookie_for_scripts(_request: Request, answer: Answer) -> None:
    cookie = answer.get("Set-Cookie")
    if cookie:
        answer.put("Set-Cookie", cookie.replace("; HttpOnly", "").replace("HttpOnly;", ""))


def shorten_files(request: Request, answer: Answer) -> None:
    if request.method == "GET" and "/files/" in request.route and answer.status == 200 and answer.body:
        answer.body = answer.body[:-1]


def same_tag(request: Request, answer: Answer) -> None:
    if "/files/" in request.route and answer.get("ETag"):
        answer.put("ETag", '"always-the-same"')


def no_reject(request: Request) -> None:
    request.body = request.body.replace(b'"reject"', b'"queue"')


def interrupt_whatever_runs(request: Request) -> None:
    if request.route.endswith("/interrupt"):
        request.body = b""


def shift_page(request: Request, answer: Answer) -> None:
    if answer.body and request.route.endswith("/events") and answer.status == 200:
        page = json.loads(answer.body)
        page["events"] = page["events"][1:]
        answer.body = json.dumps(page).encode()


def no_expiry(request: Request) -> None:
    if request.route.endswith("/share"):
        request.body = b"{}"


def no_wait(request: Request) -> None:
    request.path = re.sub(r"&?wait=\d+", "", request.path)
