"""The parts of a chat message as the content blocks of Anthropic's messages.

Decides which parts have a counterpart: text, refusals (text that was said), images in the body or by URL, PDF files in
the body. Text of nothing but blanks is left away, since the API refuses it and it says nothing. Cache markers stay
where they stand. Source: Anthropic's API reference, content blocks of POST /messages, November 2026.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from bursar.wire.lenient import EMPTY, NULL
from bursar.wire.translation.refusals import untranslatable

__all__ = ["Block", "File", "Image", "Kept", "RefusalPart", "Text", "blocks_of", "mark", "text_block"]

Block = dict[str, Any]
# Blocks of a reply that must go back with it as they came.
Kept = Literal["thinking", "redacted_thinking", "compaction"]

_DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+);base64,")
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
# How closely to look cannot be said: every image is seen as `high` means it.
_DETAILS = frozenset({None, "auto", "high"})


class Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A text part."""

    text: str
    cache_control: msgspec.Raw = EMPTY


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """What an assistant said in place of an answer."""

    refusal: str


class _ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class Image(msgspec.Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """An image by URL, which may hold its data; some clients give the bare string."""

    image_url: _ImageUrl | str
    cache_control: msgspec.Raw = EMPTY


class _FileData(msgspec.Struct, forbid_unknown_fields=True):
    file_data: str | None = None
    filename: str | None = None
    file_id: None = None


class File(msgspec.Struct, tag_field="type", tag="file", forbid_unknown_fields=True):
    """A file whose data stands in the body."""

    file: _FileData
    cache_control: msgspec.Raw = EMPTY


def blocks_of(content: str | list[Any] | None, field: str) -> list[Block]:
    """The blocks of a message's content (a string, or a list of its parts), in order. `field`: its name in errors."""
    if content is None or isinstance(content, str):
        return [text_block(content)] if content and not content.isspace() else []
    blocks: list[Block] = []
    for number, part in enumerate(content):
        if isinstance(part, RefusalPart):
            blocks += blocks_of(part.refusal, field)
            continue
        block = _block(part, f"{field}[{number}]")
        if block is not None:
            blocks.append(block)
        mark(blocks, part.cache_control)
    return blocks


def text_block(text: str) -> Block:
    """Text as a block."""
    return {"type": "text", "text": text}


def mark(blocks: list[Block], cache_control: msgspec.Raw) -> None:
    """Set a cache marker on the last block: all up to there is cached. A marker that the block has of its own stays."""
    if cache_control and cache_control != NULL and blocks:
        blocks[-1].setdefault("cache_control", cache_control)


def _block(part: Text | Image | File, field: str) -> Block | None:
    if isinstance(part, Text):
        return text_block(part.text) if part.text and not part.text.isspace() else None
    if isinstance(part, Image):
        return _image(part.image_url, f"{field}.image_url")
    return _document(part.file, f"{field}.file")


def _image(image: _ImageUrl | str, field: str) -> Block:
    url = image if isinstance(image, str) else image.url
    if not isinstance(image, str) and image.detail not in _DETAILS:
        raise untranslatable(f"{field}.detail", "an image is looked at closely, or not sent")
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, data = _inline(url)
    if media_type not in _IMAGE_TYPES:
        raise untranslatable(f"{field}.url", "it must be a web address, or base64 data of a JPEG, PNG, GIF or WebP")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _document(file: _FileData, field: str) -> Block:
    media_type, data = _inline(file.file_data or "")
    if media_type != _PDF:
        raise untranslatable(f"{field}.file_data", "it must be base64 data of a PDF")
    block: Block = {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if file.filename:
        block["title"] = file.filename
    return block


def _inline(url: str) -> tuple[str, str]:
    """(media type, base64 data) of a data URL; two empty strings for anything else."""
    head = _DATA_URL.match(url)
    return (head["media_type"].lower(), url[head.end() :]) if head else ("", "")
