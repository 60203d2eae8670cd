"""Fair lines: shares by weight within one call, nobody starved, and nothing left of those who went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations, count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bursar.rules.allowances import Allowance, Demand, Grant, Level, Meter, decide
from bursar.rules.estimate import Size, demand_of
from bursar.rules.fairness import SPARE, FairLine, Tenants, least_claim
from bursar.rules.prices import PriceCard

_ARRIVALS = count(1)


@dataclass(eq=False)
class One:
    """One who stands in a line."""

    tenant: str
    size: int = 1
    weight: int = 1
    arrival: int = 0

    def __post_init__(self) -> None:
        self.arrival = self.arrival or next(_ARRIVALS)


def line_of(*ones: One) -> FairLine[One]:
    line: FairLine[One] = FairLine()
    for one in ones:
        line.put(one)
    return line


def serve(line: FairLine[One]) -> One:
    """Grant the head what it asks for."""
    line.begin()
    one = line.head()
    assert one is not None
    line.charge(one.tenant, one.weight, one.size)
    line.remove(one)
    return one


def test_one_tenant_is_served_first_come_first_served() -> None:
    ones = [One("a", size) for size in (5, 900, 1, 40)]
    line = line_of(ones[2], ones[0], ones[3], ones[1])
    assert [serve(line) for _ in ones] == ones
    assert line.head() is None
    assert len(line) == 0


@pytest.mark.parametrize("weights", [(3, 1), (1, 1), (5, 2)])
def test_two_tenants_that_always_wait_get_their_weights_within_one_call(weights: tuple[int, int]) -> None:
    share, rest = weights
    line = line_of(*(One(name, 1, weight) for name, weight in (("a", share), ("b", rest)) for _ in range(400)))
    served = Counter[str]()
    for number in range(1, 401):
        served[serve(line).tenant] += 1
        assert abs(served["a"] - number * share / (share + rest)) <= 1


def test_of_many_tenants_no_two_are_further_apart_than_a_call_of_each() -> None:
    weights = {"a": 7, "b": 2, "c": 1}
    line = line_of(*(One(name, 1, weight) for name, weight in weights.items() for _ in range(400)))
    served = Counter[str]()
    for _ in range(400):
        served[serve(line).tenant] += 1
        for one, other in combinations(weights, 2):
            apart = abs(served[one] / weights[one] - served[other] / weights[other])
            assert apart <= 1 / weights[one] + 1 / weights[other] + 1e-5


def test_shares_are_of_sizes_not_of_calls() -> None:
    chance = Random(7)
    sizes = {"large": (800, 1000), "small": (1, 20)}
    line: FairLine[One] = FairLine()
    got: Counter[str] = Counter()
    for _ in range(3_000):
        for name, span in sizes.items():
            while line.waiting_of(name) < 3:
                line.put(One(name, chance.randint(*span)))
        one = serve(line)
        got[one.tenant] += one.size
        assert abs(got["large"] - got["small"]) <= 1000 + 20


def test_a_light_tenant_waits_for_one_call_of_a_heavy_one() -> None:
    line = line_of(*(One("heavy", 50) for _ in range(1_000)))
    for _ in range(100):
        serve(line)
    light = One("light", 50)
    line.put(light)
    assert light in [serve(line), serve(line)]


def test_nobody_saves_up_a_share_by_staying_away() -> None:
    line = line_of(*(One("here") for _ in range(400)))
    for _ in range(200):
        serve(line)
    for _ in range(100):
        line.put(One("back"))
    assert sorted(serve(line).tenant for _ in range(10)) == ["back"] * 5 + ["here"] * 5


def test_who_has_just_been_served_does_not_come_back_as_new() -> None:
    line = line_of(*(One("small", 1) for _ in range(500)))
    served = Counter[str]()
    for _ in range(400):
        if not line.waiting_of("large"):
            line.put(One("large", 100))
        served[serve(line).tenant] += 1
    assert served["large"] <= 1 + served["small"] // 100 + 1


def test_a_flood_of_new_tenants_does_not_hold_up_an_old_one() -> None:
    line = line_of(One("old"), One("old"))
    serve(line)
    fresh = 0
    while line.waiting_of("old"):
        for _ in range(3):
            line.put(One(f"new {fresh}"))
            fresh += 1
        serve(line)
        assert fresh < 30
    assert fresh


def test_a_head_that_had_its_turn_keeps_it() -> None:
    line = line_of(*(One("a", 10) for _ in range(3)))
    serve(line)
    line.begin()
    head = line.head()
    for number in range(50):
        line.put(One(f"new {number}"))
    assert line.head() is head


def test_the_first_are_in_the_order_in_which_they_would_be_served() -> None:
    chance = Random(11)
    line = line_of(*(One(chance.choice("abcd"), chance.randint(1, 90), 1) for _ in range(60)))
    foreseen = line.first(40)
    assert len(line) == 60, "looking changes nothing"
    assert [serve(line) for _ in range(40)] == foreseen
    assert len(line.first(99)) == 20


def test_who_came_before_goes_before_its_own() -> None:
    early, late = One("a"), One("a")
    line = line_of(late)
    assert line.precedes(early)
    line.put(early)
    assert line.first(2) == [early, late]


def test_who_stands_elsewhere_precedes_by_share_and_arrival() -> None:
    first, second = One("a"), One("b")
    line: FairLine[One] = FairLine()
    assert line.precedes(second)
    line.put(second)
    assert line.precedes(first)
    assert not line.precedes(One("a"))
    line.charge("a", 1, 5)
    assert not line.precedes(first), "its tenant has had its share of this"


def test_a_grant_elsewhere_counts_here() -> None:
    line = line_of(*(One(name) for name in "abab"))
    line.charge("a", 1, 2)
    assert [one.tenant for one in line.first(4)] == ["b", "b", "a", "a"]


def test_leaving_leaves_nothing() -> None:
    ones = [One(name) for name in "abcabc"]
    line = line_of(*ones)
    for one in ones:
        line.remove(one)
        with pytest.raises(KeyError):
            line.remove(one)
    assert (len(line), line.head(), line.first(9), line.waiting_of("a")) == (0, None, [], 0)
    assert line._weight == 0


def test_tenants_that_went_are_forgotten() -> None:
    line = line_of(One("stays", 10**9))
    for number in range(5_000):
        one = One(f"passes {number}", 10)
        line.put(one)
        line.charge(one.tenant, 1, 10)
        line.remove(one)
    for number in range(5_000):
        line.charge(f"elsewhere {number}", 1, 10)
    assert len(line._tenants) <= 2 * (1 + SPARE)
    assert len(line._starts) <= 2 * (1 + SPARE) + 1


class LineMachine(RuleBasedStateMachine):
    """A line beside a plain list: who is first by (start, arrival), computed anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.line: FairLine[One] = FairLine()
        self.ones: list[One] = []
        self.arrivals = count(1)

    @rule(tenant=st.sampled_from("abc"), size=st.integers(0, 50), late=st.integers(0, 4))
    def come(self, tenant: str, size: int, late: int) -> None:
        """Come; or come over from elsewhere, with an arrival that lies in the past."""
        one = One(tenant, size, {"a": 3, "b": 1, "c": 2}[tenant], arrival=100 * next(self.arrivals) - 150 * late)
        if one.arrival > 0 and all(one.arrival != other.arrival for other in self.ones):
            self.line.put(one)
            self.ones.append(one)

    @precondition(lambda self: self.ones)
    @rule(data=st.data())
    def go(self, data: Any) -> None:
        one = data.draw(st.sampled_from(self.ones))
        self.line.remove(one)
        self.ones.remove(one)

    @precondition(lambda self: self.ones)
    @rule()
    def serve(self) -> None:
        self.line.begin()
        head = self.line.head()
        assert head is not None
        self.line.charge(head.tenant, head.weight, head.size)
        self.line.remove(head)
        self.ones.remove(head)

    @invariant()
    def it_is_what_a_list_would_be(self) -> None:
        line, ones = self.line, self.ones
        assert len(line) == len(ones)
        assert sorted(one.arrival for one in line.first(99)) == sorted(one.arrival for one in ones)
        by_tenant = {name: sorted(one.arrival for one in ones if one.tenant == name) for name in "abc"}
        order: dict[str, list[int]] = {name: [] for name in "abc"}
        for one in line.first(99):
            order[one.tenant].append(one.arrival)
        assert order == by_tenant
        assert line._weight == sum({"a": 3, "b": 1, "c": 2}[name] for name, waiting in by_tenant.items() if waiting)
        waiting = [(line._tenants[one.tenant].start, one.arrival, one) for one in ones]
        firsts = [each for each in waiting if each[1] == by_tenant[each[2].tenant][0]]
        assert line.head() is (min(firsts)[2] if firsts else None)


LineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_line_machine = LineMachine.TestCase


def test_a_tenant_is_the_most_telling_value_that_a_call_has() -> None:
    plain = Tenants()
    assert plain.of({"key": "k", "session": "s", "user": "u"}) == ("user=u", 1)
    assert plain.of({"key": "k", "session": "s"}) == ("session=s", 1)
    assert plain.of({"key": "k"}) == ("key=k", 1)
    assert plain.of({}) == ("", 1)


def test_a_tenant_is_the_value_of_what_is_configured_and_has_its_weight() -> None:
    teams = Tenants("team", {"search": 3})
    assert teams.of({"team": "search", "user": "u"}) == ("team=search", 3)
    assert teams.of({"team": "ads"}) == ("team=ads", 1)
    assert teams.of({"user": "search"}) == ("", 1), "those without one are one tenant"


def test_the_least_claim_is_what_the_books_will_claim() -> None:
    """Three choices of 50 tokens: a provider that reserves them counts 150, whatever one of them may be."""
    card = PriceCard.of({"input": "1", "output": "2"}, version="test")
    size = Size(30, 7, output_limit=50, output_tokens_min=10, output_tokens_max=900, choices=3)
    demand = demand_of(size, [card], reserves=True)
    meters: list[Meter] = ["nano_usd", "requests", "in_flight", "tokens", "input_tokens", "output_tokens"]
    assert [least_claim(demand, meter) for meter in meters] == [390_000, 1, 1, 157, 7, 150]
    assert least_claim(Demand(None, 0, 10, 10), "nano_usd") == 0


