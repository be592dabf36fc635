"""A name server for one name, as Docker's is for a service: an address for each replica, and whoever asks is told."""

import asyncio
import socket
import struct

ADDRESS, IN = 1, 1
ANSWER, AUTHORITATIVE = 0x8000, 0x0400


class NameServer(asyncio.DatagramProtocol):
    """Answers questions for addresses with `addresses`, whatever the name; other questions with nothing."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, flags = struct.unpack("!HH", data[:4])
        end = data.index(b"\0", 12) + 5  # the name, its type and its class
        question = data[12:end]
        wanted = struct.unpack("!HH", question[-4:])
        found = self.addresses if wanted == (ADDRESS, IN) else []
        head = struct.pack("!HHHHHH", number, ANSWER | AUTHORITATIVE | flags & 0x0100, 1, len(found), 0, 0)
        # 0xC00C: the name that stands at the question.
        records = [struct.pack("!HHHIH", 0xC00C, ADDRESS, IN, 1, 4) + socket.inet_aton(item) for item in found]
        if self._transport is not None:
            self._transport.sendto(head + question + b"".join(records), addr)
