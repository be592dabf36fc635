"""Server-sent events, from bytes to frames. Pure: no I/O, no JSON, no idea what the events mean.

The rules are those of the HTML standard, section "Parsing an event stream". Two things differ on purpose: a block
that carries only `id` or `retry` is handed out too (the reader keeps the cursor and the delay, not the parser), and
the last id is not inherited by later frames.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frame:
    """One block of a stream. `id`, `data` and `retry_ms` are None where the block did not say; an `id` may be empty."""

    id: str | None = None
    event: str = "message"
    data: str | None = None
    retry_ms: int | None = None


class FrameTooLarge(ValueError):
    """A block grew beyond the parser's bound; nothing after it can be trusted."""


@dataclass(slots=True)
class _Block:
    """The fields of the block that is being read."""

    id: str | None = None
    event: str = ""
    data: list[str] = field(default_factory=list)
    retry_ms: int | None = None


class SSEParser:
    """Takes the bytes of one connection in any split and gives the frames that they complete.

    Lines may end in LF, CRLF or CR. They are cut before they are decoded, so a character split over two chunks is
    whole again; malformed UTF-8 becomes U+FFFD. A block not closed by an empty line is never handed out.
    """

    def __init__(self, *, max_frame_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._partial_line: list[bytes] = []
        self._frame_bytes = 0
        self._first_line = True
        self._skip_line_feed = False
        self._block = _Block()

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames completed by `chunk`, in order. Raises FrameTooLarge."""
        if not chunk:
            return []
        if self._skip_line_feed and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        frames = []
        # bytes.splitlines cuts at LF, CRLF and CR only, unlike str.splitlines.
        for piece in chunk.splitlines(keepends=True):
            self._frame_bytes += len(piece)
            if self._frame_bytes > self._max_frame_bytes:
                raise FrameTooLarge(f"a frame is larger than {self._max_frame_bytes} bytes")
            self._partial_line.append(piece)
            if piece.endswith((b"\n", b"\r")):
                frame = self._end_line()
                if frame is not None:
                    frames.append(frame)
        # A CR at the very end ends its line at once; what follows may turn out to be the other half of a CRLF.
        self._skip_line_feed = chunk.endswith(b"\r")
        return frames

    def _end_line(self) -> Frame | None:
        raw = b"".join(self._partial_line)
        self._partial_line.clear()
        if self._first_line:
            self._first_line = False
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        line = raw.rstrip(b"\r\n").decode("utf-8", errors="replace")
        if not line:
            return self._end_block()
        self._read_field(line)
        return None

    def _read_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._block.data.append(value)
        elif name == "event":
            self._block.event = value
        elif name == "id" and "\0" not in value:
            self._block.id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) <= 12:
            self._block.retry_ms = int(value)

    def _end_block(self) -> Frame | None:
        block, self._block = self._block, _Block()
        self._frame_bytes = 0
        data = "\n".join(block.data) if block.data else None
        if block.id is None and block.retry_ms is None and data is None:
            return None
        return Frame(block.id, block.event or "message", data, block.retry_ms)
