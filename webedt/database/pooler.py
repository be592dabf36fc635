"""What is different on connections that a transaction pooler such as PgBouncer shares: no state of a session holds.

Each transaction brings its limits along, and a connection says next to nothing at its start.
"""

from collections.abc import Mapping

# A pooler refuses start-up settings that it does not know. This one it does, and asyncpg spells it in a way ('utf-8')
# that makes PgBouncer set it anew on the server before every transaction.
START_SETTINGS = {"client_encoding": "UTF8"}


def begin_with(limits: Mapping[str, str]) -> str:
    """BEGIN, with the limits that other connections have from their start."""
    return "; ".join(["BEGIN", *(f"SET LOCAL {name} = {value}" for name, value in limits.items())])


def is_cancelled_later(error: Exception) -> bool:
    """Whether a statement only took too long: it is cancelled while its connection is given back. Without a pooler the
    server has a limit for it, and one that exceeds ours is silent."""
    return isinstance(error, TimeoutError)
