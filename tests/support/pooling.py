"""How replicas of the tests reach their database: directly, or, with `TEST_PGBOUNCER`, as behind a pooler.

Then `DATABASE_URL` of every replica, be it in this process or one of its own, goes through a PgBouncer, and
`DATABASE_DIRECT_URL` around it; what the tests ask themselves goes the direct way. Every server gets a PgBouncer of its
own when the first replica needs it, until this process ends: fault injecting proxies are servers, too.
"""

import atexit
import functools
import os
from typing import Any
from urllib.parse import urlsplit

from tests.support.pgbouncer import PgBouncer

PREPARED = "prepared"


def pooling() -> str:
    """Nothing, `1`, or `prepared`: with prepared statements, which needs PgBouncer 1.21."""
    asked = os.environ.get("TEST_PGBOUNCER", "")
    return "" if asked == "0" else asked


def settings_to(database_url: str) -> dict[str, Any]:
    """The settings of a replica that say how it reaches this database."""
    if not pooling() or not urlsplit(database_url).path.strip("/"):
        return {"database_url": database_url}
    parts = urlsplit(database_url)
    pooler = _pooler_of(parts._replace(path="").geturl(), pooling() == PREPARED)
    prepared = {"db_prepared_statements": True} if pooling() == PREPARED else {}
    return {"database_url": pooler.url_of(database_url), "database_direct_url": database_url, **prepared}


def environment_to(database_url: str) -> dict[str, str]:
    """The same, for a replica that is a process."""
    values = {True: "on"}
    return {name.upper(): values.get(value, value) for name, value in settings_to(database_url).items()}


@functools.cache
def _pooler_of(server_url: str, prepared: bool) -> PgBouncer:
    pooler = PgBouncer(server_url, **({"max_prepared_statements": 200} if prepared else {}))
    atexit.register(pooler.close)
    pooler.start()
    return pooler
