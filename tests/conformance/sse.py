"""Event streams by the letter of the contract: bytes to frames, every rule of the wire looked at."""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.check import Violation, expect, violate
from tests.conformance.wire import Connection, Head

TERMINAL = ("completed", "failed", "interrupted")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_WORD = re.compile(r"[a-z][a-z_]*")


@dataclass(frozen=True)
class Frame:
    """One block. `raw` are its bytes with the blank line that ends it."""

    raw: bytes
    id: int | None = None
    event: str | None = None
    data: Any = None
    retry: int | None = None
    comment: bool = False

    @property
    def run_id(self) -> Any:
        return self.data.get("runId") if isinstance(self.data, dict) else None


def parse(raw: bytes) -> Frame:
    """Read one block, which must be of one of the four kinds there are."""
    expect(b"\r" not in raw, "lines that end with LF alone", raw, "lines")
    try:
        lines = raw.decode().removesuffix("\n\n").split("\n")
    except UnicodeDecodeError as error:
        raise Violation("UTF-8", f"{error} in {raw!r}", "lines") from None
    if all(line.startswith(":") for line in lines):
        return Frame(raw, comment=True)
    fields = [line.partition(": ") for line in lines]
    match [name for name, _, _ in fields]:
        case ["id", "event", "data"]:
            number = fields[0][2]
            expect(_NUMBER.fullmatch(number) and number != "0", "an id that is a number from 1", raw, "frames")
            return Frame(raw, id=int(number), event=_word(fields[1][2], raw), data=_data(fields[2][2], raw))
        case ["event", "data"]:
            return Frame(raw, event=_word(fields[0][2], raw), data=_data(fields[1][2], raw))
        case ["retry"]:
            expect(_NUMBER.fullmatch(fields[0][2]), "retry: a number of milliseconds", raw, "retry")
            return Frame(raw, retry=int(fields[0][2]))
    violate("id, event and data, or event and data, or retry, or comments, each `name: value`", raw, "frames")


def _word(text: str, raw: bytes) -> str:
    expect(_WORD.fullmatch(text), "an event name in small letters", raw, "frames")
    return text


def _data(text: str, raw: bytes) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Violation("data that is JSON", f"{error} in {raw!r}", "frames") from None
    expect(isinstance(found, dict), "data that is an object", raw, "frames")
    return found


def parse_all(raw: bytes) -> list[Frame]:
    """The frames of a whole body, comments left out."""
    *blocks, rest = raw.split(b"\n\n")
    expect(not rest, "a body that ends with a blank line", rest[-200:], "lines")
    return [frame for frame in (parse(block + b"\n\n") for block in blocks) if not frame.comment]


class Stream:
    """An open stream: its head, then frame by frame."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self.head = head
        self.raw = bytearray()
        self.seen: list[Frame] = []
        self.comments = 0
        self._pieces: AsyncIterator[bytes] = connection.pieces(head)
        self._rest = b""
        self._asked = connection.asked

    async def next(self) -> Frame | None:
        """The next frame that is no comment, or None at the proper end."""
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if found:
                self._rest = rest
                frame = parse(block + found)
                if frame.comment:
                    self.comments += 1
                    continue
                self.seen.append(frame)
                return frame
            if not await self._fill():
                return None

    async def until_comment(self) -> None:
        """Return when there is a comment; other frames are passed over."""
        while not self.comments:
            expect(await self._fill(), f"{self._asked}: a comment", "the end")
            while (found := self._rest.partition(b"\n\n"))[1]:
                self._rest = found[2]
                self.comments += parse(found[0] + found[1]).comment

    async def _fill(self) -> bool:
        """Take what comes next; False at the proper end."""
        piece = await anext(self._pieces, None)
        if piece is None:
            expect(not self._rest, f"{self._asked}: no frame cut in two", self._rest, "lines")
            return False
        self.raw += piece
        self._rest += piece
        return True

    async def until(self, wanted: str | Callable[[Frame], bool]) -> Frame:
        """The next frame of this event, or of which `wanted` is true."""
        while (frame := await self.next()) is not None:
            if frame.event == wanted if isinstance(wanted, str) else wanted(frame):
                return frame
        what = wanted if isinstance(wanted, str) else "another event"
        violate(f"{self._asked}: {what} before the end", f"the end behind {events(self.seen)[-8:]}")

    async def rest(self) -> list[Frame]:
        """All that was seen of the stream, once the server has ended it."""
        while await self.next() is not None:
            pass
        return self.seen


def logged(frames: Sequence[Frame]) -> list[Frame]:
    """The frames that belong to the log."""
    return [frame for frame in frames if frame.id is not None]


def ids(frames: Sequence[Frame]) -> list[int]:
    return [frame.id for frame in frames if frame.id is not None]


def events(frames: Sequence[Frame]) -> list[str]:
    return [frame.event for frame in frames if frame.event is not None]


def ends(frames: Sequence[Frame]) -> list[tuple[str, Any]]:
    """The terminal events and the runs that they end."""
    return [(frame.event, frame.run_id) for frame in frames if frame.event in TERMINAL]
