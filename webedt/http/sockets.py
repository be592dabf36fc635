"""Socket options of streams: a peer that is gone without a word must not be kept."""

import asyncio
import socket


def cut_dead_peers(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the kernel end the connection when sent data stays unacknowledged for so long (Linux: RFC 5482)."""
    peer = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if peer is not None and option is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
        peer.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))