def test_what_an_elastic_limit_reserves_at_least_is_known_where_a_cap_sets_it() -> None:
    demand = Demand(0, 1_000, 10, 50, rate_input_tokens=7, rate_output_tokens=15, reserves=4)
    assert (least_claim(demand, "tokens"), least_claim(demand, "output_tokens")) == (7 + 15, 15)
    capped = demand._replace(capped_by="max_usd")
    assert (least_claim(capped, "tokens"), least_claim(capped, "output_tokens")) == (7 + 40, 40)


demands = st.builds(
    lambda low, more, **rest: Demand(output_tokens_min=low, output_tokens_max=low + more, **rest),
    st.integers(0, 40),
    st.integers(0, 40),
    base_pico_usd=st.integers(0, 9_000),
    output_pico_usd=st.sampled_from([1_000, 5_000]),
    rate_input_tokens=st.integers(0, 50),
    rate_output_tokens=st.integers(0, 90),
    capped_by=st.sampled_from(["", "max_usd"]),
    reserves=st.integers(0, 3),
)


@given(demands)
def test_nothing_claims_less_than_the_least_and_something_claims_just_that(demand: Demand) -> None:
    """In books without money, with much of it, and with no more of it than the least output costs."""
    output = Level(Allowance("output", "output_tokens", 10**6, "bucket", "minute"))
    tokens = Level(Allowance("tokens", "tokens", 10**6, "bucket", "minute"))
    claimed = set()
    for capacity in (None, 10**6, demand.nano_usd(demand.output_tokens_min)):
        levels = [output, tokens]
        if capacity is not None:
            levels.append(Level(Allowance("day", "nano_usd", capacity, "calendar", "day"), end_ms=10**9))
        grant = decide(levels, demand, 0)
        assert isinstance(grant, Grant)
        claimed.add(grant.amounts[:2])
    assert min(claimed) == (least_claim(demand, "output_tokens"), least_claim(demand, "tokens"))
