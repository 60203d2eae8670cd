"""The usage object of OpenAI's form, with what each provider of that form makes of it.

Decides which leaf each count belongs to and what a report that does not add up may mean at its dearest. Never raises
and never trusts: a count may come as a string, a float, negative, enormous, null, or not at all. What cannot be read
as a side of the bill makes the usage None, which leaves the attempt at its bound.

Source: facts of the providers' SDKs and recorded replies, November 2026: OpenAI (cached, written, audio and rejected
tokens inside the totals), DeepSeek (prompt_cache_hit_tokens), Mistral (num_cached_tokens), Gemini's and xAI's
compatible form (thinking only in total_tokens), OpenRouter (cost, is_byok), xAI (cost_in_usd_ticks).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from bursar.rules.money import EXACT, nano_of
from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.wire.lenient import as_dict

__all__ = ["Reading", "read_usage"]

# No single reply costs ten thousand dollars: a larger report is a misplaced decimal point.
COST_USD_MAX = 10_000
# xAI reports costs in ticks of a ten-billionth of a dollar.
TICKS_EXPONENT = -10

# Inside prompt_tokens_details and completion_tokens_details.
_INPUT_PARTS = (
    ("cached_tokens", "cached_input"),
    ("cache_write_tokens", "cache_write"),
    ("audio_tokens", "audio_input"),
    ("image_tokens", "image_input"),
    ("video_tokens", "video_input"),
)
_OUTPUT_PARTS = (
    ("reasoning_tokens", "reasoning_output"),
    ("audio_tokens", "audio_output"),
    ("image_tokens", "image_output"),
    ("rejected_prediction_tokens", "rejected_prediction"),
)
_WRITE_PARTS = (
    ("ttl_30m", "cache_write_30m"),
    ("ttl_1h", "cache_write_1h"),
    ("ttl_12h", "cache_write_12h"),
)
# How some say "cached" at the top of the usage object. Reports that differ are read at the smaller, which is dearer.
_CACHED_NAMES = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")


class Reading(NamedTuple):
    """What one usage object says. `odd`: something in it could not be believed."""

    usage: Usage | None
    reported_nano_usd: int | None
    odd: bool = False


_NOTHING = Reading(None, None)


class _Counts:
    """Reads counts out of objects and remembers whether one of them was odd."""

    __slots__ = ("odd",)

    def __init__(self) -> None:
        self.odd = False

    def of(self, value: object) -> int | None:
        if type(value) is int and 0 <= value <= TOKENS_MAX:
            return value
        return None if value is None else self._odd(value)

    def _odd(self, value: object) -> int | None:
        """A count in disguise; None for what is no count. Only a float without a fraction is nothing odd."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            self.odd = True
            return self.of(int(value))
        if isinstance(value, Decimal | float):
            amount = Decimal(value)
            if amount.is_finite() and 0 <= amount <= TOKENS_MAX:
                whole = int(amount)
                self.odd |= whole != amount
                return whole if whole == amount else whole + 1
        self.odd = True
        return None


def read_usage(raw: object, *, output_expected: bool = True) -> Reading:
    """Read a decoded usage object.

    output_expected: False for embeddings, whose usage has no completion side.

    >>> details = {"cached_tokens": 8}
    >>> read_usage({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": details}).usage.leaves
    mappingproxy({'input': 2, 'cached_input': 8, 'output': 4})
    """
    if not isinstance(raw, dict) or not raw:
        return _NOTHING if raw is None or raw == {} else Reading(None, None, odd=True)
    counts = _Counts()
    nano_usd, cost_odd = _reported(raw) if "cost" in raw or "cost_in_usd_ticks" in raw else (None, False)
    sides = _sides(raw, counts, output_expected)
    if sides is None:
        return Reading(None, nano_usd, counts.odd or cost_odd)
    input_tokens, output_tokens, unsaid = sides
    parts = _input_parts(raw, counts)
    parts.update(_parts(raw.get("completion_tokens_details"), _OUTPUT_PARTS, counts))
    if unsaid and "reasoning_output" not in parts:
        parts["reasoning_output"] = unsaid
    if "server_tool_use_details" in raw:
        searches = counts.of(as_dict(raw["server_tool_use_details"]).get("web_search_requests"))
        if searches:
            parts["web_searches"] = searches
    odd = counts.odd or cost_odd
    usage = Usage.of(input_tokens, output_tokens, parts or None, contradictory=odd)
    return Reading(usage, nano_usd, odd or usage.contradictory)


