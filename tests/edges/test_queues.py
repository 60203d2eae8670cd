"""Several queues and several tenants: who makes way for whom."""

from __future__ import annotations

from collections import Counter

from bursar.call.books import Void
from bursar.rules.allowances import Allowance
from bursar.rules.fairness import Tenants
from tests.contract.store.material import SCOPES, budget
from tests.edges.desk import FLIGHT, OTHER, REQUESTS, TOKENS, Desk, openai, outcomes


def test_a_head_that_something_else_denies_waits_for_that_and_makes_way() -> None:
    desk = Desk(openai(FLIGHT), budget(each="user"))
    for number in range(2):
        desk.ask(f"flying {number}", 10, scopes={"user": "eve"})
    desk.ask("ann holds", 1_000, scopes={**OTHER, "user": "ann"})
    ann = desk.ask("ann", 500)  # both bind it; the budget is denied with the larger wait or the same: whichever
    bob = desk.ask("bob", 10, scopes={"user": "bob"})
    desk.settle("flying 0", scopes={**SCOPES, "user": "eve"})
    assert outcomes([ann, bob]) == ["waits", "granted"]
    assert desk.waiting() == {("day", "ann"): ["ann"]}
    desk.settle("ann holds", scopes={**SCOPES, **OTHER})
    assert outcomes([ann]) == ["waits"]
    assert desk.waiting() == {("flight", ""): ["ann"]}
    desk.settle("bob", scopes={**SCOPES, "user": "bob"})
    assert outcomes([ann]) == ["granted"]
    assert desk.empty()


def test_who_moves_keeps_its_place_by_arrival() -> None:
    desk = Desk(openai(FLIGHT), budget(each="team"), tenants=Tenants("organisation"))
    for number in range(2):
        desk.ask(f"flying {number}", 10, scopes={"team": "other"})
    desk.ask("holds", 1_000, scopes=OTHER)
    desk.ask("first", 500)
    for name in ("second", "third"):
        desk.ask(name, 10, scopes={"team": "other"})
    assert desk.waiting()[("flight", "")][-2:] == ["second", "third"]
    desk.settle("holds", scopes={**SCOPES, **OTHER})
    assert desk.waiting() == {("flight", ""): ["first", "second", "third"]}


def test_a_head_that_came_before_those_of_another_queue_is_tried_and_goes_before_them() -> None:
    desk = Desk(openai(FLIGHT), budget(each="user"))
    desk.ask("holds", 1_000, scopes=OTHER)
    desk.ask("flying", 10, scopes={"user": "eve"})
    ann = desk.ask("ann", 500)
    desk.ask("flying too", 10, scopes={"user": "eve"})
    for name in ("bob", "carl"):
        desk.ask(name, 10, scopes={"user": name})
    assert desk.waiting() == {("day", "ann"): ["ann"], ("flight", ""): ["bob", "carl"]}
    desk.settle("holds", scopes={**SCOPES, **OTHER})
    assert desk.waiting() == {("flight", ""): ["ann", "bob", "carl"]}
    assert outcomes([ann]) == ["waits"]


def test_a_head_that_others_precede_elsewhere_is_passed_over_and_keeps_its_place() -> None:
    desk = Desk(openai(FLIGHT), budget(each="user"))
    for number in range(2):
        desk.ask(f"flying {number}", 10, scopes={"user": "eve"})
    desk.ask("bob", 10, scopes={"user": "bob"})
    desk.ask("holds", 1_000, scopes=OTHER)
    desk.ask("ann", 500)
    desk.ask("ann elsewhere", 400, scopes=OTHER)
    assert desk.waiting() == {("flight", ""): ["bob"], ("day", "ann"): ["ann", "ann elsewhere"]}
    desk.settle("holds", scopes={**SCOPES, **OTHER})
    assert desk.served[-1] == "ann elsewhere", "it does not wait for what the other one waits for"
    assert desk.waiting() == {("flight", ""): ["bob"], ("day", "ann"): ["ann"]}
    assert outcomes([desk.ask("another", 100, scopes=OTHER)]) == ["granted"]
    assert outcomes([desk.ask("ann again", 600, scopes=OTHER)]) == ["waits"]
    desk.tell(Void("flying 0"), Void("flying 1"))
    assert desk.served[-2:] == ["bob", "ann"]
    assert desk.waiting() == {("day", "ann"): ["ann again"]}


