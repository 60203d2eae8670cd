"""The words of a tier of service: what changes nothing, what comes twice, what is too long."""

from __future__ import annotations

import pytest

from bursar.rules.tiers import CHEAPER, KNOWN, STANDARD, plain, words


@pytest.mark.parametrize("tier", sorted(STANDARD))
def test_the_plain_tier_has_no_words(tier: str) -> None:
    assert words(tier) == words(tier.upper()) == ()
    assert plain(f"{tier}+flex") == "flex"


def test_words_keep_their_order_and_come_once() -> None:
    assert words("Batch+us+batch") == ("batch", "us")
    assert words("flux") == ("flux",)
    assert len(plain("x" * 1_000_000)) < 100


def test_every_cheaper_tier_is_a_known_one() -> None:
    assert set(KNOWN) > CHEAPER
    assert not set(KNOWN) & STANDARD
