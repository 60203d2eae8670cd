"""Denials and caps turned into the errors a caller sees: what binds, the numbers with units, and what to do next."""

from __future__ import annotations

from bursar.call.plan import Cap, Plan
from bursar.call.receipt import instant
from bursar.errors import (
    BudgetExceededError,
    BursarError,
    LimitExceededError,
    PriceUnknownError,
    RefusedError,
)
from bursar.rules.allowances import Demand, Denial
from bursar.rules.estimate import floor_nano_usd
from bursar.rules.money import format_usd
from bursar.rules.tiers import KNOWN, plain

_BEHIND = "calls that came before wait for it, and this one would pass them."


def refused(denial: Denial, plan: Plan) -> RefusedError:
    """The error for a denial of this plan's reserve."""
    allowance = denial.allowance
    if denial.reason == "missing":
        return _missing(denial)
    if denial.reason == "price":
        return unpriced(plan, f"budget {allowance.name!r} applies")
    if allowance.meter == "nano_usd":
        return _over_budget(denial)
    return _over_limit(denial)


def over_cap(plan: Plan) -> RefusedError | None:
    """The error when even the least output would pass a cap on one call; None when every cap can be kept."""
    for cap in plan.caps:
        if plan.demand.base_pico_usd is None:
            return unpriced(plan, f"{cap.name} applies")
        needed = floor_nano_usd(plan.demand)
        if needed > cap.nano_usd:
            return _over_cap(cap, needed, plan.demand)
    return None


def unpriced(plan: Plan, why: str) -> PriceUnknownError:
    """The error for a call whose cost has no bound, with the lines that would give it one."""
    if plan.request.unbounded:
        tools = ", ".join(plan.request.unbounded)
        return PriceUnknownError(
            f"The cost of {tools} has no bound: it runs on the provider's side, and {why}. "
            "The call is refused; send it without, or through a client without a budget.",
            models=(),
        )
    models = plan.unpriced or (f"{plan.provider.name}/{plan.model}",)
    own = f"{plan.provider.name}/"
    tier = plan.request.tier
    if tier and all(plan.price(model.removeprefix(own)) is not None for model in models):
        return _unpriced_tier(models, tier, why)
    near = [f"{own}{name}" for model in models for name in plan.nearest(model.removeprefix(own))]
    hint = f" Names like it that have one: {', '.join(dict.fromkeys(near))}." if near else ""
    lines = "\n".join(f"  {model}: {{input: 0.00, output: 0.00}}   # USD per million tokens" for model in models)
    place = f"llm.providers.{plan.provider.name}"
    azure = plan.provider.price_provider == "azure"
    deployment = f"or the model that it is a deployment of, `deployments: {{{plan.model}: gpt-4o}}` at {place},\n"
    return PriceUnknownError(
        f"The price of {', '.join(models)} is not known, and {why}: the call is refused.{hint} "
        f"Add to bursar.yaml:\n\nprices:\n{lines}\n\n{deployment if azure else ''}"
        f"or, where it costs nothing, `price: free` at {place}.",
        models=models,
    )


def _unpriced_tier(models: tuple[str, ...], tier: str, why: str) -> PriceUnknownError:
    """The error for a tier of service without a price: a mistyped name, or one that nobody lists for these models."""
    tier = plain(tier)
    mistyped = [word for word in tier.split("+") if word not in KNOWN]
    message = f"The price of {', '.join(models)} in the tier of service {tier!r} is not known, and {why}: refused."
    if mistyped:
        return PriceUnknownError(f"{message} The tiers that have names: {', '.join(KNOWN)}.", models=models)
    prices = "{input: 0.00, output: 0.00}"
    lines = "\n".join(f"  {model}: {{input: 0.00, output: 0.00, tiers: {{{tier}: {prices}}}}}" for model in models)
    return PriceUnknownError(f"{message} Add to bursar.yaml:\n\nprices:\n{lines}", models=models)


