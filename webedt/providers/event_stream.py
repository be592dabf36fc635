"""The data of server-sent events, from bytes: what providers need of a stream, and as fast as Python can.

Only `data` is handed out: upstreams say again in their JSON what they name in `event`. The rules are those of the HTML
standard, section "Parsing an event stream"; `webedt.client.sse` reads all fields, at five times the cost.
"""

MAX_EVENT_BYTES = 64 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event grew beyond the bound; nothing after it can be trusted."""


class EventStream:
    """Takes the bytes of one connection in any split and gives the data of the events that they complete.

    Lines may end in LF, CRLF or CR. An event not closed by an empty line is never handed out.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._last = b""
        self._begun = self._after_carriage_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events completed by `chunk`, in order. Raises EventTooLarge."""
        chunk = self._lines_end_in_line_feeds(chunk)
        if not chunk:
            return []
        # What came before was looked through already, but for the first half of an empty line.
        complete = b"\n\n" in chunk or (self._last == b"\n" and chunk[:1] == b"\n")
        self._last = chunk[-1:]
        self._parts.append(chunk)
        if not complete:
            self._size += len(chunk)
            if self._size > self._max_event_bytes:
                raise EventTooLarge(f"an event is larger than {self._max_event_bytes} bytes")
            return []
        text = b"".join(self._parts)
        if not self._begun:
            self._begun = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        *events, rest = text.split(b"\n\n")
        self._parts = [rest]
        self._size = len(rest)
        return [data for data in map(_data, events) if data is not None]

    def _lines_end_in_line_feeds(self, chunk: bytes) -> bytes:
        if self._after_carriage_return and chunk:
            # The other half of a CRLF whose line has ended with the chunk before.
            self._after_carriage_return = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" not in chunk:
            return chunk
        self._after_carriage_return = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(event: bytes) -> bytes | None:
    data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(data) if data else None
