"""A prompt: a string or content blocks of text and images, and what is accepted of them."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from webedt.domain.errors import InvalidRequest
from webedt.domain.text import NOT_BLANK

MAX_BLOCKS = 100
TITLE_LENGTH = 80

# For the description. On an image of 10 MiB it takes 240 ms to match; the other one and the length say the same in 20.
BASE64 = {"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class TextBlock(msgspec.Struct, tag="text", forbid_unknown_fields=True, frozen=True):
    text: Annotated[str, Meta(min_length=1)]


class ImageSource(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Annotated[str, Meta(min_length=1, extra_json_schema=BASE64)]


class ImageBlock(msgspec.Struct, tag="image", forbid_unknown_fields=True, frozen=True):
    source: ImageSource


ContentBlock = TextBlock | ImageBlock
# For the description: an image, or a text that is not blank.
SAYS_SOMETHING = {"anyOf": [{"properties": {"type": {"const": "image"}}}, {"properties": {"text": NOT_BLANK}}]}
Prompt = (
    Annotated[str, Meta(extra_json_schema=NOT_BLANK)]
    | Annotated[
        list[ContentBlock], Meta(min_length=1, max_length=MAX_BLOCKS, extra_json_schema={"contains": SAYS_SOMETHING})
    ]
)


def prompt_blocks(prompt: Prompt, field: str) -> list[dict[str, Any]]:
    """Return the prompt as a list of content blocks. Raises `InvalidRequest` for one that says nothing."""
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InvalidRequest(f"{field} must not be empty.")
        return [{"type": "text", "text": prompt}]
    if all(isinstance(block, TextBlock) and not block.text.strip() for block in prompt):
        raise InvalidRequest(f"{field} must not be empty.")
    if any(isinstance(block, ImageBlock) and not _is_base64(block.source.data) for block in prompt):
        raise InvalidRequest(f"{field} has an image that is not base64.")
    blocks: list[dict[str, Any]] = msgspec.to_builtins(prompt)
    return blocks


def _is_base64(data: str) -> bool:
    return len(data) % 4 == 0 and _BASE64.fullmatch(data) is not None


def prompt_text(blocks: list[dict[str, Any]]) -> str:
    """The text of a prompt, blocks joined by a newline; images have none."""
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def title_of(blocks: list[dict[str, Any]]) -> str:
    """A session's first title: the beginning of its first prompt on one line."""
    words = " ".join(prompt_text(blocks).split())
    if not words:
        return "Image"
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"