def test_heads_that_wait_for_one_another_do_not_wait_for_ever() -> None:
    """Two limits on all, and two tenants of whom each is first for one of them."""
    crowd = Allowance("crowd", "in_flight", 3, "gauge", only=(("model", "openai/gpt-4o"),))
    desk = Desk(openai(FLIGHT), crowd)
    line_up = [("a", {}), ("b", {"user": "bob"}), ("x", {**OTHER, "user": "bob"})]
    for name, scopes in line_up:
        desk.ask(name, scopes=scopes)
    tickets = []
    for number in range(6):
        for user in ("ann", "bob"):
            tickets.append(desk.ask(f"{user} {number}", scopes={"user": user}))
            tickets.append(desk.ask(f"{user} elsewhere {number}", scopes={**OTHER, "user": user}))
    for name in ("a", "b", "x"):
        desk.void(name)
    at = 3
    while at < len(desk.served):
        desk.void(desk.served[at])
        at += 1
    assert outcomes(tickets) == ["granted"] * len(tickets)
    assert desk.empty()


def test_flipping_between_two_limits_costs_few_transactions() -> None:
    desk = Desk(openai(TOKENS), openai(REQUESTS))
    desk.ask("holder", tokens=(60_000, 0))
    for number in range(59):
        desk.ask(f"holder {number}", tokens=(0, 0))
    tickets = [desk.ask(f"{number}", tokens=((1_500, 500)[number % 2], 0)) for number in range(120)]
    desk.books.transactions = 0
    desk.pass_ms(120_000)
    assert outcomes(tickets) == ["granted"] * 120
    assert desk.books.transactions <= 3 * 120


def test_a_newcomer_passes_in_none_of_the_queues_that_bind_it() -> None:
    desk = Desk(openai(FLIGHT), budget(each="user"))
    desk.ask("holds", 1_000, scopes=OTHER)
    desk.ask("flying", 10, scopes={"user": "eve"})
    desk.ask("large", 500)
    newcomer = desk.ask("small", 0)
    assert outcomes([newcomer]) == ["granted"], "a place in flight is free, and nobody waits for one"
    desk.ask("waits to fly", 0, scopes={"user": "bob"})
    desk.void("flying")
    assert desk.served[-1] == "waits to fly"
    desk.ask("again", 0, scopes={"user": "bob"})
    ticket = desk.ask("both", 10)
    desk.void("waits to fly")
    assert outcomes([ticket]) == ["waits"]
    assert desk.served[-1] == "again"


# Those who come again


def saturated(desk: Desk, waiting: int) -> int:
    """Two calls fly, and others wait to, one a second; when the second of those that fly began."""
    desk.ask("flying", 0)
    desk.pass_ms(1_000)
    begun_ms = desk.clock()
    desk.ask("refused", 0)
    for number in range(waiting):
        desk.pass_ms(1_000)
        desk.ask(f"{number}", 0)
    return begun_ms


def test_who_was_refused_by_the_provider_comes_back_to_its_place() -> None:
    desk = Desk(FLIGHT)
    begun_ms = saturated(desk, 5)
    desk.settle("refused", bound_nano_usd=0)
    assert desk.served[-1] == "0"
    desk.ask("again", 0, begun_ms=begun_ms)
    assert desk.waiting() == {("flight", ""): ["again", "1", "2", "3", "4"]}
    desk.settle("flying", bound_nano_usd=0)
    assert desk.served[-1] == "again"


def test_who_comes_again_stands_before_those_who_came_after_it_and_behind_those_who_came_before() -> None:
    desk = Desk(FLIGHT)
    begun_ms = saturated(desk, 4)
    for number in (2, 0, 3):
        desk.ask(f"again {number}", 0, begun_ms=begun_ms + 1_000 * number + 1_500)
    assert desk.waiting() == {("flight", ""): ["0", "again 0", "1", "2", "again 2", "3", "again 3"]}


def test_who_comes_again_is_tried_at_once_and_takes_the_turn_of_nobody() -> None:
    """It is the head now; the one that was told when there is room for it waits no longer than for what it takes."""
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    begun_ms = desk.clock()
    desk.pass_ms(1_000)
    large = desk.ask("large", tokens=(30_000, 0))
    desk.pass_ms(20_000)
    desk.ask("small", tokens=(1, 0))
    again = desk.ask("again", tokens=(5_000, 0), begun_ms=begun_ms)
    assert outcomes([again, large]) == ["granted", "waits"]
    desk.pass_ms(30_000 - 21_000 + 5_000 - 1)
    assert not large.delivered
    desk.pass_ms(1)
    assert large.delivered


