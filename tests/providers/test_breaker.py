"""When an upstream is left alone, and when it is tried again."""

from webedt.providers.breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, open_seconds=30, clock=clock)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = opened(Clock())
    assert (breaker.state, breaker.allows(), breaker.failures) == ("open", False, 3)


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = CircuitBreaker(failures=3)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert (breaker.state, breaker.failures) == ("closed", 0)


def test_after_a_while_one_caller_may_try() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    assert breaker.state == "half_open"
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert (breaker.state, breaker.allows()) == ("closed", True)


def test_a_trial_that_fails_opens_it_for_as_long_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    assert breaker.allows()
    breaker.failed()
    clock.now += 29
    assert not breaker.allows()
    clock.now += 1
    assert breaker.allows()


def test_a_trial_that_never_reports_does_not_close_the_door_for_good() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    assert breaker.allows()
    clock.now += 30
    assert breaker.allows()
