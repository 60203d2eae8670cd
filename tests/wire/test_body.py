"""Bodies are patched without touching what was not named, and no key stands in one twice."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidRequestError
from bursar.wire.body import fields_of, merge, patch, read_fields

BLANKS = st.text(" \t\n\r", max_size=2)
KEYS = st.sampled_from(["a", "model", "stream", "n", "", 'quo"te', "back\\slash", "中", "a\u0000b", "x" * 40])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=5) | st.sampled_from(["}", '"', ",", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def written(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """The keys of an object and its text, with blanks and escapes where JSON allows them."""
    pairs = draw(st.lists(st.tuples(KEYS, VALUES), max_size=6))
    out = []
    for key, value in pairs:
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        if key.isalpha() and draw(st.booleans()):
            name = name.replace(key[0], f"\\u{ord(key[0]):04x}", 1)
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        out.append(draw(BLANKS) + name + draw(BLANKS) + ":" + draw(BLANKS) + text + draw(BLANKS))
    body = draw(BLANKS) + "{" + (",".join(out) or draw(BLANKS)) + "}" + draw(BLANKS)
    return [key for key, _ in pairs], body.encode()


@given(written())
def test_a_key_given_twice_is_refused_and_nothing_else_is(case: tuple[list[str], bytes]) -> None:
    keys, body = case
    if len(set(keys)) == len(keys):
        assert list(fields_of(body)) == keys
    else:
        with pytest.raises(InvalidRequestError, match="twice"):
            fields_of(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":12,"a":1}',  # the last value begins as the first one does
        b'{"a":1,"b":2,"a":12}',
        b'{"a":1,"\\u0061":1}',
        b'{"n":1,"b":[{"n":2}],"n":1}',
        # Written as Python writes it.
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "b": 2, "a": 3}',
        b'{"a": 1, "\\u0061": 1}',
        b'{"a\\": 1, \\"a": 1, "a": 2, "a": 2}',
        # As long as the body of the last values with a blank after each comma and colon.
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"a":22}',
        b'{"a":1,"b":2,"c":3,"a":4}',
        # As far from the first value as its own length, the last one has a brace.
        b'{"a":1,"a":"xxx}yyyy"}',
    ],
)
def test_repeated_keys_that_hide(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="twice"):
        fields_of(body)


@pytest.mark.parametrize("body", [b'{"a":12,"a":1}', b'{"b":0, "a":1, "a":2.5, "c":3}'])
def test_the_repeated_key_is_named_where_its_values_differ(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="gives 'a' twice"):
        fields_of(body)


def test_inner_objects_may_repeat_their_keys() -> None:
    assert list(fields_of(b'{"a":{"b":1,"b":2}}')) == ["a"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'"secret"', "must be a JSON object"),
        (b'{"a":secret}', "not JSON"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":"\\ud800"}', "not JSON"),
    ],
)
def test_what_is_no_object_is_refused_without_being_quoted(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as refused:
        fields_of(body)
    assert "secret" not in str(refused.value)


@given(written(), KEYS, VALUES)
def test_a_patch_leaves_the_bytes_of_everything_else(case: tuple[list[str], bytes], key: str, value: object) -> None:
    keys, body = case
    if len(set(keys)) != len(keys):
        return
    before = fields_of(body)
    after = fields_of(patch(body, {key: value}))
    assert json.loads(bytes(after[key])) == value
    assert {k: bytes(v) for k, v in after.items() if k != key} == {k: bytes(v) for k, v in before.items() if k != key}
    assert [k for k in after if k in before] == list(before)


def test_odd_numbers_and_escapes_survive() -> None:
    body = b'{ "seed" : 1.50, "big": 123456789012345678901234567890, "t":"\\u4e2d\\/", "x": 1E5 }'
    assert patch(body, {"model": "b"}, ["x"]) == (
        b'{"seed":1.50,"big":123456789012345678901234567890,"t":"\\u4e2d\\/","model":"b"}'
    )


def test_merge_keeps_what_an_inner_object_says() -> None:
    fields = read_fields(b'{"stream_options":{"include_obfuscation":false},"a":null,"b":3}')
    merged = merge(fields["stream_options"], {"include_usage": True})
    assert msgspec.json.encode(merged) == b'{"include_obfuscation":false,"include_usage":true}'
    for raw in (None, fields["a"], fields["b"]):
        assert merge(raw, {"include_usage": True}) == {"include_usage": True}