def _sides(raw: Mapping[str, Any], counts: _Counts, output_expected: bool) -> tuple[int, int, int] | None:
    """(input, output, output that only the total shows); None when a side of the bill cannot be known."""
    prompt = counts.of(raw.get("prompt_tokens"))
    completion = counts.of(raw.get("completion_tokens"))
    total = counts.of(raw.get("total_tokens"))
    if prompt is None:
        if total is None or (completion is None and output_expected):
            return None
        counts.odd |= completion is None or completion > total
        return max(0, total - (completion or 0)), completion or 0, 0
    if completion is None:
        if total is not None:
            counts.odd |= total < prompt
            return prompt, max(0, total - prompt), 0
        return None if output_expected else (prompt, 0, 0)
    if total is None:
        return prompt, completion, 0
    # A total below its parts is not believed: the parts are dearer. One above them has thinking in it that the
    # completion leaves out (Gemini, xAI).
    counts.odd |= total < prompt + completion
    unsaid = max(0, total - prompt - completion)
    return prompt, completion + unsaid, unsaid


def _input_parts(raw: Mapping[str, Any], counts: _Counts) -> dict[str, int]:
    details = raw.get("prompt_tokens_details")
    parts = _parts(details, _INPUT_PARTS, counts)
    cached = [count for name in _CACHED_NAMES if name in raw and (count := counts.of(raw[name])) is not None]
    if cached:
        if isinstance(details, dict) and (inner := counts.of(details.get("cached_tokens"))) is not None:
            cached.append(inner)
        counts.odd |= min(cached) != max(cached)
        parts["cached_input"] = min(cached)
    if isinstance(details, dict) and (lifetimes := details.get("cache_write_tokens_details")):
        by_lifetime = _parts(lifetimes, _WRITE_PARTS, counts)
        parts["cache_write"] = max(0, parts.get("cache_write", 0) - sum(by_lifetime.values()))
        parts.update(by_lifetime)
    return parts


def _parts(details: object, names: tuple[tuple[str, str], ...], counts: _Counts) -> dict[str, int]:
    parts: dict[str, int] = {}
    if not isinstance(details, dict):
        counts.odd |= details is not None
        return parts
    for name, leaf in names:
        value = details.get(name)
        # Most counts of most replies are 0.
        if value and (count := counts.of(value)):
            parts[leaf] = count
    return parts


def _reported(raw: Mapping[str, Any]) -> tuple[int | None, bool]:
    """(the cost that the provider says it charged, whether one was given that cannot be believed)."""
    ticks = raw.get("cost_in_usd_ticks")
    if ticks is not None:
        usd = _usd(ticks, TICKS_EXPONENT)
        return (None, True) if usd is None else (nano_of(usd, round_up=True), False)
    cost = raw.get("cost")
    if cost is None or isinstance(cost, dict):
        return None, False
    usd = _usd(cost)
    # With the caller's own key the aggregator's share and the maker's bill are two amounts.
    if raw.get("is_byok") is True:
        upstream = as_dict(raw.get("cost_details")).get("upstream_inference_cost")
        if upstream is None:
            return None, usd is None
        upstream_usd = _usd(upstream)
        usd = None if usd is None or upstream_usd is None else EXACT.add(usd, upstream_usd)
    return (None, True) if usd is None else (nano_of(usd, round_up=True), False)


def _usd(value: object, exponent: int = 0) -> Decimal | None:
    """An amount in units of 10^exponent dollars, as dollars; None for what no reply can cost."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    amount = Decimal(value)
    if not amount.is_finite() or not 0 <= amount <= Decimal(COST_USD_MAX).scaleb(-exponent, EXACT):
        return None
    return amount.scaleb(exponent, EXACT)
