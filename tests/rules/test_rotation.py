"""Keys take turns by weight, smoothly, and those that rest come last."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.rotation import Rotation

WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 20), min_size=1)


def turns(keys: Rotation, count: int, now_ms: int = 0) -> str:
    return "".join(keys.order(now_ms)[0] for _ in range(count))


def test_turns_are_smooth() -> None:
    assert turns(Rotation({"a": 5, "b": 1, "c": 1}), 14) == "aabacaa" * 2
    assert turns(Rotation({"a": 1, "b": 1}), 4) == "abab"
    assert turns(Rotation({"a": 3}), 2) == "aa"


def test_a_turn_names_every_key_once() -> None:
    keys = Rotation({"a": 5, "b": 1, "c": 1})
    assert keys.order(0) == ("a", "b", "c")
    assert keys.order(0) == ("a", "b", "c")
    assert keys.order(0) == ("b", "c", "a")


def test_keys_that_rest_come_last_the_soonest_back_first() -> None:
    keys = Rotation({"a": 5, "b": 1, "c": 1, "d": 1})
    keys.rest("a", 2_000)
    keys.rest("c", 1_000)
    assert keys.order(0) == ("b", "d", "c", "a")
    assert keys.resting(0) == {"a": 2_000, "c": 1_000}
    assert keys.order(999)[2:] == ("c", "a")
    assert keys.order(1_000)[-1] == "a"
    assert keys.order(2_000)[0] == "a"
    assert keys.resting(2_000) == {}


def test_where_all_rest_the_first_that_comes_back_is_used() -> None:
    keys = Rotation({"a": 1, "b": 1})
    keys.rest("a", 2_000)
    keys.rest("b", 1_000)
    assert keys.order(0) == ("b", "a")
    assert keys.order(1_000) == ("b", "a")
    assert turns(keys, 4, 2_000) == "abab"


def test_a_longer_rest_stays() -> None:
    keys = Rotation({"a": 1, "b": 1})
    keys.rest("a", 2_000)
    keys.rest("a", 1_000)
    assert keys.resting(0) == {"a": 2_000}
    keys.rest("a", 3_000)
    assert keys.resting(0) == {"a": 3_000}


def test_a_key_that_works_after_all_is_awake() -> None:
    keys = Rotation({"a": 5, "b": 1})
    keys.rest("a", 2_000)
    assert keys.order(0)[0] == "b"
    keys.wake("b", 2_000)
    keys.wake("a", 1_999)
    assert keys.order(0)[0] == "b", "it rests for another reason by now"
    keys.wake("a", 2_000)
    assert keys.order(0)[0] == "a"


def test_a_key_that_is_not_one_of_them_is_nobody() -> None:
    keys = Rotation({"a": 1, "b": 1})
    keys.rest("x", 2_000)
    assert keys.resting(0) == {}
    assert set(keys.order(0)) == {"a", "b"}


def test_who_comes_back_has_no_turns_in_arrears() -> None:
    keys = Rotation({"a": 1, "b": 1, "c": 1})
    keys.order(0)
    keys.rest("a", 1_000)
    turns(keys, 101, 500)
    assert turns(keys, 6, 1_000) == "abcabc"


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": 1, "b": -1}])
def test_absurd_rotations_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one key"):
        Rotation(weights)


@given(WEIGHTS, st.integers(1, 3))
def test_every_round_gives_each_key_its_weight(weights: dict[str, int], rounds: int) -> None:
    keys, total = Rotation(weights), sum(weights.values())
    for _ in range(rounds):
        taken = turns(keys, total)
        assert {name: taken.count(name) for name in weights} == weights


@given(WEIGHTS, st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5_000), st.integers(0, 500)), max_size=60))
def test_no_key_that_rests_goes_before_one_that_does_not(
    weights: dict[str, int], steps: list[tuple[str, int, int]]
) -> None:
    keys, now_ms = Rotation(weights), 0
    for name, rest_ms, elapsed_ms in steps:
        now_ms += elapsed_ms
        keys.rest(name, now_ms + rest_ms)
        order, resting = keys.order(now_ms), keys.resting(now_ms)
        assert sorted(order) == sorted(weights)
        assert len(weights) == 1 or set(islice(reversed(order), len(resting))) == set(resting)
