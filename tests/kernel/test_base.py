"""What the mixin gives to every service: logger, transactions, errors, clean-up, results."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from webedt.kernel import (
    AService,
    ATransactions,
    BaseService,
    Connection,
    OperationResult,
    ServiceNotReady,
    ServiceNotRegistered,
    ServiceProvider,
)

R = TypeVar("R")


class ASessionService(AService):
    order = 10

    @abstractmethod
    async def rename(self, session_id: str) -> OperationResult: ...


class SessionService(BaseService, ASessionService):
    async def rename(self, session_id: str) -> OperationResult:
        return self.success_result("renamed", id=session_id)


class Database(ATransactions):
    order = -50

    def __init__(self) -> None:
        self.attempts: list[int] = []

    async def with_transaction(self, work: Callable[[Connection], Awaitable[R]], *, attempts: int = 2) -> R:
        self.attempts.append(attempts)
        return await work("connection")


class NotFound(Exception):
    code = "not_found"
    title = "Not found"

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail} (internal remark)")
        self.detail = detail


class ForeignError(Exception):
    """As libraries make them: a code and a text, neither meant for a stranger."""

    code = "57P01"


@pytest.fixture
def service() -> SessionService:
    return SessionService()


def test_the_mixin_keeps_the_order_of_the_contract(service: SessionService) -> None:
    assert service.order == 10


def test_log_lines_carry_the_class_name_as_component(service: SessionService) -> None:
    with capture_logs() as logs:
        service.log.info("session_renamed", id="s1")
    assert logs == [{"component": "SessionService", "event": "session_renamed", "id": "s1", "log_level": "info"}]


def test_the_logger_follows_a_configuration_made_after_its_first_use(service: SessionService) -> None:
    assert service.log is service.log
    with capture_logs() as logs:
        service.log.info("after")
    assert [line["event"] for line in logs] == ["after"]


async def test_transactions_run_on_the_registered_database_with_the_attempts_asked_for(service: SessionService) -> None:
    provider, database = ServiceProvider(), Database()
    provider.register(ASessionService, service)
    provider.register(ATransactions, database)
    await provider.initialize()

    async def work(connection: Connection) -> str:
        return f"worked on {connection}"

    assert await service.with_transaction(work) == "worked on connection"
    assert await service.with_transaction(work, attempts=1) == "worked on connection"
    assert database.attempts == [5, 1]


async def test_a_transaction_without_a_database_says_what_is_missing(service: SessionService) -> None:
    provider = ServiceProvider()
    provider.register(ASessionService, service)

    async def work(connection: Connection) -> None:
        pytest.fail("there is no database to work on")

    with pytest.raises(ServiceNotRegistered, match="ATransactions is not registered; registered: ASessionService"):
        await service.with_transaction(work)


def test_success_is_a_result_with_a_message_and_data(service: SessionService) -> None:
    assert service.success_result("deleted", id="s1") == OperationResult(ok=True, message="deleted", data={"id": "s1"})
    assert service.success_result().code == "ok"


def test_an_expected_error_is_a_warning_and_its_public_words_are_the_answer(service: SessionService) -> None:
    with capture_logs() as logs:
        result = service.handle_error(NotFound("no such session"), "delete_session", id="s1")
    assert result == OperationResult(ok=False, code="not_found", message="no such session")
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("operation_refused", "warning")
    assert (line["operation"], line["id"], line["component"]) == ("delete_session", "s1", "SessionService")


@pytest.mark.parametrize("error", [ForeignError("host=10.0.0.1 password=x"), KeyError("password=x")])
def test_a_fault_is_logged_with_its_traceback_and_the_answer_tells_nothing_of_it(
    service: SessionService, error: Exception
) -> None:
    with capture_logs() as logs:
        result = service.handle_error(error, "delete_session", id="s1")
    assert result == OperationResult(ok=False, code="internal", message="delete_session failed")
    (line,) = logs
    assert (line["event"], line["log_level"], line["exc_info"]) == ("operation_failed", "error", error)
    assert (line["operation"], line["id"]) == ("delete_session", "s1")


def test_a_context_field_named_like_a_field_of_the_log_line_does_not_break_the_handler(service: SessionService) -> None:
    with capture_logs() as logs:
        service.handle_error(OSError(), "send", event="user_message", exc_info="x", component="y")
    assert logs[0]["event"] == "operation_failed"


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        BaseExceptionGroup("both", [asyncio.CancelledError(), OSError()]),
        ServiceNotReady("a defect of the wiring"),
    ],
)
def test_cancellation_and_defects_of_the_wiring_are_raised_again(service: SessionService, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        service.handle_error(error, "delete_session")
    assert caught.value is error


async def test_shutdown_callbacks_sync_and_async_run_once_the_last_added_first(service: SessionService) -> None:
    ran: list[str] = []

    async def asynchronous() -> None:
        ran.append("async")

    service.on_shutdown(lambda: ran.append("sync"))
    service.on_shutdown(asynchronous)
    await service.dispose()
    await service.dispose()
    assert ran == ["async", "sync"]


async def test_every_shutdown_callback_runs_though_one_throws(service: SessionService) -> None:
    ran: list[str] = []
    error = RuntimeError("stuck")

    def broken() -> None:
        raise error

    service.on_shutdown(lambda: ran.append("first"))
    service.on_shutdown(broken)
    service.on_shutdown(lambda: ran.append("last"))
    with pytest.raises(ExceptionGroup, match="SessionService failed to stop") as caught:
        await service.dispose()
    assert caught.value.exceptions == (error,)
    assert ran == ["last", "first"]


async def test_a_cancelled_shutdown_runs_the_remaining_callbacks_and_stays_cancelled(service: SessionService) -> None:
    ran: list[str] = []
    reached = asyncio.Event()

    async def hanging() -> None:
        reached.set()
        await asyncio.Event().wait()

    service.on_shutdown(lambda: ran.append("first"))
    service.on_shutdown(hanging)
    stopping = asyncio.create_task(service.dispose())
    await reached.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ran == ["first"]


async def test_the_contracts_own_dispose_follows_the_callbacks() -> None:
    ran: list[str] = []

    class AClosing(AService):
        @abstractmethod
        def name(self) -> str: ...

        async def dispose(self) -> None:
            ran.append("contract")

    class Closing(BaseService, AClosing):
        def name(self) -> str:
            return "closing"

    closing = Closing()
    closing.on_shutdown(lambda: ran.append("callback"))
    await closing.dispose()
    assert ran == ["callback", "contract"]


async def test_services_do_not_share_their_shutdown_callbacks() -> None:
    ran: list[str] = []
    one, other = SessionService(), SessionService()
    one.on_shutdown(lambda: ran.append("one"))
    await other.dispose()
    assert ran == []
