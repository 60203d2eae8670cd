"""The board of every store: what processes post of their breakers, and the resets that are asked for there."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.breakers import BreakerBoard
from bursar.call.events import BreakerChanged
from bursar.rules.breaker import State
from tests.contract.store.material import DAY_MS, NOON_MS, Books


def change(model: str = "gpt-4o", state: State = "open", **fields: Any) -> BreakerChanged:
    """The breaker of a model of OpenAI's opened at noon, unless told otherwise."""
    values: dict[str, Any] = {"until_ms": NOON_MS + 60_000 if state == "open" else 0, "at_ms": NOON_MS, "opened": 1}
    return BreakerChanged(**{"provider": "openai", "model": model, "state": state, **values, **fields})


def board_of(books: Books) -> BreakerBoard:
    board: BreakerBoard = books.store.board
    return board


def post(books: Books, *changes: BreakerChanged) -> None:
    board_of(books).post(changes, books.clock)


def standing(books: Books) -> list[tuple[str, State, bool]]:
    """(provider/model, state, whether a reset is asked for) of all."""
    posted = board_of(books).posted(books.clock())
    return [(f"{one.change.provider}/{one.change.model}", one.change.state, one.reset_asked) for one in posted]


def test_nothing_is_posted_at_first(books: Books) -> None:
    board = board_of(books)
    assert (board.posted(NOON_MS), board.resets(), board.ask_reset()) == ([], [], 0)


def test_what_is_posted_is_read_back_as_it_was(books: Books) -> None:
    told = [change(why='5 "failures" in a row'), change("a/b", "half_open", provider="zai", opened=3)]
    post(books, *reversed(told))
    assert [one.change for one in board_of(books).posted(NOON_MS)] == told


def test_the_latest_change_of_a_breaker_counts(books: Books) -> None:
    post(books, change(), change(state="half_open"))
    post(books, change(state="closed"), change("gpt-4o-mini"))
    assert standing(books) == [("openai/gpt-4o", "closed", False), ("openai/gpt-4o-mini", "open", False)]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ((), ["groq/llama", "openai/gpt-4o", "openai/o3"]),
        (("openai",), ["openai/gpt-4o", "openai/o3"]),
        (("openai", "o3"), ["openai/o3"]),
        (("openai", "well"), []),
        (("azure",), []),
    ],
)
def test_a_reset_is_asked_of_those_that_are_not_closed(books: Books, name: tuple[str, ...], asked: list[str]) -> None:
    post(books, change(), change("o3", "half_open"), change("well", "closed"), change("llama", provider="groq"))
    assert board_of(books).ask_reset(*name) == len(asked)
    assert sorted("/".join(one) for one in board_of(books).resets()) == asked
    assert [one[0] for one in standing(books) if one[2]] == asked


def test_a_reset_is_asked_for_until_the_breaker_is_closed(books: Books) -> None:
    post(books, change())
    board_of(books).ask_reset("openai")
    post(books, change(state="half_open"), change(opened=2))
    assert standing(books) == [("openai/gpt-4o", "open", True)]
    post(books, change(state="closed", opened=2))
    assert standing(books) == [("openai/gpt-4o", "closed", False)]
    post(books, change(opened=3))
    assert board_of(books).resets() == []


def test_what_has_been_closed_for_a_day_is_forgotten(books: Books) -> None:
    post(books, change("old", "closed"), change("ill"))
    books.clock.pass_ms(DAY_MS + 1)
    post(books, change("new", "closed", at_ms=books.clock()))
    assert [name for name, *_ in standing(books)] == ["openai/ill", "openai/new"]
