"""Moments of the wire (ISO 8601, UTC) as people say them."""

from datetime import UTC, datetime
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86400


def moment(value: Any) -> datetime | None:
    """The moment, or None for what is none."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def local_minute(value: Any) -> str:
    """`2026-01-02 03:04` in the local time zone."""
    found = moment(value)
    return found.astimezone().strftime("%Y-%m-%d %H:%M") if found else ""


def age(value: Any, now: datetime | None = None) -> str:
    """How long ago: `5 s`, `12 min`, `3 h`, `4 d`."""
    found = moment(value)
    if found is None:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - found).total_seconds()))
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    return f"{seconds // HOUR} h" if seconds < 2 * DAY else f"{seconds // DAY} d"
