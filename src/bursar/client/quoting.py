"""A quote: what a call would use and cost, and which budgets it fits, without holding or sending anything.

The most that it can cost is that of its tokens where these can be counted, since that is what has to fit a budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.call.books import Balance
from bursar.call.plan import Plan
from bursar.catalog.tokens import count_messages
from bursar.client.replies import Fit, Quote
from bursar.engine import Engine
from bursar.rules.allowances import Allowance
from bursar.rules.estimate import LIKELY_OUTPUT_TOKENS
from bursar.rules.usage import Usage


def quote(engine: Engine, plan: Plan, messages: Any, fields: Mapping[str, Any]) -> Quote:
    """Quote a plan. `messages` and `fields` are what the caller gave, for counting tokens offline."""
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    input_tokens = count_messages(listed, plan.model, fields.get("tools"), fields.get("response_format"))
    tighter = plan.tightening.demand() if plan.tightening is not None else None
    demand, card = tighter or plan.demand, plan.price(plan.model)
    priced = demand.base_pico_usd is not None
    likely_output = min(demand.output_tokens_max, LIKELY_OUTPUT_TOKENS) * plan.request.n
    likely = card.cost_nano_usd(Usage.of(input_tokens, likely_output)) if card is not None else None
    # An elastic call is sent when its least output fits; one with a limit only when the whole of it does.
    needed = demand.nano_usd(demand.output_tokens_min)
    return Quote(
        model=f"{plan.provider.name}/{plan.model}",
        input_tokens=input_tokens,
        output_tokens_max=demand.output_tokens_max,
        most_nano_usd=demand.nano_usd(demand.output_tokens_max) if priced else None,
        likely_nano_usd=likely,
        price_version=card.version if card is not None else "",
        budgets=tuple(
            Fit(balance, _fits(allowance, balance, plan, needed if priced else None), allowance.enforced)
            for allowance, balance in engine.binding(plan.scopes)
        ),
    )


def _fits(allowance: Allowance, balance: Balance, plan: Plan, needed_nano_usd: int | None) -> bool:
    if needed_nano_usd is None or allowance.refuses_missing(plan.scopes):
        return False
    return needed_nano_usd <= balance.left or needed_nano_usd == 0
