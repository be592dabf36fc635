"""Ports of 127.0.0.1 for the servers that tests start."""

import random
import socket

# Below the range that the kernel takes ports of outgoing connections from, so that none takes a stopped server's.
PORTS = range(20000, 32000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
