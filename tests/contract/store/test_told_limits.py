"""Where limits stand, told with the end of a hold in every store, where that is asked for."""

from __future__ import annotations

from bursar.call.books import Settle
from bursar.rules.allowances import Allowance
from tests.contract.store.material import NOON_MS, Books, budget, fact, reserve


def limit(meter: str, capacity: int) -> Allowance:
    return Allowance(name=meter, meter=meter, capacity=capacity, shape="bucket", period="minute", source="bursar.yaml")  # type: ignore[arg-type]


def test_limits_on_requests_and_tokens_are_told_and_no_others(books: Books) -> None:
    flight = Allowance(name="flight", meter="in_flight", capacity=5, shape="gauge", source="bursar.yaml")
    books.define(budget(), flight, limit("requests", 60), limit("tokens", 1_000))
    books.do(reserve("a.0", 100, tokens=(30, 70)))
    ended = books.do(Settle(fact("a.0", 90), limits=True))
    stand = {one.meter: (one.limit, one.left, one.resets_at_ms) for one in ended.limits}
    assert stand["requests"] == (60, 59, NOON_MS + 1_000)
    assert stand["tokens"][0] == 1_000
    assert stand.keys() == {"requests", "tokens"}
    assert [one.allowance for one in ended.balances] == ["day"]


def test_nobody_is_told_who_does_not_ask(books: Books) -> None:
    books.define(limit("requests", 60))
    books.do(reserve("a.0", 100))
    assert books.do(Settle(fact("a.0", 90))).limits == ()
