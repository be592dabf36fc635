"""Ways to break the contract, one each, and the checks that must go red for it."""

from dataclasses import dataclass

from tests.conformance.breaking_proxy import Mutation
from tests.conformance.spoiling import (
    cookie_for_scripts,
    each,
    end_early,
    event,
    field,
    interrupt_whatever_runs,
    late_caught_up,
    no_expiry,
    no_reject,
    no_wait,
    numbered,
    one_space_for_keys,
    only_query,
    origin_for_all,
    page_for_unknown,
    problem,
    query_wins,
    resume_fails,
    said_otherwise,
    same_tag,
    say_200,
    shift_page,
    shorten_files,
    status,
    swap,
)


@dataclass(frozen=True)
class Broken:
    mutation: Mutation
    caught_by: tuple[str, ...]


BROKEN: dict[str, Broken] = {
    "drops an event": Broken(numbered(6, lambda _block: []), ("resume-at-every-id", "replay-equals-live")),
    "doubles an event": Broken(
        numbered(6, lambda block: [block, block]), ("resume-at-every-id", "replay-equals-live")
    ),
    "renumbers an id": Broken(
        numbered(6, lambda block: [block.replace(b"id: 6\n", b"id: 60\n")]), ("resume-at-every-id",)
    ),
    "reorders two events": Broken(Mutation(frames=swap), ("resume-at-every-id", "a-long-log-in-order")),
    "changes a space in a replay": Broken(
        numbered(6, lambda block: [block.replace(b"data: {", b"data: { ")]), ("replay-equals-live",)
    ),
    "changes an event's type": Broken(
        numbered(6, lambda block: [block.replace(b"event: ", b"event: x_")]), ("replay-equals-live",)
    ),
    "ends lines with CRLF": Broken(
        each(lambda block: [block.replace(b"\n", b"\r\n")], resume_only=False), ("line-ends",)
    ),
    "sends data in two lines": Broken(
        numbered(6, lambda block: [block.replace(b'"runId"', b'\ndata: "runId"', 1)]), ("log-frames",)
    ),
    "sends fields in another order": Broken(
        numbered(6, lambda block: [b"\n".join([*sorted(block.strip().split(b"\n")), b"", b""])]), ("log-frames",)
    ),
    "sends no retry": Broken(
        each(lambda block: [] if block.startswith(b"retry:") else [block], resume_only=False), ("retry-first",)
    ),
    "gives caught_up an id": Broken(
        event("caught_up", lambda block: [b"id: 3\n" + block]), ("control-frames-without-id",)
    ),
    "sends no caught_up": Broken(event("caught_up", lambda _block: []), ("caught-up-once",)),
    "sends caught_up twice": Broken(event("caught_up", lambda block: [block, block]), ("caught-up-once",)),
    "sends no reset": Broken(
        event("reset", lambda _block: []), ("unparsable-cursor-resets", "too-high-cursor-resets")
    ),
    "forgets a member of an event": Broken(
        event("run_started", lambda block: [block.replace(b'"attempt"', b'"try"')]), ("event-members",)
    ),
    "ends without the terminal event": Broken(Mutation(frames=end_early), ("post-ends-with-its-run",)),
    "says behind the end that it caught up": Broken(
        Mutation(frames=late_caught_up), ("nothing-behind-the-end-of-a-run",)
    ),
    "says failed too seldom": Broken(event("failed", lambda _block: []), ("a-run-that-fails",)),
    "cuts streams off": Broken(Mutation(cut_streams=True), ("replay-equals-live",)),
    "lets streams be cached": Broken(field("Cache-Control", "public, max-age=60"), ("stream-headers",)),
    "lets streams be buffered": Broken(field("X-Accel-Buffering", None), ("stream-headers",)),
    "calls a stream text": Broken(field("Content-Type", "text/plain"), ("stream-headers",)),
    "answers a resume with 500": Broken(Mutation(answer=resume_fails), ("resume-at-every-id",)),
    "swallows Last-Event-ID": Broken(Mutation(request=only_query), ("resume-at-every-id", "follow-takes-a-cursor")),
    "prefers the query": Broken(Mutation(request=query_wins), ("header-wins-over-query",)),
    "answers 200 when there is nothing": Broken(Mutation(answer=say_200), ("nothing-to-say-is-204",)),
    "loses an event of the pages": Broken(Mutation(answer=shift_page), ("pages-agree-with-the-stream",)),
    "does not hold a long poll": Broken(Mutation(request=no_wait), ("long-poll-gives-up",)),
    "swallows Prefer": Broken(Mutation(request=lambda request: request.drop("Prefer")), ("respond-async",)),
    "forgets Location": Broken(
        field("Location", None, streams=False), ("post-answers-with-a-stream", "respond-async")
    ),
    "swallows Idempotency-Key": Broken(
        Mutation(request=lambda request: request.drop("Idempotency-Key")), ("same-key-same-run", "twenty-at-once")
    ),
    "has one space for all keys": Broken(one_space_for_keys(), ("keys-are-per-route",)),
    "queues what should be rejected": Broken(Mutation(request=no_reject), ("a-prompt-that-is-rejected",)),
    "answers an interrupt with 200": Broken(
        status("/interrupt$", 202, 200), ("interrupt-from-another-replica", "interrupt-a-queued-run")
    ),
    "interrupts whatever runs": Broken(
        Mutation(request=interrupt_whatever_runs), ("interrupt-what-has-ended", "interrupt-a-queued-run")
    ),
    "sends problems without a code": Broken(problem(lambda found: found.pop("code")), ("problem-shape",)),
    "sends problems of another request": Broken(
        problem(lambda found: found.update(requestId="another")), ("problem-shape",)
    ),
    "calls problems JSON": Broken(
        Mutation(
            answer=lambda _request, answer: (
                answer.put("Content-Type", "application/json") if answer.status >= 400 else None
            )
        ),
        ("problem-shape",),
    ),
    "forbids what strangers should not find": Broken(status("/api/(sessions|resume)/", 404, 403), ("malformed-ids",)),
    "sends a page for unknown paths": Broken(Mutation(answer=page_for_unknown), ("unknown-paths",)),
    "loses the last byte of a file": Broken(Mutation(answer=shorten_files), ("a-file-comes-back-as-it-was",)),
    "tags all files alike": Broken(Mutation(answer=same_tag), ("a-file-comes-back-as-it-was",)),
    "forbids strangers' files": Broken(status("/files", 404, 403), ("another-users-files",)),
    "loses X-Request-ID": Broken(
        Mutation(request=lambda request: request.drop("X-Request-ID")), ("request-id-comes-back",)
    ),
    "loses X-Container-ID": Broken(field("X-Container-ID", None, streams=False), ("container-id",)),
    "takes every page for its own": Broken(
        Mutation(request=origin_for_all), ("cookie-needs-an-origin", "foreign-pages-may-not-log-in")
    ),
    "gives the cookie to scripts": Broken(Mutation(answer=cookie_for_scripts), ("register-and-log-in",)),
    "asks readers of a link for a login": Broken(status("^/api/shared/", 200, 401), ("a-link-shows-the-session",)),
    "says that every link has expired": Broken(
        status("^/api/shared/", 404, 410), ("a-link-that-is-none", "a-deleted-session-has-no-link")
    ),
    "lets a link last for ever": Broken(Mutation(request=no_expiry), ("a-link-that-expires",)),
    "does not describe conflicts": Broken(
        said_otherwise("/api/openapi.json", b'"409"', b'"418"'), ("openapi-names-the-refusals",)
    ),
    "counts no connections in use": Broken(said_otherwise("/metrics", b"in_use", b"busy"), ("metrics",)),
    "begins the list without a snapshot": Broken(
        event("snapshot", lambda block: [block.replace(b"snapshot", b"created")]), ("the-list-as-it-changes",)
    ),
}  # fmt: skip
