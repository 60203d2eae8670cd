"""What counts as text, as an image and as an attachment, whatever dialect it stands in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bursar.wire.extent import (
    IMAGE_TOKENS_MAX,
    IMAGE_TOKENS_MAX_GPT_4O_MINI,
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOLS_OVERHEAD_TOKENS,
    Extent,
    Tally,
    data_url_bytes,
    string_bytes,
)

CONTEXT = 1_000_000
DATA_URL = "data:image/png;base64," + "A" * 1_000


def tally(*parts: Any) -> Tally:
    counted = Tally()
    counted.add_parts(msgspec.Raw(json.dumps(parts).encode()))
    return counted


def extent(counted: Tally, body_bytes: int = 100, **more: Any) -> Extent:
    asked: dict[str, Any] = {"models": ("m",), "context_tokens": CONTEXT, "tools": False}
    return counted.extent(body_bytes, **asked | more)


@pytest.mark.parametrize("kind", ["text", "refusal", "input_text", "output_text", "reasoning_text", "summary_text"])
def test_text_is_its_bytes(kind: str) -> None:
    most = extent(tally({"type": kind, "text": "x"}, "bare"), stored=False).input_tokens_max
    assert most == 100 + REQUEST_OVERHEAD_TOKENS


@pytest.mark.parametrize("kind", ["image_url", "input_image", "computer_screenshot"])
def test_images_are_tokens_of_their_own(kind: str) -> None:
    counted = tally({"type": kind, "image_url": DATA_URL}, {"type": kind, "file_id": "f"})
    assert (counted.images, counted.attachments, counted.inline_bytes) == (2, 0, len(DATA_URL))
    most = extent(counted, len(DATA_URL) + 100, stored=False).input_tokens_max
    assert most == 100 + REQUEST_OVERHEAD_TOKENS + 2 * IMAGE_TOKENS_MAX
    mini = extent(counted, len(DATA_URL), models=("m", "x/gpt-4o-mini"), stored=False).input_tokens_max
    assert mini == REQUEST_OVERHEAD_TOKENS + 2 * IMAGE_TOKENS_MAX_GPT_4O_MINI


@pytest.mark.parametrize("part", [{"type": "input_file", "file_data": "A" * 50}, {"type": "new"}, {"type": 7}, 7, None])
def test_anything_else_is_bounded_by_the_context(part: Any) -> None:
    counted = tally(part)
    assert (counted.images, counted.attachments) == (0, 1)
    assert extent(counted, stored=False).input_tokens_max == CONTEXT


def test_what_comes_on_top() -> None:
    counted = Tally()
    plain = extent(counted, stored=False)
    counted.messages = 3
    assert extent(counted, stored=False).input_tokens_max == plain.input_tokens_max + 3 * MESSAGE_OVERHEAD_TOKENS
    counted.messages = 0
    assert extent(counted, stored=False, tools=True).input_tokens_max == plain.input_tokens_max + TOOLS_OVERHEAD_TOKENS
    assert extent(counted, stored=True).input_tokens_max == CONTEXT
    assert extent(counted, 2 * CONTEXT, stored=True).input_tokens_max > 2 * CONTEXT


def test_inline_lengths() -> None:
    assert data_url_bytes({"url": DATA_URL}) == data_url_bytes(DATA_URL) == len(DATA_URL)
    assert data_url_bytes("https://a/b.png") == data_url_bytes(None) == data_url_bytes({"url": 7}) == 0
    assert string_bytes({"a": "xx", "b": {"c": "yyy", "d": 7}, "e": ["zzzz"]}) == 5
