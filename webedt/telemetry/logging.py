"""Log lines: one constant snake_case event name plus fields, JSON in production, readable on a terminal.

The container id stands on every line, the request id on every line of a request (`bind_request`), and with tracing the
ids of trace and span on every line of a request or a run. Secrets never reach a logger; the last processor is a net for
the names that would carry one.
"""

import logging
import sys
from abc import abstractmethod
from copy import copy
from typing import Any, ClassVar, TextIO, cast

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from webedt.kernel import AService
from webedt.telemetry.tracing import ATracing

SECRET_FIELDS = frozenset(
    {"password", "token", "authorization", "cookie", "api_key", "secret", "session_secret", "session_secrets", "dsn"}
)

bind_request = bound_contextvars


class ALogger(AService):
    """Hands out loggers; first of all services to start."""

    order: ClassVar[int] = -100

    @abstractmethod
    def logger(self, component: str) -> FilteringBoundLogger:
        """A logger bound with `component`."""


class ConsoleLogger(ALogger):
    """Writes to standard error: JSON lines, or colours when it is a terminal."""

    def __init__(self, level: str, container_id: str, *, json: bool, tracing: ATracing | None = None) -> None:
        self._level = level
        self._container_id = container_id
        self._json = json
        self._tracing = tracing

    async def initialize(self) -> None:
        configure_logging(self._level, self._container_id, json=self._json, tracing=self._tracing)

    def logger(self, component: str) -> FilteringBoundLogger:
        return cast(FilteringBoundLogger, structlog.get_logger(component=component))


def configure_logging(level: str, container_id: str, *, json: bool, tracing: ATracing | None = None) -> None:
    """Set structlog up for this process. `level`: debug, info, warning or error."""

    def add_container(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["container"] = container_id
        return event

    def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name in SECRET_FIELDS.intersection(event):
            event[name] = "…"
        return event

    def add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if tracing is not None and (traceparent := tracing.current.traceparent) is not None:
            _, event["trace_id"], event["span_id"], _ = traceparent.split("-")
        return event

    rendering: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [
            # Plain: a prettier traceback shows local variables, and with them passwords and prompts.
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    fields: list[Any] = [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_container,
        *([add_trace] if tracing is not None and tracing.enabled else []),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*fields, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(fields, rendering)


def _configure_libraries(fields: list[Any], rendering: list[Any]) -> None:
    """What libraries say through the standard logging becomes lines of the same kind."""
    handler = _LibraryHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*fields, structlog.stdlib.add_logger_name], processors=[remove_meta, *rendering]
        )
    )
    root = logging.getLogger()
    for earlier in [one for one in root.handlers if isinstance(one, _LibraryHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    # The pool tells of each failed try with a traceback; `connection_unavailable` says it once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """Ours, to be told from those of others."""

    def emit(self, record: logging.LogRecord) -> None:
        # For whatever a stranger sends that is not HTTP, aiohttp logs an error with a traceback: a line will do.
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record = copy(record)
            record.msg, record.args, record.exc_info = "request_unreadable", (), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        super().emit(record)
