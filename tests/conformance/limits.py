"""What a deployment refuses, and how it says so. Stands last: it uses limits up."""

import contextlib

from tests.conformance.check import Skip, check, expect
from tests.conformance.deployment import PASSWORD, Deployment
from tests.conformance.wire import Answer, Connection

MOST_STREAMS = 128
MOST_ATTEMPTS = 15


@check("overload", needs_runs=False)
async def too_many_streams(deployment: Deployment) -> None:
    """Beyond a user's streams an EventSource gets 200, `retry:` and a clean end, and others 429 with `Retry-After`."""
    caller = await deployment.guest()
    path = "/api/sessions/updates"
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_STREAMS):
            connection = await stack.enter_async_context(Connection(caller.address, deployment.patience))
            head = await connection.ask("GET", path, caller.headers, None)
            if head.status != 200:
                break
        else:
            raise Skip(f"{MOST_STREAMS} streams of one user were all let in")
        refused = Answer(head, await connection.body(head, "GET"))
        refused.problem(503 if refused.status == 503 else 429)
        pause = refused.head.get("Retry-After")
        expect(pause.isdigit() and int(pause) >= 1, "Retry-After in seconds", pause or "none")
        async with caller.stream(path, Accept="text/event-stream") as stream:
            frames = await stream.rest()
        expect(frames and frames[0].retry, "retry: first", [frame.raw for frame in frames][:3])
        others = [frame.raw for frame in frames if frame.retry is None and frame.event != "draining"]
        expect(not others, "nothing but retry: and the end", others)


@check("rate", needs_runs=False, long=True)
async def too_many_attempts(deployment: Deployment) -> None:
    """Too many login attempts in a minute are 429 with `Retry-After`. (This address then has to wait that long.)"""
    email = deployment.guest_email
    for _ in range(MOST_ATTEMPTS):
        answer = await deployment.nobody.post("/api/auth/login", {"email": email, "password": f"not {PASSWORD}"})
        if answer.status == 429:
            answer.problem(429)
            pause = answer.head.get("Retry-After")
            expect(pause.isdigit() and int(pause) >= 1, "Retry-After in seconds", pause or "none")
            return
        answer.problem(401)
    raise Skip(f"{MOST_ATTEMPTS} attempts were all let in: the limit is off, or wider")
