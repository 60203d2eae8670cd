"""What a process posts of its breakers, and how a reset reaches it: a thread that lives only while it has to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from bursar.call.events import BreakerChanged
from bursar.edges.breakers import Breakers
from bursar.edges.noticeboard import Noticeboard
from bursar.edges.stores.board import MemoryBoard
from bursar.errors import StoreUnavailableError
from bursar.rules.breaker import BreakerPolicy

NOON_MS = 1_795_176_000_000
OPEN = BreakerChanged("openai", "gpt-4o", "open", NOON_MS + 60_000, NOON_MS, "5 failures in a row", 1)
CLOSED = BreakerChanged("openai", "gpt-4o", "closed", 0, NOON_MS, "", 1)


class Watched(MemoryBoard):
    """A board that counts, and that fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.posts = 0
        self.looks = 0
        self.fails: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def post(self, changes: Sequence[BreakerChanged], clock: Callable[[], int]) -> None:
        self.posts += 1
        self.meanwhile()
        if self.fails is not None:
            raise self.fails
        super().post(changes, clock)

    def resets(self) -> list[tuple[str, str]]:
        self.looks += 1
        return super().resets()


@pytest.fixture
def board() -> Watched:
    return Watched()


@pytest.fixture
def notices(board: Watched) -> Iterator[Noticeboard]:
    noticeboard = Noticeboard(board, lambda: NOON_MS, lambda provider, model: None, look_seconds=0.01)
    yield noticeboard
    noticeboard.close()
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "bursar-breakers"]


def until(met: Callable[[], object]) -> None:
    """Wait, within reason."""
    patience = time.monotonic() + 10
    while not met():
        assert time.monotonic() < patience
        time.sleep(0.002)


def states(board: MemoryBoard) -> list[str]:
    return [posted.change.state for posted in board.posted(NOON_MS)]


def test_a_change_is_posted_and_the_thread_ends_with_the_trouble(board: Watched, notices: Noticeboard) -> None:
    assert threads() == []
    notices.post(OPEN)
    until(lambda: states(board) == ["open"])
    assert len(threads()) == 1
    looks = board.looks
    until(lambda: board.looks > looks + 2)
    notices.post(CLOSED)
    until(lambda: states(board) == ["closed"] and not threads())
    looks = board.looks
    notices.post(OPEN)
    until(lambda: states(board) == ["open"] and board.looks > looks)


def test_books_that_fail_are_tried_again(board: Watched, notices: Noticeboard) -> None:
    board.fails = StoreUnavailableError("the disk is full")
    notices.post(OPEN)
    until(lambda: board.posts > 2)
    assert states(board) == []
    board.fails = None
    until(lambda: states(board) == ["open"])


def test_what_comes_later_is_not_overwritten_by_what_failed(board: Watched, notices: Noticeboard) -> None:
    board.fails = StoreUnavailableError("the disk is full")
    board.meanwhile = lambda: notices.post(CLOSED) if board.posts == 1 else None
    notices.post(OPEN)
    until(lambda: board.posts > 2)
    board.fails = None
    until(lambda: states(board) == ["closed"])


def test_a_mistake_of_the_board_is_logged_and_ends_nothing_else(
    board: Watched, notices: Noticeboard, caplog: pytest.LogCaptureFixture
) -> None:
    board.fails = RuntimeError("a bug")
    notices.post(OPEN)
    until(lambda: not threads())
    assert "the board of breakers failed" in caplog.text
    board.fails = None
    notices.post(OPEN)
    until(lambda: states(board) == ["open"])


def test_closing_posts_what_there_is_and_later_changes_are_dropped(board: Watched) -> None:
    noticeboard = Noticeboard(board, lambda: NOON_MS, lambda provider, model: None, look_seconds=60)
    noticeboard.post(OPEN)
    until(lambda: states(board) == ["open"])
    noticeboard.close()
    assert threads() == []
    noticeboard.post(CLOSED)
    noticeboard.close()
    assert (states(board), threads()) == (["open"], [])


def test_a_reset_that_is_asked_for_closes_the_breaker_and_says_so(board: Watched) -> None:
    policy = BreakerPolicy(consecutive_failures=1)
    breakers = Breakers(lambda provider: policy, lambda: NOON_MS, board=board, look_seconds=0.01)
    try:
        for model in ("gpt-4o", "gpt-4o-mini"):
            guard = breakers.of("openai", model)
            guard.finish(guard.take() or 0, "failure", 10)
        until(lambda: states(board) == ["open", "open"])
        assert board.ask_reset("openai", "gpt-4o-mini") == 1
        until(lambda: states(board) == ["open", "closed"])
        assert not any(posted.reset_asked for posted in board.posted(NOON_MS))
        assert [breakers.of("openai", model).state for model in ("gpt-4o", "gpt-4o-mini")] == ["open", "closed"]
    finally:
        breakers.close()


def test_a_process_in_which_nothing_fails_posts_nothing(board: Watched) -> None:
    breakers = Breakers(lambda provider: BreakerPolicy(), lambda: NOON_MS, board=board, look_seconds=0.01)
    guard = breakers.of("openai", "gpt-4o")
    for _ in range(1_000):
        guard.finish(guard.take() or 0, "success", 10)
    assert (board.posts, board.looks, threads()) == (0, 0, [])
    breakers.close()
