"""Keys of callers: their form, when one counts, what it may do."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules import keys
from bursar.rules.keys import ROLES, CallerKey, Role, allows, id_of, looks_like, matches, may_use, mint, refusal_of

KEY = CallerKey("ci", "key_a", (("new", None), ("old", 1_000)), 0)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_every_key_is_another_one_of_the_same_form(one: bytes, other: bytes) -> None:
    assert looks_like(mint(one))
    assert len(mint(one)) == len("sk-bursar-") + 43
    assert (mint(one) == mint(other)) is (one == other)


@given(st.binary(min_size=8, max_size=8))
def test_an_id_is_short_and_public(random: bytes) -> None:
    assert id_of(random).startswith("key_")
    assert len(id_of(random)) == 16
    assert id_of(random).isascii()


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_256_bits_and_no_less(size: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        mint(bytes(size))
    with pytest.raises(ValueError, match="8 random bytes"):
        id_of(bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-bursar-",
        "sk-" + "a" * 50,
        "sk-bursar-" + "a" * 42,
        "sk-bursar-" + "a" * 42 + "é",
        mint(bytes(32)) + "\n",
    ],
)
def test_what_is_no_key_does_not_look_like_one(text: str) -> None:
    assert not looks_like(text)


@pytest.mark.parametrize(
    ("digest", "now_ms", "counts"),
    [
        ("new", 0, True),
        ("new", 10**15, True),
        ("old", 999, True),
        ("old", 1_000, False),
        ("ne", 0, False),
        ("", 0, False),
    ],
)
def test_a_rotated_key_has_its_old_text_until_the_overlap_ends(digest: str, now_ms: int, counts: bool) -> None:
    assert matches(KEY, digest, now_ms) is counts


def test_digests_are_compared_in_constant_time() -> None:
    function = ast.parse(inspect.getsource(matches))
    calls = [
        node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert calls == ["compare_digest"]
    compared = [node.ops for node in ast.walk(function) if isinstance(node, ast.Compare)]
    assert all(isinstance(op, ast.Is | ast.Lt) for ops in compared for op in ops), "no digest is compared with =="
    assert not [node for node in ast.walk(function) if isinstance(node, ast.Break)], "nor left before the last one"


@pytest.mark.parametrize(
    ("change", "now_ms", "refusal"),
    [
        ({}, 10**15, None),
        ({"expires_ms": 500}, 499, None),
        ({"expires_ms": 500}, 500, "expired"),
        ({"revoked_ms": 400}, 0, "revoked"),
        ({"revoked_ms": 400, "expires_ms": 100}, 500, "revoked"),
    ],
)
def test_a_key_counts_until_it_expires_or_is_revoked(change: dict[str, int], now_ms: int, refusal: str | None) -> None:
    assert refusal_of(replace(KEY, **change), now_ms) == refusal  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        ((), "anything", True),
        (("openai/*",), "openai/gpt-4o", True),
        (("openai/*",), "openai", False),
        (("openai/*",), "azure/openai/gpt-4o", False),
        (("openrouter/*",), "openrouter/openai/gpt-4o", True),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "GPT-4O", False),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("fast", "local/qwen3"), "local/qwen3", True),
    ],
)
def test_an_allow_list_has_names_and_patterns(models: tuple[str, ...], model: str, may: bool) -> None:
    assert may_use(replace(KEY, models=models), model) is may


@pytest.mark.parametrize(("role", "may"), [("call", 1), ("view", 2), ("admin", 3)])
def test_each_role_may_do_what_those_before_it_may(role: Role, may: int) -> None:
    assert [allows(role, needed) for needed in ROLES] == [True] * may + [False] * (3 - may)


def test_a_key_shows_no_digest() -> None:
    assert "new" not in repr(KEY)
    assert keys.CallerKey.__dataclass_fields__["digests"].repr is False
