"""What every implementation of a service gets for free.

Owns the conveniences of the mixin `BaseService`: a logger, transactions, consistent handling of errors, clean-up
callbacks. Must not know any particular service, nor the database behind `ATransactions`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeVar, cast

import structlog
from structlog.typing import FilteringBoundLogger

from webedt.kernel.errors import ServiceError
from webedt.kernel.result import OperationResult, PublicError
from webedt.kernel.service import AService
from webedt.kernel.teardown import Step, tear_down
from webedt.kernel.transactions import ATTEMPTS, ATransactions, Connection

R = TypeVar("R")


class BaseService(AService):
    """Mixin, named before the contract: `class SessionService(BaseService, ASessionService)`.

    The order stays the contract's. An implementation that overrides `dispose` calls `await super().dispose()`, where
    the callbacks of `on_shutdown` run; it needs no `super().__init__()`.
    """

    @cached_property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger bound with `component=<class name>`; it follows the configuration of the moment."""
        return cast(FilteringBoundLogger, structlog.get_logger(component=type(self).__name__))

    async def with_transaction(self, work: Callable[[Connection], Awaitable[R]], *, attempts: int = ATTEMPTS) -> R:
        """Run `work(connection)` in a transaction of the registered `ATransactions`; see there for the retries."""
        return await self.services.get(ATransactions).with_transaction(work, attempts=attempts)

    def success_result(self, message: str = "", **data: Any) -> OperationResult:
        """The answer of an operation that worked."""
        return OperationResult(ok=True, message=message, data=data)

    def handle_error(self, error: BaseException, operation: str, **context: Any) -> OperationResult:
        """Log `error` with `operation` and `context`, and make the answer for the caller of the operation.

        A `PublicError` is expected: logged as a warning, its code and detail are the answer. Anything else is a
        fault: logged with its traceback, and the answer tells nothing of it. Whatever is not an `Exception`, above
        all `CancelledError`, and misuse of the service layer itself (`ServiceError`) is raised again.
        """
        if not isinstance(error, Exception) or isinstance(error, ServiceError):
            raise error
        # bind() first: a field of `context` named like an argument of the log method must not break the handler.
        log = self.log.bind(**{**context, "operation": operation})
        if isinstance(error, PublicError):
            log.warning("operation_refused", code=error.code, error=str(error))
            return OperationResult(ok=False, message=error.detail, code=error.code)
        log.error("operation_failed", exc_info=error)
        return OperationResult(ok=False, message=f"{operation} failed", code="internal")

    def on_shutdown(self, callback: Step) -> None:
        """Have `callback` (sync or async, no arguments) run at `dispose`: the last one added first, each once."""
        self._shutdown_callbacks.append(callback)

    async def dispose(self) -> None:
        """Run the callbacks, then what follows in the class order; each runs even if another one raises."""
        callbacks, self._shutdown_callbacks = self._shutdown_callbacks, []
        steps = [(getattr(one, "__qualname__", repr(one)), one) for one in reversed(callbacks)]
        await tear_down(f"{type(self).__name__} failed to stop", [*steps, ("dispose", super().dispose)])

    @cached_property
    def _shutdown_callbacks(self) -> list[Step]:
        return []
