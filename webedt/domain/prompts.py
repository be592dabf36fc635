"""A prompt: a string or content blocks of text and images, and what is accepted of them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from webedt.domain.errors import InvalidRequest

MAX_BLOCKS = 100
TITLE_LENGTH = 80


class TextBlock(msgspec.Struct, tag="text", forbid_unknown_fields=True, frozen=True):
    text: Annotated[str, Meta(min_length=1)]


class ImageSource(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Annotated[str, Meta(min_length=1, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class ImageBlock(msgspec.Struct, tag="image", forbid_unknown_fields=True, frozen=True):
    source: ImageSource


ContentBlock = TextBlock | ImageBlock
Prompt = str | Annotated[list[ContentBlock], Meta(min_length=1, max_length=MAX_BLOCKS)]


def prompt_blocks(prompt: Prompt, field: str) -> list[dict[str, Any]]:
    """Return the prompt as a list of content blocks. Raises `InvalidRequest` for one that says nothing."""
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InvalidRequest(f"{field} must not be empty.")
        return [{"type": "text", "text": prompt}]
    if all(isinstance(block, TextBlock) and not block.text.strip() for block in prompt):
        raise InvalidRequest(f"{field} must not be empty.")
    if any(isinstance(block, ImageBlock) and not _may_be_base64(block.source.data) for block in prompt):
        raise InvalidRequest(f"{field} has an image that is not base64.")
    blocks: list[dict[str, Any]] = msgspec.to_builtins(prompt)
    return blocks


def _may_be_base64(data: str) -> bool:
    """What the pattern above cannot say: its `$` lets a last newline pass, and no bytes have such a length."""
    return not data.endswith("\n") and len(data) % 4 != 1


def prompt_text(blocks: list[dict[str, Any]]) -> str:
    """The text of a prompt, blocks joined by a newline; images have none."""
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def title_of(blocks: list[dict[str, Any]]) -> str:
    """A session's first title: the beginning of its first prompt on one line."""
    words = " ".join(prompt_text(blocks).split())
    if not words:
        return "Image"
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"
