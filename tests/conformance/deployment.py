"""What is checked: replicas of one deployment, the users that the run makes there, and what it has to clear away."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.conformance.caller import Caller, token_of
from tests.conformance.check import CannotRun, Skip, Violation, expect, expect_members
from tests.conformance.sse import Frame, logged
from tests.conformance.wire import Address, Answer

PASSWORD = "a throw-away password of the conformance run"
BRIEF = "[[tokens=3 rate=0]] be brief"
SLOW = "[[tokens=40 rate=40]] not too fast"
LONG = "[[tokens=100000 rate=20]] take your time"
SAMPLE = "[[tokens=24 rate=80 thinking=4 seed=7]] the sample"
PATIENCE_SECONDS = 20.0
MAX_PAUSE_SECONDS = 65


@dataclass(frozen=True)
class Options:
    """How to run. Without `email` and `token` a throw-away user is registered."""

    email: str = ""
    password: str = ""
    token: str = ""
    timeout_seconds: float = 90.0
    long: bool = False


@dataclass(frozen=True)
class Run:
    session_id: str
    run_id: str

    @property
    def resume(self) -> str:
        return f"/api/resume/{self.session_id}"

    @property
    def session(self) -> str:
        return f"/api/sessions/{self.session_id}"

    @property
    def follow(self) -> str:
        return f"{self.session}/events/stream"


@dataclass(frozen=True)
class Recording:
    """A finished run, as the stream of its POST showed it: `frames` all, `log` those of the log."""

    run: Run
    body: bytes
    frames: list[Frame] = field(repr=False)

    @property
    def log(self) -> list[Frame]:
        return logged(self.frames)

    @property
    def last(self) -> int:
        return self.log[-1].id or 0


class Deployment:
    """`here` and `there` are two replicas, or twice the same where only one is known."""

    def __init__(self, addresses: list[Address], options: Options) -> None:
        self.addresses = addresses
        self.options = options
        self.patience = min(PATIENCE_SECONDS, options.timeout_seconds)
        self.nobody = Caller(addresses[0], self.patience)
        self.user = self.nobody
        self.no_runs = ""
        self.guest_email = f"conformance-{uuid4().hex}@example.com"
        self.guest_welcome: Answer | None = None
        self._guest: Caller | None = None
        self._sample: Recording | None = None
        self._made: list[tuple[Caller, str]] = []

    @property
    def here(self) -> Caller:
        return self.user.at(self.addresses[0])

    @property
    def there(self) -> Caller:
        return self.user.at(self.addresses[-1])

    @property
    def everywhere(self) -> list[Caller]:
        return [self.user.at(address) for address in self.addresses]

    # Coming and going ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Log in, and find out whether runs can be made. Raises `CannotRun`."""
        try:
            self.user = await self._user()
            for caller in self.everywhere:
                (await caller.get("/api/auth/session")).expect(200)
            answer = await self._execute(BRIEF)
            if answer.status in (200, 202):
                self.note_session(self.here, answer.head.get("X-Session-ID"))
            else:
                self.no_runs = f"the deployment does not offer the simulated provider: {_brief(answer)}"
        except (Violation, OSError, TimeoutError) as error:
            raise CannotRun(f"the deployment cannot be used: {error}") from error

    async def _user(self) -> Caller:
        if self.options.token:
            return self.bearer(self.options.token)
        if self.options.email:
            return self.bearer(token_of(await self.enter("login", self.options.email, self.options.password)))
        return self.bearer(token_of(await self.enter("register", f"conformance-{uuid4().hex}@example.com", PASSWORD)))

    def bearer(self, token: str) -> Caller:
        return self.nobody.having(Authorization=f"Bearer {token}")

    async def enter(self, how: str, email: str, password: str, *, status: int = 0) -> Answer:
        """Register or log in; when there were too many attempts this minute, wait as long as the server asks."""
        for _ in range(3):
            answer = await self.nobody.post(f"/api/auth/{how}", {"email": email, "password": password})
            pause = answer.head.get("Retry-After")
            if answer.status != 429 or not pause.isdigit() or int(pause) > MAX_PAUSE_SECONDS:
                break
            await asyncio.sleep(int(pause) + 1)
        return answer.expect(status or (201 if how == "register" else 200), "login")

    async def guest(self) -> Caller:
        """Another user, whose password is known: whoever gave a token may keep it."""
        if self.guest_welcome is None:
            try:
                self.guest_welcome = await self.enter("register", self.guest_email, PASSWORD)
            except Violation as error:
                raise Skip(f"a second user cannot be registered: {error.came}") from None
            self._guest = self.bearer(token_of(self.guest_welcome))
        if self._guest is None:
            self._guest = await self._guest_login()
        return self._guest

    async def guest_again(self) -> Caller:
        """The other user by another login."""
        await self.guest()
        return await self._guest_login()

    async def _guest_login(self) -> Caller:
        return self.bearer(token_of(await self.enter("login", self.guest_email, PASSWORD)))

    def guest_left(self) -> None:
        """The guest's login is gone."""
        self._guest = None

    async def close(self) -> list[str]:
        """Delete what was made and log out; returns what could not be done."""
        left: list[str] = []
        for caller, session_id in self._made:
            with contextlib.suppress(Violation, OSError, TimeoutError):
                answer = await caller.delete(f"/api/sessions/{session_id}")
                if answer.status in (204, 401, 404):
                    continue
            left.append(f"session {session_id}")
        for caller in (self._guest, None if self.options.token else self.user):
            if caller is not None and caller.token:
                with contextlib.suppress(Violation, OSError, TimeoutError):
                    await caller.post("/api/auth/logout")
        return left

    # Runs ------------------------------------------------------------------------------------------------------------

    async def _execute(self, prompt: Any, caller: Caller | None = None, **more: Any) -> Answer:
        body = {"userRequest": prompt, "provider": "simulated", **more}
        return await (caller or self.here).post("/api/execute-remote", body, Prefer="respond-async")

    def note_session(self, caller: Caller, session_id: str) -> None:
        if (caller, session_id) not in self._made:
            self._made.append((caller, session_id))

    def note(self, answer: Answer, caller: Caller | None = None) -> Run:
        """A run that was accepted with this answer; its session is deleted at the end."""
        found = answer.expect(202).json()
        expect_members(found, ("sessionId", "runId", "status"), answer.head.asked, "async")
        self.note_session(caller or self.here, found["sessionId"])
        return Run(found["sessionId"], found["runId"])

    async def start(self, prompt: Any = LONG, caller: Caller | None = None, **more: Any) -> Run:
        """Begin a run without following it."""
        return self.note(await self._execute(prompt, caller, **more), caller)

    async def send(self, run: Run, message: Any = BRIEF, caller: Caller | None = None, **more: Any) -> dict[str, Any]:
        """A follow-up: the answer's members, checked."""
        answer = await (caller or self.here).post(f"{run.session}/send", {"message": message, **more})
        found = answer.expect(202, "send").json()
        expect_members(found, ("sessionId", "runId", "status", "position"), answer.head.asked, "send")
        expect(found["sessionId"] == run.session_id, f"sessionId {run.session_id}", found, "send")
        return dict(found)

    async def interrupt(self, run: Run, caller: Caller | None = None) -> Answer:
        return await (caller or self.there).post(f"{run.session}/interrupt", {"runId": run.run_id})

    async def record(self, prompt: Any = BRIEF, caller: Caller | None = None, **more: Any) -> Recording:
        """Carry a run to its end in the stream of its POST."""
        body = {"userRequest": prompt, "provider": "simulated", **more}
        async with (caller or self.here).stream("/api/execute-remote", body) as stream:
            run = Run(stream.head.get("X-Session-ID"), stream.head.get("X-Run-ID"))
            expect(run.session_id and run.run_id, "X-Session-ID and X-Run-ID", stream.head.fields, "execute")
            self.note_session(caller or self.here, run.session_id)
            frames = await stream.rest()
        expect(logged(frames), "a stream with events", bytes(stream.raw), "post-scope")
        return Recording(run, bytes(stream.raw), frames)

    async def sample(self) -> Recording:
        """One recording that many checks look at and none changes."""
        if self._sample is None:
            self._sample = await self.record(SAMPLE)
        return self._sample

    async def replay(self, run: Run, caller: Caller | None = None, query: str = "", **headers: str) -> list[Frame]:
        """All frames of one answer of resume, to the end that the server makes."""
        async with (caller or self.here).stream(run.resume + query, **headers) as stream:
            return await stream.rest()

    async def status(self, run: Run, caller: Caller | None = None) -> str:
        session = (await (caller or self.there).get(run.session)).expect(200, "session").json()["session"]
        return str(session["status"])


def _brief(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:200].decode(errors='replace')}"
