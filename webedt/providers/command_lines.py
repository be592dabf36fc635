"""Bytes as they come out of a pipe, made into pieces of text: whole lines, and as few pieces as may be."""

import codecs
import io
from collections.abc import Iterator

PIECE_CHARACTERS = 4096


class Lines:
    """Undecodable bytes become U+FFFD; CRLF and a lone CR become a newline; characters and CRLF may come in halves.

    Lines that come together stay together. A line without an end is given in pieces, so that nothing grows.
    """

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._half = ""

    @property
    def half(self) -> bool:
        """A line has begun and not ended."""
        return bool(self._half)

    def take(self, data: bytes, *, final: bool = False) -> list[str]:
        text = self._half + self._decoder.decode(data, final)
        end = len(text) if final or len(text) - text.rfind("\n") > PIECE_CHARACTERS else text.rfind("\n") + 1
        self._half = text[end:]
        return list(_pieces(text[:end]))

    def take_half(self) -> list[str]:
        """What has begun, without waiting for its end."""
        half, self._half = self._half, ""
        return [half]


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + PIECE_CHARACTERS
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end
