"""The effective settings as YAML, each value with where it comes from, secrets hidden.

What is shown reads back as the same settings; what is hidden stands in a comment. Decides nothing about values: their
kinds write them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bursar.config import keys
from bursar.config.columns import ChoiceOrNone
from bursar.config.compounds import Days
from bursar.config.credentials import HIDDEN
from bursar.config.keys import Key
from bursar.config.kinds import quoted
from bursar.config.routes import shown_route
from bursar.config.tree import PriceOverride, ProviderSettings, Settings
from bursar.rules.allowances import Allowance

_COLUMN = 56


def show(settings: Settings) -> str:
    """The whole tree as the YAML of a file that would make it."""
    lines = [f"# what {settings.file or 'the environment and the arguments'} comes to; defaults included"]
    lines += _keys(settings, keys.ROOT_KEYS, settings, "", 0)
    lines.append("llm:")
    lines += _keys(settings, keys.LLM_KEYS, settings, "llm.", 1)
    lines.append("  providers:" if settings.providers else "  providers: {}")
    for provider in settings.providers.values():
        lines.append(f"    {quoted(provider.name)}:")
        lines += _provider(settings, provider)
    lines += _section("routes", _routes(settings))
    lines += _section("prices", _prices(settings))
    lines += _section("budgets", (_budget(settings, allowance) for allowance in settings.budgets))
    others = (allowance for allowance in settings.allowances if allowance.meter != "nano_usd")
    lines += _section("limits", (_limit(settings, allowance) for allowance in others))
    parts = (
        ("queue", keys.QUEUE_KEYS, settings.queue),
        ("retention", keys.RETENTION_KEYS, settings.retention),
        ("alerts", keys.ALERT_KEYS, settings.alerts),
        ("gateway", keys.GATEWAY_KEYS, settings.gateway),
    )
    for name, table, part in parts:
        lines += _section(name, _keys(settings, table, part, f"{name}.", 1))
    return "\n".join(lines) + "\n"


def _section(name: str, lines: Iterable[str]) -> list[str]:
    held = [line for line in lines if line]
    # A section of comments alone would read as a key without a value.
    return [f"{name}:", *held] if held else []


def _keys(settings: Settings, table: Iterable[Key], part: object, prefix: str, depth: int) -> Iterator[str]:
    for key in table:
        value: Any = getattr(part, key.attribute)
        # None is a value only where the file has a word for it ("forever").
        if value is not None or isinstance(key.kind, Days):
            yield _line(settings, "  " * depth, key.name, key.kind.show(value), prefix + key.name)


def _provider(settings: Settings, provider: ProviderSettings) -> Iterator[str]:
    prefix = f"llm.providers.{provider.name}."
    for key in keys.PROVIDER_KEYS:
        value: Any = getattr(provider, key.attribute)
        if _unsaid(value) and not isinstance(key.kind, ChoiceOrNone):
            continue
        if key.name == "discount":
            value = value * 100
        yield _line(settings, "      ", key.name, key.kind.show(value), prefix + key.name)


def _unsaid(value: Any) -> bool:
    """Whether a value is what a key has that nobody gave one, and which has no default."""
    return value is None or (isinstance(value, str | tuple | Mapping) and not value)


def _line(settings: Settings, indent: str, name: str, text: str, path: str) -> str:
    # A value that is hidden would read back as the word: the line becomes a comment.
    mark = "# " if text == HIDDEN or f": {HIDDEN}" in text else ""
    return f"{indent}{mark}{name}: {text}".ljust(_COLUMN) + f"  # {settings.place(path)}"


def _routes(settings: Settings) -> Iterator[str]:
    for name, route in settings.routes.items():
        yield _line(settings, "  ", quoted(name), shown_route(route), f"routes.{name}")


def _prices(settings: Settings) -> Iterator[str]:
    by_model: dict[str, list[PriceOverride]] = {}
    for override in settings.prices:
        by_model.setdefault(f"{override.provider}/{override.model}", []).append(override)
    for name, overrides in by_model.items():
        listed = ", ".join(_price(override) for override in overrides)
        text = f"[{listed}]" if len(overrides) > 1 else listed
        yield _line(settings, "  ", quoted(name), text, f"prices.{name}")


def _price(override: PriceOverride) -> str:
    starts = [f"from: {override.starts.isoformat()}"] if override.starts else []
    return "{" + ", ".join([*starts, *_prices_given(override.given)]) + "}"


def _prices_given(prices: Mapping[str, Any]) -> Iterator[str]:
    for name, given in prices.items():
        if isinstance(given, Mapping):
            yield f"{name}: {{{', '.join(_prices_given(given))}}}"
        else:
            yield f"{name}: {given:f}"


def _budget(settings: Settings, budget: Allowance) -> str:
    if "." in budget.name:
        return ""
    values = {"usd": budget.capacity, "per": budget.period, "rolling": budget.shape == "rolling" or None}
    return _allowance(settings, budget, keys.BUDGET_KEYS, values, "budgets")


def _limit(settings: Settings, limit: Allowance) -> str:
    if "." in limit.name:
        return ""
    values = {limit.meter: limit.capacity, "per": limit.period, "window": limit.shape == "calendar" or None}
    return _allowance(settings, limit, keys.LIMIT_KEYS, values, "limits")


def _allowance(
    settings: Settings, allowance: Allowance, table: Iterable[Key], values: dict[str, Any], section: str
) -> str:
    values |= {
        "each": allowance.each,
        "only": allowance.only or None,
        "missing": allowance.missing if allowance.each else None,
        "mode": allowance.mode if allowance.mode != settings.mode else None,
        "alert_at": allowance.alert_at or None,
    }
    given = [(key, values.get(key.name)) for key in table]
    text = "{" + ", ".join(f"{key.name}: {key.kind.show(value)}" for key, value in given if value is not None) + "}"
    return _line(settings, "  ", quoted(allowance.name), text, f"{section}.{allowance.name}")
