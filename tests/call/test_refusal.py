"""Refusals name whose allowance binds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bursar.call.refusal import refused, unpriced
from bursar.errors import BudgetExceededError
from bursar.rules.allowances import Allowance, Demand, Level, deny
from bursar.rules.prices import PriceCard
from tests.call.scripted import BODY, CARD, plan_of

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


def test_the_error_says_whose_part_of_a_budget_binds() -> None:
    error = refused(deny(Level(BUDGET, "ann"), 2_000, Demand(2_000_000, 0, 0, 0), 0), plan_of())
    assert isinstance(error, BudgetExceededError)
    assert (error.budget, error.subject) == ("people", "ann")


def test_an_allowance_of_all_names_nobody() -> None:
    everything = Allowance("everything", "nano_usd", 1_000, "calendar", "day")
    error = refused(deny(Level(everything), 2_000, Demand(2_000_000, 0, 0, 0), 0), plan_of())
    assert error.message.startswith("Budget 'everything' (day): needs")


def test_who_would_pass_others_is_told_so() -> None:
    demand = Demand(2_000_000, 0, 0, 0)
    full = Level(LIMIT, "ann", spent=60_000)
    said = [
        refused(replace(denial, reason="behind"), plan_of())
        for denial in (
            deny(Level(BUDGET, "ann", held=1_000), 1_000, demand, 0),
            deny(full, 1, demand, 0),
        )
    ]
    behind = "calls that came before wait for it, and this one would pass them."
    assert said[0].message == (
        f"Budget 'people' (user=ann, month): {behind} Calls in flight hold what is missing: try again when they end."
    )
    assert said[1].message == f"Limit 'keys' (user=ann, 1 requests per minute): {behind} Free again in 60 s."
    assert [error.retry_after_seconds for error in said] == [1, 60]


def unknown(*known: str, tier: str = "", models: tuple[str, ...] = ("p/m",)) -> str:
    """What is said of a plan whose prices are not known, but for the (model, tier) that are."""
    body = BODY.replace(b"{", b'{"service_tier":"%s",' % tier.encode(), 1) if tier else BODY

    def price(model: str, tier: str = "", /) -> PriceCard | None:
        return CARD if f"{model} {tier}".strip() in known else None

    names = {"m": ["mm", "m-mini"], "n": ["mm"]}
    plan = plan_of(body, priced=False, price=price, unpriced=models, nearest=lambda model: names[model])
    error = unpriced(plan, "budget 'day' applies")
    assert error.models == models
    return error.message


def test_an_unknown_model_names_those_like_it_and_the_lines_to_add() -> None:
    said = unknown(models=("p/m", "p/n"))
    assert "The price of p/m, p/n is not known, and budget 'day' applies" in said
    assert "Names like it that have one: p/mm, p/m-mini." in said
    assert "prices:\n  p/m: {input: 0.00, output: 0.00}" in said
    assert "  p/n: {input" in said
    assert "Names like" not in unpriced(plan_of(priced=False, price=lambda model: None), "x").message


def test_a_tier_without_a_price_is_named_with_the_lines_to_add_or_the_names_there_are() -> None:
    said = unknown("m", tier="flex")
    assert "The price of p/m in the tier of service 'flex' is not known" in said
    assert "p/m: {input: 0.00, output: 0.00, tiers: {flex: {input: 0.00, output: 0.00}}}" in said
    mistyped = unknown("m", tier="prioirty")
    assert "'prioirty'" in mistyped
    assert "batch, flex, priority" in mistyped
    assert "prices:" not in mistyped
    # Where the model itself has no price, that is what has to be said.
    assert "in the tier" not in unknown(tier="flex")
