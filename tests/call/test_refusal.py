"""Refusals name whose allowance binds."""

from __future__ import annotations

import pytest

from bursar.call.refusal import refused
from bursar.rules.allowances import Allowance, Demand, Level, deny
from tests.call.scripted import plan_of

BUDGET = Allowance("people", "nano_usd", 1_000, "calendar", "month", each="user")
LIMIT = Allowance("keys", "requests", 1, "bucket", "minute", each="user")


@pytest.mark.parametrize(
    ("subject", "budget", "limit"),
    [
        ("ann", "Budget 'people' (user=ann, month): needs", "Limit 'keys' (user=ann, 1 requests per minute): needs"),
        (
            "",
            "Budget 'people' (calls without user, month): needs",
            "Limit 'keys' (calls without user, 1 requests per minute): needs",
        ),
    ],
)
def test_whose_allowance_it_is(subject: str, budget: str, limit: str) -> None:
    demand = Demand(2_000_000, 0, 0, 0)
    said = [
        refused(deny(Level(allowance, subject), amount, demand, 0), plan_of()).message
        for allowance, amount in ((BUDGET, 2_000), (LIMIT, 2))
    ]
    assert said[0].startswith(budget)
    assert said[1].startswith(limit)


def test_an_allowance_of_all_names_nobody() -> None:
    everything = Allowance("everything", "nano_usd", 1_000, "calendar", "day")
    error = refused(deny(Level(everything), 2_000, Demand(2_000_000, 0, 0, 0), 0), plan_of())
    assert error.message.startswith("Budget 'everything' (day): needs")
