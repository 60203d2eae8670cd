"""The bound of a chat request is never below what it can come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire import extent as extents
from bursar.wire.body import read_fields
from bursar.wire.chat_size import extent_of
from bursar.wire.extent import Extent

CONTEXT = 1_000_000


def extent(content: Any, *, models: tuple[str, ...] = ("gpt-4o",), ascii_only: bool = True, **fields: Any) -> Extent:
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": content}]} | fields, ensure_ascii=ascii_only
    ).encode()
    return extent_of(body, read_fields(body), models, CONTEXT)


@given(st.text(), st.booleans())
def test_text_is_never_more_tokens_than_its_bytes(text: str, ascii_only: bool) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    assert extent(text, ascii_only=ascii_only).input_tokens_max >= len(text.encode())
    assert extent([{"type": "text", "text": text}], ascii_only=ascii_only).input_tokens_max >= len(text.encode())


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


def test_an_image_counts_as_one_and_its_bytes_do_not() -> None:
    by_url = extent([image("https://a/b.png")])
    inline = extent([image("data:image/png;base64," + "A" * 4_000_000)])
    assert extents.IMAGE_TOKENS_MAX < by_url.input_tokens_max < extents.IMAGE_TOKENS_MAX + 1_000
    assert abs(inline.input_tokens_max - by_url.input_tokens_max) < 100
    two = extent([image("https://a/b.png"), image("https://a/b.png")])
    assert two.input_tokens_max > by_url.input_tokens_max + extents.IMAGE_TOKENS_MAX
    named_alike = {"type": "input_image", "image_url": "https://a/b.png"}
    assert extent([named_alike]).input_tokens_max > extents.IMAGE_TOKENS_MAX


def test_gpt_4o_mini_bills_images_at_thirty_times_the_tokens() -> None:
    for models in (("gpt-4o-mini",), ("gpt-4o", "openai/gpt-4o-mini-2024-07-18")):
        assert extent([image("https://a/b.png")], models=models).input_tokens_max > 48_169


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "A" * 3_000_000, "format": "mp3"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 3_000_000}},
        {"type": "document_url", "document_url": "https://a/b.pdf"},
        {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
        {"type": "something_new"},
        {"type": None},
        {"type": ["text"]},
        {},
        7,
    ],
)
def test_what_says_nothing_of_its_length_is_bounded_by_the_context(part: Any) -> None:
    assert CONTEXT <= extent([part]).input_tokens_max < CONTEXT + 1_000
    assert extent([{"type": "text", "text": "x"}, part]).input_tokens_max >= CONTEXT


def test_an_attachment_cannot_hide_behind_an_escape() -> None:
    part = b'{"typ\\u0065":"fil\\u0065","file":{"file_id":"f"}}'
    body = b'{"model":"m","messages":[{"role":"user","cont\\u0065nt":[' + part + b"]}]}"
    assert extent_of(body, read_fields(body), ("m",), CONTEXT).input_tokens_max == CONTEXT


def test_replies_and_images_that_the_provider_keeps_count_too() -> None:
    for message in ({"role": "assistant", "audio": {"id": "a"}}, {"role": "assistant", "images": [{"type": "video"}]}):
        body = json.dumps({"model": "m", "messages": [message]}).encode()
        assert extent_of(body, read_fields(body), ("m",), CONTEXT).input_tokens_max >= CONTEXT
    body = json.dumps({"model": "m", "messages": [{"role": "assistant", "images": [image("https://a")]}]}).encode()
    assert extent_of(body, read_fields(body), ("m",), CONTEXT).input_tokens_max > extents.IMAGE_TOKENS_MAX


def test_stored_prompts_are_bounded_by_the_context() -> None:
    for name in ("preset", "prompt", "conversation", "previous_response_id"):
        assert extent("x", **{name: "stored"}).input_tokens_max >= CONTEXT


def test_tools_bring_a_hidden_prompt() -> None:
    plain = extent("x").input_tokens_max
    assert extent("x", tools=[]).input_tokens_max > plain + extents.TOOLS_OVERHEAD_TOKENS
    assert extent("x", functions=[]).input_tokens_max > plain + extents.TOOLS_OVERHEAD_TOKENS


def test_messages_that_are_no_objects_are_bounded_by_the_context() -> None:
    body = b'{"model":"m","messages":["x",1]}'
    assert extent_of(body, read_fields(body), ("m",), CONTEXT).input_tokens_max >= CONTEXT


def test_the_estimate_is_a_quarter_of_the_text() -> None:
    assert 1_000 <= extent("word " * 800).input_tokens_likely <= 1_100
