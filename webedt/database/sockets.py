"""Socket options of connections to the server: one that is gone without a word must not keep anybody waiting.

The server's own keep-alives are settings of each connection and end only its side of it.
"""

import socket
from typing import Any

KEEP_ALIVE_SECONDS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # the last is a count
UNACKNOWLEDGED_SECONDS = 10


async def cut_dead_server(connection: Any) -> None:
    """Have the kernel end the connection about ten seconds after the server's machine was last heard of."""
    transport = getattr(connection, "_transport", None)  # asyncpg offers no other way to its socket
    link = None if transport is None else transport.get_extra_info("socket")
    if link is None or link.family not in (socket.AF_INET, socket.AF_INET6):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {**KEEP_ALIVE_SECONDS, "TCP_USER_TIMEOUT": UNACKNOWLEDGED_SECONDS * 1000}
    for name, value in options.items():
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
