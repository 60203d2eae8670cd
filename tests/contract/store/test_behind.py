"""A reserve whose turn comes after others': granted with them, or only looked at."""

from __future__ import annotations

from msgspec.structs import replace

from bursar.call.books import Granted
from bursar.rules.allowances import Denial
from tests.contract.store.material import Books, budget, reserve


def test_it_is_granted_with_those_before_it(books: Books) -> None:
    books.define(budget())
    line = [reserve("a", 400), replace(reserve("b", 400), behind=("a",)), replace(reserve("c", 200), behind=("a", "b"))]
    assert [type(outcome) for outcome in books.do_all(line)] == [Granted] * 3
    assert books.balance("day") == (0, 1000)


def test_it_passes_nobody_who_was_denied(books: Books) -> None:
    books.define(budget())
    books.reserve("holder", 500)
    line = [
        reserve("large", 600),
        replace(reserve("small", 100), behind=("large",)),
        replace(reserve("next", 100), behind=("small",)),
    ]
    large, small, following = books.do_all(line)
    assert isinstance(large, Denial)
    assert (small, following) == (None, None)
    assert books.balance("day") == (0, 500)
    assert isinstance(books.reserve("small", 100), Granted), "it was only not its turn"


def test_it_is_told_what_would_refuse_it_anyway(books: Books) -> None:
    books.define(budget())
    books.reserve("holder", 500)
    waits, never = books.do_all([replace(reserve("a", 600), behind=("x",)), replace(reserve("b", 1001), behind=("x",))])
    assert isinstance(waits, Denial)
    assert isinstance(never, Denial)
    assert (waits.comeback, never.comeback) == ("on_release", "never")
    assert books.balance("day") == (0, 500)


def test_those_before_it_count_only_in_the_same_transaction(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    assert books.do(replace(reserve("b", 100), behind=("a",))) is None
    assert books.balance("day") == (0, 100)
