"""How a translation says no: the place and the name, never what somebody wrote."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from bursar.errors import InvalidRequestError
from bursar.wire.translation.refusals import decoded, untranslatable


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    a: int = 0
    kind: Literal["x"] = "x"
    gone: None = None


DECODER = msgspec.json.Decoder(list[Inner])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'[{"b":1}]', "f[0].b cannot be translated for an Anthropic model"),
        (b'[{"what somebody wrote":1}]', "a key of f[0] cannot be translated for an Anthropic model"),
        (b'[{},{"kind":"y"}]', "f[1].kind 'y' cannot be translated for an Anthropic model"),
        (b'[{},{"kind":"what somebody wrote"}]', "f[1].kind cannot be translated for an Anthropic model"),
        (b'[{"gone":"what"}]', "f[0].gone cannot be translated for an Anthropic model"),
        (b'[{"a":"what"}]', "f[0].a: expected int, got str"),
        (b"{}", "f: expected array, got object"),
        (b'["\\ud800"]', "f must be JSON that can be read: text in UTF-8, not too deep"),
    ],
)
def test_what_is_said(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decoded(DECODER, msgspec.Raw(raw), "f")
    assert str(caught.value) == said


def test_depth_is_refused() -> None:
    deep: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
    with pytest.raises(InvalidRequestError, match="not too deep"):
        decoded(deep, msgspec.Raw(b"[" * 100_000 + b"]" * 100_000), "f")


def test_a_reason_may_follow() -> None:
    assert str(untranslatable("f", "why")) == "f cannot be translated for an Anthropic model: why"
