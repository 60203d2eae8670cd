"""Prices that a provider itself publishes, as they were fetched and when: OpenRouter's `/models`.

Decides what a published price means in leaves, which of those that were fetched held at a moment, and what of a newer
list is a change. A price holds from the minute in which it was fetched until the next that differs, so that an old call
keeps its own. Never fetches, and neither reads nor writes a file: lines are passed in and out.

What is not certain is read at its dearest. A specialised unit at 0 beside a plain one that costs (`internal_reasoning`,
`input_cache_read`) has no price of its own, and the plain one holds. A `discount` is not taken off: whether the other
numbers have it in them already is nowhere said. An hour that cannot be read may be any. What is billed by the image
(`image`) is left out: no usage counts it, and the provider reports its cost.

Source: OpenRouter's SDK schema 1.3.84 (PublicPricing), November 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from bursar.catalog.listing import DEAREST, without_routing
from bursar.rules.money import EXACT, decimal_of
from bursar.rules.prices import PriceCard, dearest_of
from bursar.rules.tiers import CHEAPER, words

__all__ = ["FetchedPrices", "pricing_card"]

_LEAVES: Mapping[str, str] = {
    "prompt": "input",
    "completion": "output",
    "request": "requests",
    "image_token": "image_input",
    "image_output": "image_output",
    "audio": "audio_input",
    "audio_output": "audio_output",
    "input_audio_cache": "cached_audio_input",
    "input_cache_read": "cached_input",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "internal_reasoning": "reasoning_output",
    "web_search": "web_searches",
}
_PLAIN = ("prompt", "completion")
_PER_MILLION = 1_000_000
_HOUR = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::\d{2})?Z?")

Pricing = Mapping[str, Any]
History = list[tuple[datetime, Pricing | None]]


class FetchedPrices:
    """What one provider published, by model and moment. Built from lines, each the changes that one fetch brought."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.fetched: datetime | None = None
        self._history: dict[str, History] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def read(cls, provider: str, lines: Iterable[bytes]) -> FetchedPrices:
        """Every line of a file, oldest first. A line that cannot be read (cut by a full disk) is passed over."""
        prices = cls(provider)
        for line in lines:
            try:
                prices.take(json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError):
                continue
        return prices

    def take(self, entry: Mapping[str, Any]) -> None:
        """Add what one fetch brought. Raises ValueError, KeyError, TypeError or AttributeError for another thing."""
        if entry["provider"] != self.provider:
            return
        at = datetime.fromisoformat(entry["at"]).astimezone(UTC)
        models, names = dict(entry["models"]), dict(entry.get("names", {}))
        for model, pricing in models.items():
            # Calls are priced by the minute in which they begin: so are the prices of this one.
            self._history.setdefault(model, []).append((at.replace(second=0, microsecond=0), pricing))
        self._names.update(names)
        self.fetched = at if self.fetched is None else max(at, self.fetched)

    def changes(self, listed: Iterable[Mapping[str, Any]], at: datetime) -> dict[str, Any]:
        """The line that a list of models adds, fetched at a moment: what is new, differs, or is no more (null).

        >>> prices = FetchedPrices("openrouter")
        >>> one = {"id": "a/b", "pricing": {"prompt": "0.000001", "completion": "0"}}
        >>> prices.changes([one], datetime(2026, 11, 22, tzinfo=UTC))["models"]
        {'a/b': {'prompt': '0.000001', 'completion': '0'}}
        """
        published: dict[str, Pricing] = {}
        served: dict[str, set[str]] = {}
        for model in listed:
            name, pricing, slug = model.get("id"), model.get("pricing"), model.get("canonical_slug")
            if isinstance(name, str) and isinstance(pricing, dict):
                published[name.lower()] = pricing
                if isinstance(slug, str) and slug:
                    served.setdefault(slug.lower(), set()).add(name.lower())
        known = {model: history[-1][1] for model, history in self._history.items()}
        models: dict[str, Any] = {name: one for name, one in published.items() if known.get(name) != one}
        models.update({name: None for name, pricing in known.items() if pricing is not None and name not in published})
        # A model and its free twin are served under one name: such a name says nothing.
        names = {slug: min(ids) for slug, ids in served.items() if len(ids) == 1 and slug not in published}
        names = {slug: name for slug, name in names.items() if self._names.get(slug) != name}
        at_text = at.astimezone(UTC).isoformat(timespec="seconds")
        return {"provider": self.provider, "at": at_text, "models": models, "names": names}

    def card(self, model: str, when: date | datetime, tier: str, discount: Decimal) -> PriceCard | None:
        """The card of a model; None where it had none then, or not in that tier of service."""
        history = self._history.get(self._name(model), [])
        served = words(tier)
        if not history or (served and not (len(served) == 1 and served[0] in CHEAPER)):
            return None
        cards = []
        for moment in _moments(history, when):
            at, pricing = next(((at, one) for at, one in reversed(history) if at <= moment), (None, None))
            if at is None or pricing is None:
                return None
            version = " ".join((self.provider, at.date().isoformat(), *served))
            card = pricing_card(pricing, moment, version, discount)
            if card is None:
                return None
            cards.append(replace(card, at_most=True) if served else card)
        return dearest_of(cards, f"{cards[-1].version} {DEAREST}") if cards else None

    def by_the_hour(self, model: str, day: date) -> bool:
        """True where the price of a model may change within a day."""
        history = self._history.get(self._name(model), [])
        return any(at.date() == day or _hours(pricing) for at, pricing in history)

    def models(self) -> list[str]:
        """Every model with a price in the latest list, sorted."""
        return sorted(model for model, history in self._history.items() if history[-1][1] is not None)

    def _name(self, model: str) -> str:
        name = without_routing(model).lower()
        return name if name in self._history else self._names.get(name, name)


