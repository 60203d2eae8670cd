"""Service tiers: which names a provider takes, what it reports them as, and which share of the token price they cost.

Source: the providers' API references of November 2026. OpenAI reports `priority` for `fast`, too; its half price for
batches belongs to another API, and is here to be practised as a tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bursar.sim.failures import RefusedRequestError, invalid


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier is called in replies, and its price in percent of the listed one."""

    reported: str
    percent: int = 100


Tiers = Mapping[str, Tier]

OPENAI: Tiers = {
    "auto": Tier("default"),
    "default": Tier("default"),
    "flex": Tier("flex", 50),
    "batch": Tier("batch", 50),
    "priority": Tier("priority", 200),
    "fast": Tier("priority", 200),
    "scale": Tier("scale"),
}
OPENROUTER: Tiers = {
    "auto": Tier("default"),
    "default": Tier("default"),
    "flex": Tier("flex", 50),
    "priority": Tier("priority", 200),
    "fast": Tier("priority", 200),
    "scale": Tier("scale"),
    "ultrafast": Tier("ultrafast", 300),
}
GROQ: Tiers = {
    "auto": Tier("on_demand"),
    "on_demand": Tier("on_demand"),
    "flex": Tier("flex"),
    "performance": Tier("performance"),
}


def choose_tier(tiers: Tiers, asked: str | None) -> Tier | None:
    """The tier of a request; None where it names none or the provider has none. Raises RefusedRequestError with 400."""
    if asked is None or not tiers:
        return None
    tier = tiers.get(asked)
    if tier is None:
        known = ", ".join(f"'{name}'" for name in tiers)
        message = f"Invalid value: '{asked[:200]}'. Supported values are: {known}."
        raise RefusedRequestError(invalid(message, "service_tier", "invalid_value"))
    return tier
