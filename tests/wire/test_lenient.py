"""JSON as providers send it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bursar.wire.lenient import EMPTY, MALFORMED, decode, opens_with


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":0.1}', {"a": Decimal("0.1")}),
        (b"1e-7", Decimal("1e-7")),
        (b"12", 12),
        (b'"x"', "x"),
        (b"null", None),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\ud800"', "\ud800"),
    ],
)
def test_values_are_exact(text: bytes, value: Any) -> None:
    assert decode(text) == value
    assert type(decode(text)) is type(value)


@pytest.mark.parametrize("text", [b"", b"{", b"x", b"{}x", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_malformed_and_false(text: bytes) -> None:
    assert decode(text) is MALFORMED
    assert not decode(text)


def test_numbers_that_are_none() -> None:
    assert decode(b"NaN").is_nan()
    assert decode(b"-Infinity").is_infinite()
    assert decode(b"9" * 5_000) == Decimal("9" * 5_000)


def test_what_a_value_opens_with() -> None:
    assert opens_with(msgspec.Raw(b"[1]"), b"[{")
    assert not opens_with(msgspec.Raw(b'"[1]"'), b"[{")
    assert not opens_with(EMPTY, b"[{")
