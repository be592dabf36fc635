"""When a refusing upstream wants to be asked again. Pure.

Sources: RFC 9110, section 10.2.3 (`Retry-After`: seconds or a date); `retry-after-ms` is a habit of model endpoints.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long to wait, finite and above 0; None if the headers do not say, or nothing of use.

    A date is measured from the answer's own `Date`: both are of one clock, and ours may be wrong.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name)) * unit
        if 0 < seconds < math.inf:
            return seconds
    due, sent = _date(headers.get("retry-after")), _date(headers.get("date"))
    seconds = 0.0 if due is None or sent is None else (due - sent).total_seconds()
    return seconds if seconds > 0 else None


def _date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return date.replace(tzinfo=date.tzinfo or UTC)


def _number(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return math.nan
