"""Calls under idempotency keys in every store: performed once, waited for, kept as long as somebody needs the reply."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.books import Void
from bursar.call.replays import LEASE_MS, KeptReply, Replay, Replays, Wanted
from tests.contract.store.material import DAY_MS, NOON_MS, Books

FIRST = Wanted("ci", "name", "print", "call-1", "worker-1", NOON_MS + DAY_MS)
SECOND = FIRST._replace(call_id="call-2", owner="worker-2")
REPLY = KeptReply(200, (("content-type", "application/json"), ("x-bursar-call-id", "call-1")), b'{"text":"\xc3\xa9"}')


def begin(books: Books, wanted: Wanted, **changes: Any) -> Replay:
    return replays(books).begin(wanted._replace(**changes), books.clock)


def look(books: Books, wanted: Wanted) -> Replay:
    return replays(books).look(wanted, books.clock)


def replays(books: Books) -> Replays:
    return books.store.replays


def test_the_first_performs_it_and_whoever_asks_meanwhile_waits(books: Books) -> None:
    assert begin(books, FIRST) == Replay("mine", "call-1")
    assert begin(books, SECOND) == Replay("under_way", "call-1")
    assert look(books, SECOND) == Replay("under_way", "call-1")


@pytest.mark.parametrize("changes", [{"key": "cd"}, {"name": "another"}])
def test_another_callers_key_and_another_name_are_calls_of_their_own(books: Books, changes: dict[str, Any]) -> None:
    begin(books, FIRST)
    assert begin(books, SECOND, **changes).state == "mine"


def test_the_same_name_for_something_else_is_told_as_that(books: Books) -> None:
    begin(books, FIRST)
    assert begin(books, SECOND, fingerprint="other") == Replay("other", "call-1")
    replays(books).end(FIRST, REPLY, keep=True)
    assert begin(books, SECOND, fingerprint="other") == Replay("other", "call-1")


def test_a_reply_that_is_kept_is_there_for_everybody_who_comes_later(books: Books) -> None:
    begin(books, FIRST)
    replays(books).end(FIRST, REPLY, keep=True)
    assert [begin(books, SECOND) for _ in range(2)] == [Replay("ended", "call-1", REPLY)] * 2


def test_a_reply_that_is_not_kept_is_there_for_those_who_wait_and_gone_after_the_last(books: Books) -> None:
    begin(books, FIRST)
    begin(books, SECOND)
    begin(books, SECOND, call_id="call-3")
    replays(books).end(FIRST, REPLY, keep=False)
    assert look(books, SECOND).reply == REPLY
    replays(books).leave(*FIRST[:2])
    assert look(books, SECOND).reply == REPLY
    replays(books).leave(*FIRST[:2])
    assert look(books, SECOND) == Replay("ended", "call-1")


def test_a_reply_that_nobody_waits_for_is_not_kept_at_all(books: Books) -> None:
    begin(books, FIRST)
    replays(books).end(FIRST, REPLY, keep=False)
    assert begin(books, SECOND) == Replay("ended", "call-1")


def test_what_was_not_charged_is_free_again(books: Books) -> None:
    begin(books, FIRST)
    begin(books, SECOND)
    replays(books).forget(FIRST)
    assert look(books, SECOND) == Replay("mine", "call-2")
    replays(books).forget(FIRST)
    assert begin(books, FIRST) == Replay("under_way", "call-2")


def test_what_has_ended_is_not_forgotten(books: Books) -> None:
    begin(books, FIRST)
    replays(books).end(FIRST, REPLY, keep=True)
    replays(books).forget(FIRST)
    assert begin(books, SECOND).reply == REPLY


def test_a_row_ends_with_its_time(books: Books) -> None:
    begin(books, FIRST)
    replays(books).end(FIRST, REPLY, keep=True)
    books.clock.pass_ms(DAY_MS)
    assert begin(books, SECOND) == Replay("mine", "call-2")


def test_a_process_that_renews_its_lease_is_waited_for(books: Books) -> None:
    begin(books, FIRST)
    books.clock.pass_ms(LEASE_MS - 1)
    replays(books).renew([FIRST], books.clock)
    books.clock.pass_ms(LEASE_MS - 1)
    assert begin(books, SECOND).state == "under_way"


@pytest.mark.parametrize("books", ["sqlite"], indirect=True)
class TestDead:
    """A process that died in the midst of a call; books in memory end with theirs."""

    def test_what_it_goes_on_with_says_nothing_of_what_it_gave_up(self, books: Books) -> None:
        begin(books, FIRST)
        other = FIRST._replace(name="another")
        begin(books, other)
        books.clock.pass_ms(LEASE_MS - 1)
        replays(books).renew([other], books.clock)
        books.clock.pass_ms(1)
        assert begin(books, SECOND).state == "mine"
        assert begin(books, SECOND, name="another").state == "under_way"

    def test_what_it_never_sent_is_taken_over(self, books: Books) -> None:
        begin(books, FIRST)
        books.clock.pass_ms(LEASE_MS)
        assert look(books, SECOND) == Replay("mine", "call-2")
        assert begin(books, FIRST) == Replay("under_way", "call-2")

    def test_what_it_may_have_sent_is_never_sent_again(self, books: Books) -> None:
        begin(books, FIRST)
        books.reserve("call-1.0")
        books.clock.pass_ms(LEASE_MS)
        assert begin(books, SECOND) == Replay("ended", "call-1")
        books.settle("call-1.0", 90)
        assert begin(books, SECOND) == Replay("ended", "call-1")

    def test_what_it_was_charged_for_is_never_sent_again(self, books: Books) -> None:
        begin(books, FIRST)
        books.reserve("call-1.0")
        books.settle("call-1.0", 90)
        books.clock.pass_ms(LEASE_MS)
        assert look(books, SECOND) == Replay("ended", "call-1")

    def test_what_was_void_is_taken_over(self, books: Books) -> None:
        begin(books, FIRST)
        books.reserve("call-1.0")
        books.do(Void("call-1.0"))
        books.clock.pass_ms(LEASE_MS)
        assert begin(books, SECOND).state == "mine"
