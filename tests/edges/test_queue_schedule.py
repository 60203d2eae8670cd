"""Bursts in virtual time beside the schedule that an omniscient cashier would have made: first come, first served."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest

from bursar.rules.allowances import Allowance
from bursar.rules.fairness import Tenants
from tests.contract.store.material import HOUR_MS, NOON_MS, SCOPES
from tests.edges.desk import Desk

RPM = 500
TPM = 200_000
REQUESTS = Allowance("requests", "requests", RPM, "bucket", "minute")
TOKENS = Allowance("tokens", "tokens", TPM, "bucket", "minute")


def schedule(sizes: list[int]) -> list[int]:
    """When each of a burst may go at the earliest, in ms, if nobody passes anybody: both buckets are full at 0."""
    levels, at_ms, times = {RPM: 0, TPM: 0}, 0, []
    for size in sizes:
        claims = {RPM: 60_000, TPM: size * 60_000}
        wait_ms = max(0, *(-(-(levels[limit] + claim - limit * 60_000) // limit) for limit, claim in claims.items()))
        at_ms += wait_ms
        for limit, claim in claims.items():
            levels[limit] = max(0, levels[limit] - wait_ms * limit) + claim
        times.append(at_ms)
    return times


@pytest.mark.parametrize("seed", range(4))
def test_a_burst_of_one_tenant_is_served_as_an_offline_schedule_says(seed: int) -> None:
    chance = Random(seed)
    sizes = [chance.choice([10, 200, 400, 900, 8_000]) for _ in range(700)]
    desk = Desk(REQUESTS, TOKENS, capacity=2_000)
    for number, size in enumerate(sizes):
        desk.ask(f"{number}", tokens=(size, 0))
    desk.pass_ms(HOUR_MS)
    assert desk.served == [f"{number}" for number in range(700)]
    rows = {hold.attempt_id: hold.reserved_ms - NOON_MS for hold in desk.books._holds.values()}
    assert [rows[f"{number}"] for number in range(700)] == schedule(sizes)
    assert desk.books.transactions < 700 + 700, "one to ask, and at most one to be served"
    assert desk.empty()


def test_calls_that_the_provider_refuses_once_are_served_hardly_later_than_their_neighbours() -> None:
    """Three minutes' worth of calls in one; some are refused after they were granted, and come again a second later."""
    chance = Random(3)
    desk = Desk(REQUESTS, capacity=2_000)
    refused = {f"{number}" for number in chance.sample(range(3 * RPM), 3 * RPM // 50)}
    began_ms: dict[str, int] = {}
    waited_ms: dict[str, int] = {}
    coming: list[tuple[int, str]] = []
    looked = number = 0
    while len(waited_ms) < 3 * RPM:
        desk.pass_ms(40)
        while coming and coming[0][0] <= desk.clock():
            name = coming.pop(0)[1]
            desk.ask(f"{name} again", begun_ms=began_ms[name])
        if number < 3 * RPM:
            began_ms[f"{number}"] = desk.clock()
            desk.ask(f"{number}", begun_ms=desk.clock())
            number += 1
        for served in desk.served[looked:]:
            name = served.removesuffix(" again")
            if served in refused:
                coming.append((desk.clock() + 1_000, name))
            else:
                waited_ms[name] = desk.clock() - began_ms[name]
        looked = len(desk.served)
    assert max(waited_ms[name] for name in refused) <= max(waited_ms[name] for name in waited_ms.keys() - refused)
    for name in refused:
        neighbours = [waited_ms.get(f"{int(name) + away}", 0) for away in range(-9, 10) if away]
        assert waited_ms[name] <= max(neighbours) + 2_000
    assert desk.empty()


@pytest.mark.parametrize("seed", range(4))
def test_shares_hold_whatever_the_sizes_and_nobody_starves(seed: int) -> None:
    """Tenants that always have calls waiting get tokens by weight; the largest call waits no longer than its share."""
    chance = Random(seed)
    weights = {"search": 3, "ads": 1, "mail": 2}
    desk = Desk(TOKENS, tenants=Tenants("team", weights))
    desk.ask("holder", tokens=(TPM, 0), scopes={"team": "other"})
    sizes: dict[str, int] = {}
    got: dict[str, int] = defaultdict(int)
    largest = 20_000
    number = 0
    for _ in range(600):
        for team in weights:
            while sum(name.startswith(team) for names in desk.waiting().values() for name in names) < 3:
                name = f"{team}/{number}"
                number += 1
                sizes[name] = chance.choice([50, 700, 5_000, largest])
                desk.ask(name, tokens=(sizes[name], 0), scopes={"team": team})
        before = len(desk.served)
        desk.pass_ms(max(desk.room.next_ms() - desk.clock(), 1))
        for name in desk.served[before:]:
            got[name.partition("/")[0]] += sizes[name]
        for one, other in (("search", "ads"), ("search", "mail"), ("mail", "ads")):
            apart = abs(got[one] / weights[one] - got[other] / weights[other])
            assert apart <= largest / weights[one] + largest / weights[other]
    longest = desk.teller.queues()["tokens"]["longest_wait_seconds"]
    round_of_all_ms = sum(weights.values()) * (3 + 1) * largest * 60_000 / TPM
    assert longest * 1_000 <= round_of_all_ms
    assert min(got.values()) > 10 * largest


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_of_calls_in_flight_is_kept_full(seed: int) -> None:
    """Work is conserved: as long as somebody waits, every place is taken, whoever comes, goes and ends."""
    chance = Random(seed)
    desk = Desk(Allowance("flight", "in_flight", 7, "gauge"), tenants=Tenants("user", {"ann": 2}))
    tickets = []
    ended = 0
    for number in range(600):
        what = chance.random()
        if what < 0.5:
            tickets.append(desk.ask(f"{number}", 0, scopes={"user": chance.choice(["ann", "bob", "eve"])}))
        elif what < 0.85 and ended < len(desk.served):
            desk.settle(desk.served[ended], 0, scopes=SCOPES, bound_nano_usd=0)
            ended += 1
        elif what < 0.95 and tickets:
            ticket = tickets.pop(chance.randrange(len(tickets)))
            if not ticket.delivered:
                desk.cancel(ticket)
        else:
            desk.pass_ms(chance.choice([1, 300]))
        assert desk.held("flight") == len(desk.served) - ended
        assert desk.held("flight") == 7 or not desk.teller.waiting
