"""The data of server-sent events, from bytes: what providers need of a stream, and as fast as Python can.

Only `data` is handed out: upstreams say again in their JSON what they name in `event`. The rules are those of the HTML
standard, section "Parsing an event stream"; `webedt.client.sse` reads all fields, at twice the cost.
"""

BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 64 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event grew beyond the bound; nothing after it can be trusted."""


class EventStream:
    """Takes the bytes of one connection in any split and gives the data of the events that they complete.

    Lines may end in LF, CRLF or CR. An event not closed by an empty line is never handed out.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        # What came after the last empty line.
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = self._after_carriage_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events completed by `chunk`, in order. Raises EventTooLarge."""
        if b"\r" in chunk or self._after_carriage_return:
            chunk = self._lines_end_in_line_feeds(chunk)
        if self._parts:
            # They were looked through already, but for the first half of an empty line.
            complete = b"\n\n" in chunk or (chunk.startswith(b"\n") and self._parts[-1].endswith(b"\n"))
            if not complete:
                self._keep(chunk)
                return []
            self._parts.append(chunk)
            chunk = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        if not self._begun and chunk:
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._keep(chunk)
                return []
            self._begun = True
            chunk = chunk.removeprefix(BOM)
        *events, rest = chunk.split(b"\n\n")
        if rest:
            self._keep(rest)
        return [data for event in events if (data := _data(event)) is not None]

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)
            if self._size > self._max_event_bytes:
                raise EventTooLarge(f"an event is larger than {self._max_event_bytes} bytes")

    def _lines_end_in_line_feeds(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        if self._after_carriage_return:
            # The other half of a CRLF whose line has ended with the chunk before.
            chunk = chunk.removeprefix(b"\n")
        self._after_carriage_return = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(event: bytes) -> bytes | None:
    name, _, data = event.partition(b"\n")
    if data.startswith(b"data: ") and b"\n" not in data and not name.startswith(b"data"):
        return data[6:]  # as nearly all are: a line that names the event and one of data
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(lines) if lines else None
