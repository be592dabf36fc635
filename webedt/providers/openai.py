"""Any endpoint with OpenAI's chat completions, streaming: OpenAI itself, Ollama, vLLM, llama.cpp, OpenRouter …

Not resumable: after a take-over the run is asked again from its prompt. Without the official SDK, since that is made
for one upstream and the protocol is one POST; the tests drive the same fake endpoint with it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import aiohttp
import msgspec

from webedt.client.sse import Frame, FrameTooLarge, SSEParser
from webedt.config import Settings
from webedt.database.backoff import Backoff
from webedt.domain.secrets import Secret
from webedt.kernel import BaseService
from webedt.providers.breaker import CircuitBreaker
from webedt.providers.history import merged, within_budget
from webedt.providers.interface import ExecutionProvider, ProviderError, RunRequest, Step, Turn
from webedt.providers.openai_answer import Answer
from webedt.providers.openai_wire import encode_request, status_of_error
from webedt.providers.refusals import counts_as_failure, disconnected, malformed, refused, silent, unavailable
from webedt.providers.retry_after import retry_after_seconds

BASE_URL = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0
# Usage may follow the last word of the answer; who forgets to end the stream after it is not waited for.
TRAILER_SECONDS = 5.0
RETRY_BASE_SECONDS, RETRY_MAX_SECONDS = 0.5, 8.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
ERROR_SECONDS, ERROR_BYTES = 2.0, 64 * 1024
MAX_FRAME_BYTES = 16 * 1024 * 1024


class OpenAIProvider(BaseService, ExecutionProvider):
    name = "openai"
    resumable = False
    wants_history = True
    takes_keys = True

    def __init__(self, settings: Settings, trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> None:
        self._settings = settings
        self._trace_configs = trace_configs
        self._url = (settings.openai_base_url or BASE_URL) + "/chat/completions"
        # No host: where the deployment's models run is not for every user to know.
        self._upstream = "openai's endpoint" if settings.openai_base_url else "OpenAI"
        self._knows_usage = True
        self._breaker = CircuitBreaker()

    @property
    def unavailable_reason(self) -> str | None:
        return None

    @property
    def key_needed(self) -> str | None:
        if self._settings.openai_base_url:
            return None
        if self._settings.deployment_keys:
            return "The openai provider needs an API key: store your own, or set OPENAI_API_KEY or OPENAI_BASE_URL."
        return "The openai provider needs an API key of your own."

    @property
    def deployment_key(self) -> Secret | None:
        key = self._settings.openai_api_key
        return Secret(key) if key and self._settings.deployment_keys else None

    @property
    def breaker(self) -> CircuitBreaker:
        return self._breaker

    def default_model(self) -> str | None:
        return self._settings.openai_model or None

    @property
    def model_needed(self) -> str | None:
        return "Name a model: the openai provider has none by default (OPENAI_MODEL)."

    async def run(self, request: RunRequest, checkpoint: dict[str, Any] | None) -> AsyncGenerator[Step]:
        model = self._model_of(request)
        turns = within_budget(request.history, self._settings.provider_history_tokens)
        # A prompt whose run failed has no answer between it and this one, and many models' templates want turns.
        turns = merged([*turns, Turn("user", request.prompt)])
        answer = Answer(self._upstream, f"msg_{request.run_id.hex}_{request.attempt}")
        due = _now() + self._settings.provider_first_token_seconds
        try:
            async with self._session(request.api_key) as session:
                with _released(await self._ask(session, model, turns, due)) as response:
                    parser = SSEParser(max_frame_bytes=MAX_FRAME_BYTES)
                    while not answer.done and (frames := await self._frames(response, parser, answer, due)) is not None:
                        items = answer.take(frames)
                        if items:
                            yield Step(items)
                        if answer.failure is not None:
                            raise answer.failure
            if not answer.done and not answer.finished:
                raise disconnected(self._upstream)
        except ProviderError as error:
            if counts_as_failure(error):
                self._breaker.failed()
            elif error.code != "provider_malformed":
                self._breaker.succeeded()
            raise
        # Before the last step: whoever got it asks for no more.
        self._breaker.succeeded()
        yield Step(answer.ending())

    def _model_of(self, request: RunRequest) -> str:
        if request.api_key is None and (missing := self.key_needed) is not None:
            raise ProviderError("provider_not_configured", missing, retryable=False)
        model = request.model or self.default_model()
        if model is None:
            raise ProviderError("provider_model_missing", str(self.model_needed), retryable=False)
        return model

    def _session(self, api_key: Secret | None) -> aiohttp.ClientSession:
        """A client of this run's own, and nothing of the machine's in it: no proxy, no netrc, no cookies."""
        # Compressed, deltas would wait for each other.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "webedt"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key.reveal()}"
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trust_env=False,
            trace_configs=list(self._trace_configs),
        )

    # Asking ----------------------------------------------------------------------------------------------------------

    async def _ask(
        self, session: aiohttp.ClientSession, model: str, turns: Sequence[Turn], due: float
    ) -> aiohttp.ClientResponse:
        """The beginning of an answer. Raises `ProviderError` when there will be none before `due`."""
        try:
            async with asyncio.timeout_at(due):
                return await self._ask_until_answered(session, model, turns, due)
        except TimeoutError:
            raise silent(self._upstream, begun=False) from None

    async def _ask_until_answered(
        self, session: aiohttp.ClientSession, model: str, turns: Sequence[Turn], due: float
    ) -> aiohttp.ClientResponse:
        backoff = Backoff(RETRY_BASE_SECONDS, RETRY_MAX_SECONDS)
        retries = self._settings.provider_max_retries
        with_usage = self._knows_usage
        while True:
            asked: float | None = None
            try:
                # A stream, because aiohttp warns of large bodies that are bytes.
                body = BytesIO(encode_request(model, turns, with_usage=with_usage))
                # A redirect would take the key and the conversation to somebody else.
                response = await session.post(self._url, data=body, allow_redirects=False)
            except (aiohttp.ClientError, OSError) as error:
                self.log.warning("provider_unreachable", error=type(error).__name__)
                refusal = unavailable(self._upstream)
            else:
                if 200 <= response.status < 300:
                    self._knows_usage = with_usage
                    return response
                with _released(response):
                    status = await _status(response)
                    asked = retry_after_seconds(response.headers)
                self.log.warning("provider_refused", status=response.status)
                if status in (400, 422) and with_usage:
                    with_usage = False  # it may be the one field that not every server knows
                    continue
                refusal = self._refusal(status)
            # Those who were sent away together do not come back together, and none before the time.
            wait = backoff.next() if asked is None else asked * random.uniform(1.0, 1.1)  # noqa: S311 - jitter
            if not refusal.retryable or not retries or wait > min(LONGEST_RETRY_AFTER_SECONDS, due - _now()):
                raise refusal
            retries -= 1
            await asyncio.sleep(wait)

    def _refusal(self, status: int) -> ProviderError:
        if 300 <= status < 400:
            message = f"{self._upstream} has moved: OPENAI_BASE_URL must name its new address."
            return ProviderError("provider_moved", message, retryable=False)
        return refused(self._upstream, status)

    # Listening -------------------------------------------------------------------------------------------------------

    async def _frames(
        self, response: aiohttp.ClientResponse, parser: SSEParser, answer: Answer, due: float
    ) -> Sequence[Frame] | None:
        """What has come since, or None at the end. A deadline runs only in here: not while our own log takes its time.

        Whatever comes is a sign of life, comments too; until the answer begins there is one deadline for all.
        """
        if answer.begun:
            idle = self._settings.provider_idle_seconds
            due = _now() + (min(idle, TRAILER_SECONDS) if answer.finished else idle)
        try:
            async with asyncio.timeout_at(due):
                if response.content_type == "application/json":
                    # It was asked to stream and does not: the answer comes whole, or it is an error.
                    whole = await _read(response, MAX_FRAME_BYTES)
                    return [Frame(data=whole.decode(errors="replace"))] if whole else None
                data = await response.content.readany()
            return parser.feed(data) if data else None
        except (FrameTooLarge, _TooLarge):
            raise malformed(self._upstream) from None
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if answer.finished:
                return None
            if isinstance(error, TimeoutError):
                raise silent(self._upstream, begun=answer.begun) from None
            self.log.warning("provider_cut_off", error=type(error).__name__)
            raise disconnected(self._upstream) from None


@contextmanager
def _released(response: aiohttp.ClientResponse) -> Iterator[aiohttp.ClientResponse]:
    """The upstream is to stop at once when we do: no goodbye is sent that somebody would have to answer."""
    try:
        yield response
    finally:
        connection = response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()


class _TooLarge(Exception):
    """A body is larger than it may be."""


async def _status(response: aiohttp.ClientResponse) -> int:
    """The status, made more exact by the error that comes with it: a used-up budget is no rate limit, for one."""
    if response.status not in (400, 429):
        return response.status
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            body = msgspec.json.decode(await _read(response, ERROR_BYTES))
    except (aiohttp.ClientError, OSError, msgspec.DecodeError, _TooLarge):
        return response.status
    return status_of_error(body.get("error") if isinstance(body, dict) else None, otherwise=response.status)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while part := await response.content.readany():
        parts.append(part)
        total += len(part)
        if total > max_bytes:
            raise _TooLarge
    return b"".join(parts)


def _now() -> float:
    return asyncio.get_running_loop().time()