def test_who_comes_again_and_again_takes_no_more_than_the_share_of_its_tenant() -> None:
    desk = Desk(FLIGHT, tenants=Tenants("user"))
    flying = ["a", "b"]
    began = {name: desk.clock() for name in flying}
    for name in flying:
        desk.ask(name, 0, scopes={"user": "heavy"})
    for number in range(40):
        desk.pass_ms(1)
        desk.ask(f"light {number}", 0, scopes={"user": "light"})
        desk.ask(f"heavy {number}", 0, scopes={"user": "heavy"})
    served = Counter[str]()
    for _ in range(40):
        name = flying.pop(0)
        user = name.split()[0] if name[1:] else "heavy"
        desk.settle(name, scopes={**SCOPES, "user": user}, bound_nano_usd=0)
        flying.append(desk.served[-1])
        served[desk.served[-1].split()[0]] += 1
        if user == "heavy":  # refused each time, and sent again with the age of the very first
            desk.ask(f"heavy again after {name}", 0, begun_ms=began["a"], scopes={"user": "heavy"})
        assert abs(served["light"] - served["heavy"]) <= 2


def test_who_comes_again_and_goes_leaves_nothing() -> None:
    desk = Desk(FLIGHT)
    begun_ms = saturated(desk, 3)
    for decide in (True, False):
        desk.cancel(desk.ask("again", 0, begun_ms=begun_ms), decide=decide)
        desk.decide()
        assert desk.waiting() == {("flight", ""): ["0", "1", "2"]}
    for name in ("flying", "refused", "0", "1", "2"):
        desk.settle(name, bound_nano_usd=0)
    assert desk.served == ["flying", "refused", "0", "1", "2"]
    assert desk.empty()
    assert not desk.held("flight")


def test_limits_do_not_hold_up_one_another() -> None:
    desk = Desk(budget(each="user"))
    for user in ("ann", "bob"):
        desk.ask(f"{user} holds", 1_000, scopes={"user": user})
        desk.ask(user, 500, scopes={"user": user})
    desk.settle("bob holds", scopes={**SCOPES, "user": "bob"})
    assert desk.served[-1] == "bob"
    assert desk.waiting() == {("day", "ann"): ["ann"]}


# Tenants


def test_tenants_get_their_weights_under_saturation() -> None:
    desk = Desk(openai(FLIGHT), tenants=Tenants("team", {"search": 3}))
    desk.ask("holder")
    desk.ask("holder too")
    for number in range(80):
        for team in ("search", "ads"):
            desk.ask(f"{team}/{number}", 0, scopes={"team": team})
    served = Counter[str]()
    for last in ["holder", "holder too"]:
        desk.settle(last)
    for at in range(100):
        assert abs(served["search"] - 3 * served["ads"]) <= 3 + 1
        name = desk.served[2 + at]
        team = name.partition("/")[0]
        served[team] += 1
        desk.settle(name, scopes={**SCOPES, "team": team})
    assert served == {"search": 75, "ads": 25}


def test_a_light_tenant_is_not_delayed_by_a_heavy_one_beyond_its_share() -> None:
    desk = Desk(TOKENS)
    desk.ask("holder", tokens=(60_000, 0))
    for number in range(300):
        desk.ask(f"heavy {number}", tokens=(1_000, 0), scopes={"user": "heavy"})
    desk.pass_ms(10_500)
    begun_ms = desk.clock()
    light = desk.ask("light", tokens=(1_000, 0), scopes={"user": "light"})
    while not light.delivered:
        desk.pass_ms(100)
    assert desk.clock() - begun_ms <= 500 + 2 * 1_000, "what the head had still to wait, one of theirs, and its own"


def test_a_grant_in_one_queue_counts_in_every_other() -> None:
    desk = Desk(openai(FLIGHT), TOKENS)
    desk.ask("flying", tokens=(0, 0), scopes={"user": "eve"})
    desk.ask("flying too", tokens=(59_990, 0), scopes={"user": "eve"})
    desk.ask("ann", tokens=(10, 0))
    for name, user in (("bob", "bob"), ("ann elsewhere", "ann"), ("carl", "carl")):
        desk.ask(name, tokens=(500, 0), scopes={**OTHER, "user": user})
    assert desk.waiting() == {("flight", ""): ["ann"], ("tokens", ""): ["bob", "ann elsewhere", "carl"]}
    desk.void("flying")
    assert desk.served[-1] == "ann"
    assert desk.waiting() == {("tokens", ""): ["bob", "carl", "ann elsewhere"]}
