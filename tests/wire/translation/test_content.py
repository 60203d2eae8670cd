"""Parts become blocks, and those that cannot say so."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from tests.wire.translation.material import CACHE, SECRET, parsed, turns

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://a.b/c.gif"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}}


def image(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | fields}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": " a\n"}, {"type": "text", "text": " a\n"}),
        ({"type": "text", "text": "a", "cache_control": CACHE}, {"type": "text", "text": "a", "cache_control": CACHE}),
        (image("data:image/png;base64,QUJD"), PNG),
        (image("data:IMAGE/PNG;base64,QUJD", detail="high"), PNG),
        (image("https://a.b/c.gif", detail="auto"), LINK),
        (
            {"type": "image_url", "image_url": "https://a.b/c.gif", "cache_control": CACHE},
            LINK | {"cache_control": CACHE},
        ),
        (file(file_data="data:application/pdf;base64,QUJD"), PDF),
        (file(file_data="data:application/pdf;base64,QUJD", filename="a.pdf"), PDF | {"title": "a.pdf"}),
    ],
)
def test_parts(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert turns({"role": "user", "content": [part]})[0]["content"] == [block]


def test_a_tool_may_return_an_image() -> None:
    message = {"role": "tool", "tool_call_id": "1", "content": [image("data:image/png;base64,QUJD")]}
    assert turns(message)[0]["content"][0]["content"] == [PNG]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (image("https://a.b/c", detail="low"), "image_url.detail"),
        (image(f"ftp://{SECRET}"), "image_url.url"),
        (image(f"data:image/png,{SECRET}"), "image_url.url"),
        (image(f"data:image/tiff;base64,{SECRET}"), "image_url.url"),
        (image(""), "image_url.url"),
        (image("https://a.b/c", size=SECRET), "image_url.size"),
        (file(file_id="f"), "file.file_id"),
        (file(filename="a.pdf"), "file.file_data"),
        (file(file_data=f"data:text/plain;base64,{SECRET}"), "file.file_data"),
        ({"type": "text", "text": SECRET, "annotations": []}, "annotations"),
    ],
)
def test_parts_that_have_no_block_are_refused_by_name(part: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
    assert str(caught.value).startswith(f"messages[0].content[1].{field} cannot be translated")
    assert SECRET not in str(caught.value)