def _missing(denial: Denial) -> BudgetExceededError | LimitExceededError:
    allowance = denial.allowance
    kind = "Budget" if allowance.meter == "nano_usd" else "Limit"
    message = (
        f"{kind} {allowance.name!r} counts each {allowance.each} and refuses calls without one: pass "
        f"{allowance.each}=... (or a tag of that name) with the call."
    )
    if allowance.meter != "nano_usd":
        return LimitExceededError(
            message,
            limit=allowance.name,
            meter=allowance.meter,
            needed=0,
            capacity=allowance.capacity,
            retry_after_seconds=None,
        )
    return BudgetExceededError(
        message,
        budget=allowance.name,
        window=allowance.period or "",
        needed_nano_usd=0,
        left_nano_usd=0,
        spent_nano_usd=0,
        held_nano_usd=0,
        limit_nano_usd=allowance.capacity,
    )


def _whose(denial: Denial) -> str:
    """The part of an allowance that has one for each user, team, ..., as it stands before the period."""
    each = denial.allowance.each
    if each is None:
        return ""
    return f"{each}={denial.subject}, " if denial.subject else f"calls without {each}, "


def _over_budget(denial: Denial) -> BudgetExceededError:
    allowance = denial.allowance
    of = _whose(denial)
    spent, held = format_usd(denial.spent), format_usd(denial.held)
    message = f"Budget {allowance.name!r} ({of}{allowance.period}): "
    if denial.reason == "behind":
        message += _BEHIND
    else:
        message += (
            f"needs up to {format_usd(denial.needed)}; "
            f"{format_usd(denial.left)} left of {format_usd(denial.limit)} ({spent} spent, {held} held)."
        )
    if denial.comeback == "on_release":
        message += " Calls in flight hold what is missing: try again when they end."
    elif denial.resets_at_ms is not None:
        message += f" Resets {instant(denial.resets_at_ms)}."
    if denial.affordable_output_tokens and denial.comeback == "never":
        message += f" It would fit with max_tokens={denial.affordable_output_tokens}."
    error = BudgetExceededError(
        message,
        budget=allowance.name,
        window=allowance.period or "",
        needed_nano_usd=denial.needed,
        left_nano_usd=denial.left,
        spent_nano_usd=denial.spent,
        held_nano_usd=denial.held,
        limit_nano_usd=denial.limit,
        affordable_output_tokens=denial.affordable_output_tokens,
        resets_at_ms=denial.resets_at_ms,
        held=denial.comeback == "on_release",
    )
    error.subject = denial.subject
    # Nobody knows when calls in flight end; a second is a polite guess.
    error.retry_after_seconds = 1.0 if error.held else None
    return error


def _over_limit(denial: Denial) -> LimitExceededError:
    allowance = denial.allowance
    of = _whose(denial)
    unit = allowance.meter.replace("_", " ")
    per = f" per {allowance.period}" if allowance.period else ""
    message = f"Limit {allowance.name!r} ({of}{denial.limit} {unit}{per}): "
    message += _BEHIND if denial.reason == "behind" else f"needs {denial.needed}, {denial.left} free."
    retry_after_seconds: float | None = None
    if denial.comeback == "later":
        retry_after_seconds = denial.wait_ms / 1000
        message += f" Free again in {retry_after_seconds:g} s."
    elif denial.comeback == "on_release":
        retry_after_seconds = 1.0
        message += " Free again when calls in flight end."
    else:
        message += " It can never fit."
    return LimitExceededError(
        message,
        limit=allowance.name,
        meter=allowance.meter,
        needed=denial.needed,
        capacity=denial.limit,
        retry_after_seconds=retry_after_seconds,
    )


def _over_cap(cap: Cap, needed_nano_usd: int, demand: Demand) -> BudgetExceededError:
    affordable = demand.affordable_output_tokens(cap.nano_usd)
    allows, needed = format_usd(cap.nano_usd), format_usd(needed_nano_usd)
    message = f"{cap.name} allows {allows} for one call; this one needs up to {needed}."
    message += f" It would fit with max_tokens={affordable}." if affordable else " Its input alone is too large."
    return BudgetExceededError(
        message,
        budget=cap.name,
        window="call",
        needed_nano_usd=needed_nano_usd,
        left_nano_usd=cap.nano_usd,
        spent_nano_usd=0,
        held_nano_usd=0,
        limit_nano_usd=cap.nano_usd,
        affordable_output_tokens=affordable,
    )


def wait_refused(error: BursarError, wait_ms: int) -> BursarError:
    """Say in the error how long the call had waited before it was refused."""
    if wait_ms >= 1_000:
        error.args = (f"{error.message} (after waiting {wait_ms / 1000:.1f} s)",)
    return error
