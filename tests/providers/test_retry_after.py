"""What the headers of a refusal say about when to ask again."""

import pytest

from webedt.providers.retry_after import retry_after_seconds

SENT = "Sat, 31 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "Sat, 31 Jan 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Sat, 31 Jan 2026 12:00:07 -0000"}, 7.0),
        ({"retry-after": "Sat, 31 Jan 2026 11:59:00 GMT"}, None),
        ({}, None),
        *(({"retry-after": value}, None) for value in ("", "0", "-1", "nan", "inf", "soon", "1e999", "99 Foo 9999")),
    ],
)
def test_seconds_milliseconds_and_dates_are_understood_and_nonsense_is_not(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds({"date": SENT, **headers}) == seconds


def test_a_date_without_the_clock_it_is_of_says_nothing() -> None:
    assert retry_after_seconds({"retry-after": "Sat, 31 Jan 2026 12:00:07 GMT"}) is None