def pricing_card(pricing: Pricing, moment: datetime, version: str, discount: Decimal) -> PriceCard | None:
    """One published price as a card at a moment; None for one without tokens, negative (decided per call) or absurd.

    >>> card = pricing_card({"prompt": "0.000003", "completion": "0.000015"}, datetime.now(UTC), "v", Decimal(0))
    >>> card.pico_usd["input"], card.pico_usd["output"]
    (3000000, 15000000)
    """
    try:
        return _card(pricing, moment, version, discount)
    except ValueError:
        return None


def _card(pricing: Pricing, moment: datetime, version: str, discount: Decimal) -> PriceCard:
    at_most = decimal_of(pricing.get("discount") or 0) != 0
    prices = _known(pricing)
    above: dict[int, dict[str, Any]] = {}
    for override in _overrides(pricing):
        holds, changed = _holds(override, moment), _known(override)
        if holds is False:
            continue
        at_most |= holds is None
        start = override.get("min_prompt_tokens")
        if start is None:
            prices |= changed if holds else _dearer(prices, changed)
        elif isinstance(start, int) and start > 0:
            above[start - 1] = above.get(start - 1, {}) | changed
        else:
            raise ValueError(f"an override from {start!r} tokens on")
    return PriceCard.of(
        _per_million(prices),
        version=version,
        tiers={start: _per_million(prices | changed) for start, changed in _stacked(above)},
        discount=discount,
        listed=True,
        at_most=at_most,
    )


def _known(pricing: Pricing) -> dict[str, Any]:
    return {key: pricing[key] for key in _LEAVES if pricing.get(key) is not None}


def _overrides(pricing: Pricing | None) -> list[Pricing]:
    listed = (pricing or {}).get("overrides")
    return [override for override in listed if isinstance(override, dict)] if isinstance(listed, list) else []


def _stacked(above: Mapping[int, dict[str, Any]]) -> Iterable[tuple[int, dict[str, Any]]]:
    """What changes above each length, with what changed above the shorter ones."""
    so_far: dict[str, Any] = {}
    for start in sorted(above):
        so_far = so_far | above[start]
        yield start, so_far


def _per_million(prices: Mapping[str, Any]) -> dict[str, Decimal]:
    """USD per million units by leaf. Raises ValueError for a price that is no number, and without plain prices."""
    if any(key not in prices for key in _PLAIN):
        raise ValueError("a published price has no prompt or no completion")
    amounts = {key: EXACT.multiply(decimal_of(value), _PER_MILLION) for key, value in prices.items()}
    plain = any(amounts[key] for key in _PLAIN)
    # 0 of a special kind is no price of its own, where tokens cost at all.
    return {_LEAVES[key]: usd for key, usd in amounts.items() if usd or key in _PLAIN or not plain}


def _dearer(prices: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    return {key: max(decimal_of(value), decimal_of(prices.get(key, 0))) for key, value in changed.items()}


def _holds(override: Pricing, moment: datetime) -> bool | None:
    """Whether the hours of an override hold at a moment; None where they cannot be read."""
    if "utc_start" not in override and "utc_end" not in override:
        return True
    start, end = _time(override.get("utc_start")), _time(override.get("utc_end"))
    if start is None or end is None:
        return None
    now = moment.astimezone(UTC).time()
    return start <= now < end if start <= end else now >= start or now < end


def _hours(pricing: Pricing | None) -> set[time]:
    """The times of day at which a published price can change."""
    edges = [_time(override.get(key)) for override in _overrides(pricing) for key in ("utc_start", "utc_end")]
    return {edge for edge in edges if edge is not None}


def _moments(history: History, when: date | datetime) -> list[datetime]:
    """The moments of a day from which a price may differ, from the first fetch on; the moment itself where known."""
    if isinstance(when, datetime):
        return [when]
    midnight = datetime.combine(when, time(), UTC)
    last = midnight + timedelta(days=1, microseconds=-1)
    fetches = {at for at, _ in history if midnight <= at <= last}
    edges = {datetime.combine(when, edge, UTC) for _, pricing in history for edge in _hours(pricing)}
    return [moment for moment in sorted({midnight, last, *fetches, *edges}) if moment >= history[0][0]]


def _time(value: object) -> time | None:
    """A time of day as an hour, "HH", "HH:MM" or "HH:MM:SS"; 24 is midnight."""
    match = _HOUR.fullmatch(str(value).strip()) if isinstance(value, int | str) else None
    if match is None:
        return None
    hour, minute = int(match[1]) % 24, int(match[2] or 0)
    return time(hour, minute) if int(match[1]) <= 24 and minute < 60 else None
