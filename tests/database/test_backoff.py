"""Delays double, are never the same for two who fail together, and begin anew after success."""

from itertools import pairwise

from webedt.database.backoff import Backoff


def test_delays_double_up_to_the_bound() -> None:
    backoff = Backoff(0.1, 3.0)
    for bound in (0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0):
        assert bound / 2 <= backoff.next() <= bound


def test_after_success_they_begin_anew() -> None:
    backoff = Backoff(0.1, 3.0)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.1


def test_two_who_fail_together_do_not_come_back_together() -> None:
    delays = sorted(Backoff(1.0, 1.0).next() for _ in range(200))
    assert delays[-1] - delays[0] > 0.3
    assert max(later - earlier for earlier, later in pairwise(delays)) < 0.1


def test_it_goes_on_for_ever() -> None:
    backoff = Backoff(0.05, 5.0)
    assert all(0 < backoff.next() <= 5.0 for _ in range(2000))
