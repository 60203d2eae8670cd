"""What a provider answered, fit to be shown."""

from __future__ import annotations

import pytest

from bursar.cli.excerpts import EXCERPT_CHARACTERS_MAX, excerpt, hidden

KEY = "secret-key-of-somebody"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "nothing"),
        (b"<html>\n\t<body>", "<html> <body>"),
        (b"\xff\x1b[31mred\x00", "\ufffd?[31mred?"),
        (f"no {KEY} here".encode(), "no ... here"),
        (b"Incorrect key sk-abcdefgh", "Incorrect key sk-..."),
    ],
)
def test_it_is_one_plain_line(body: bytes, shown: str) -> None:
    assert excerpt(404, {}, body, KEY) == f"status 404: {shown}"


def test_it_is_short_and_the_cut_leaves_no_half_of_a_key() -> None:
    for length in range(EXCERPT_CHARACTERS_MAX - len(KEY), EXCERPT_CHARACTERS_MAX + 2):
        shown = excerpt(200, {}, b"x" * length + KEY.encode(), KEY)
        assert KEY[:4] not in shown
        assert len(shown) <= EXCERPT_CHARACTERS_MAX + len("status 200: ")


def test_a_word_that_is_a_key_somewhere_is_not_struck_out_everywhere() -> None:
    assert hidden("a bad key", "a") == "a bad key"
