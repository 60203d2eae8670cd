"""The usage object of OpenAI's forms (chat, Responses), with what each provider of that form makes of it.

Decides which leaf each count belongs to and what a report that does not add up may mean at its dearest. Never raises
and never trusts: a count may come as a string, a float, negative, enormous, null, or not at all. What cannot be read
as a side of the bill makes the usage None, which leaves the attempt at its bound.

Source: facts of the providers' SDKs and recorded replies, November 2026: OpenAI (cached, written, audio and rejected
tokens inside the totals), DeepSeek (prompt_cache_hit_tokens), Mistral (num_cached_tokens, seconds of audio), Gemini's
and xAI's compatible form (thinking only in total_tokens), OpenRouter (cost, is_byok), xAI (cost_in_usd_ticks), proxies
of Anthropic's models (cache_creation_input_tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import Struct

from bursar.rules.money import EXACT, nano_of
from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.wire.counts import Counts
from bursar.wire.lenient import as_dict

__all__ = ["CHAT", "RESPONSES", "Form", "Reading", "read_usage", "reported_cost"]

# No single reply costs ten thousand dollars: a larger report is a misplaced decimal point.
COST_USD_MAX = 10_000
# xAI reports costs in ticks of a ten-billionth of a dollar.
TICKS_EXPONENT = -10

# Inside the details of the input and of the output.
_INPUT_PARTS: Mapping[str, str] = {
    "cached_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "cache_creation_tokens": "cache_write",  # proxies of Anthropic's models
    "audio_tokens": "audio_input",
    "image_tokens": "image_input",
    "video_tokens": "video_input",
}
_OUTPUT_PARTS: Mapping[str, str] = {
    "reasoning_tokens": "reasoning_output",
    "audio_tokens": "audio_output",
    "image_tokens": "image_output",
    "rejected_prediction_tokens": "rejected_prediction",
}
_WRITE_PARTS: Mapping[str, str] = {
    "ttl_30m": "cache_write_30m",
    "ttl_30m_tokens": "cache_write_30m",  # so named in OpenAI's SDK
    "ttl_1h": "cache_write_1h",
    "ttl_12h": "cache_write_12h",
    "ttl_12h_tokens": "cache_write_12h",
}
_CACHED_PARTS: Mapping[str, str] = {"audio_tokens": "cached_audio_input", "image_tokens": "cached_image_input"}
# How some say "cached" at the top of the usage object. Reports that differ are read at the smaller, which is dearer.
_CACHED_NAMES = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
# What is counted beside the tokens, at the top of the usage object or in one of its parts.
_SEARCHES = ("server_tool_use_details", "server_tool_use")
_AUDIO_SECONDS = "prompt_audio_seconds"
# Parts of parts of the input.
_DETAILED = frozenset({"cache_write_tokens_details", "cached_tokens_details"})
# What is more than the two sides, their total and their details: a reply without any of it is read in fewer steps.
_SPECIAL = frozenset({
    *_CACHED_NAMES, *_SEARCHES, _AUDIO_SECONDS, "cache_creation_input_tokens", "cache_write_tokens_details", "cost",
    "cost_in_usd_ticks",
})  # fmt: skip
# OpenRouter's cost_details: the whole, or its sides as chat and Responses call them.
_UPSTREAM_COSTS = (
    ("upstream_inference_cost",),
    ("upstream_inference_prompt_cost", "upstream_inference_completions_cost"),
    ("upstream_inference_input_cost", "upstream_inference_output_cost"),
)


class Form(NamedTuple):
    """How an API names the two sides of its usage and what it says of each."""

    input: str
    output: str
    input_details: str
    output_details: str


CHAT = Form("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
RESPONSES = Form("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")


class Reading(Struct, frozen=True, gc=False):
    """What one usage object says. `odd`: something in it could not be believed."""

    usage: Usage | None
    reported_nano_usd: int | None
    odd: bool = False


_NOTHING = Reading(None, None)


def read_usage(
    raw: object, form: Form = CHAT, *, output_expected: bool = True, fees: Mapping[str, int] | None = None
) -> Reading:
    """Read a decoded usage object.

    output_expected: False for embeddings, whose usage has no completion side.
    fees: pieces by leaf that the reply counts outside its usage object (searches).

    >>> details = {"cached_tokens": 8}
    >>> read_usage({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": details}).usage.leaves
    mappingproxy({'input': 2, 'cached_input': 8, 'output': 4})
    """
    if not isinstance(raw, dict) or not raw:
        return _NOTHING if raw is None or raw == {} else Reading(None, None, odd=True)
    counts = Counts()
    special = not _SPECIAL.isdisjoint(raw)
    nano_usd, cost_odd = reported_cost(raw) if special else (None, False)
    sides = _sides(raw, form, counts, output_expected)
    if sides is None:
        return Reading(None, nano_usd, counts.odd or cost_odd)
    input_tokens, output_tokens, unsaid = sides
    parts = _parts(details := raw.get(form.input_details), _INPUT_PARTS, counts)
    if special:
        _take_named(parts, raw, details, counts)
    if special or (isinstance(details, dict) and not _DETAILED.isdisjoint(details)):
        _take_detailed(parts, raw, as_dict(details), counts)
    outputs = _parts(raw.get(form.output_details), _OUTPUT_PARTS, counts)
    if type(raw.get("total_tokens")) is not int:
        input_tokens = _beside(input_tokens, parts, counts)
        output_tokens = _beside(output_tokens, outputs, counts)
    parts.update(outputs)
    if unsaid and "reasoning_output" not in parts:
        parts["reasoning_output"] = unsaid
    if fees:
        parts.update(fees)
    if special:
        parts.update(_fees(raw, parts, counts))
    odd = counts.odd or cost_odd
    usage = Usage.of(input_tokens, output_tokens, parts or None, contradictory=odd)
    return Reading(usage, nano_usd, odd or usage.contradictory)


def _sides(raw: Mapping[str, Any], form: Form, counts: Counts, output_expected: bool) -> tuple[int, int, int] | None:
    """(input, output, output that only the total shows); None when a side of the bill cannot be known."""
    prompt, completion, total = raw.get(form.input), raw.get(form.output), raw.get("total_tokens")
    if (
        type(prompt) is int
        and type(completion) is int
        and type(total) is int
        and prompt >= 0 <= completion
        and prompt + completion == total <= TOKENS_MAX
    ):
        return prompt, completion, 0  # as nearly all of them are
    prompt, completion, total = counts.of(prompt), counts.of(completion), counts.of(total)
    if prompt is None:
        if total is None or (completion is None and output_expected):
            return None
        counts.odd = True  # some leave thinking out of the completion: what is left of the total may not all be input
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


def _beside(side: int, parts: Mapping[str, int], counts: Counts) -> int:
    """A side that no total confirms: where its parts are more than it, they may stand beside it and not inside."""
    claimed = sum(parts.values())
    if claimed <= side:
        return side
    counts.odd = True
    return side + claimed


def _fees(raw: Mapping[str, Any], parts: Mapping[str, int], counts: Counts) -> dict[str, int]:
    """What is billed by the piece or the second."""
    fees = {}
    for name in _SEARCHES:
        if name in raw and (searches := counts.of(as_dict(raw[name]).get("web_search_requests"))):
            fees["web_searches"] = max(searches, parts.get("web_searches", 0))
    if raw.get(_AUDIO_SECONDS) and (seconds := counts.begun(raw[_AUDIO_SECONDS])):
        fees["audio_seconds"] = seconds
    return fees


def _take_named(parts: dict[str, int], raw: Mapping[str, Any], details: object, counts: Counts) -> None:
    """Parts of the input that stand at the top of the usage object, and not in its details."""
    cached = [count for name in _CACHED_NAMES if name in raw and (count := counts.of(raw[name])) is not None]
    if cached:
        if isinstance(details, dict) and (inner := counts.of(details.get("cached_tokens"))) is not None:
            cached.append(inner)
        counts.odd |= min(cached) != max(cached)
        parts["cached_input"] = min(cached)
    if written := raw.get("cache_creation_input_tokens"):
        parts["cache_write"] = max(counts.of(written) or 0, parts.get("cache_write", 0))


def _take_detailed(parts: dict[str, int], raw: Mapping[str, Any], details: Mapping[str, Any], counts: Counts) -> None:
    """Parts of parts of the input: how long what was written is kept, and of which kind what was cached is."""
    if lifetimes := details.get("cache_write_tokens_details") or raw.get("cache_write_tokens_details"):
        by_lifetime = _parts(lifetimes, _WRITE_PARTS, counts)
        parts["cache_write"] = max(0, parts.get("cache_write", 0) - sum(by_lifetime.values()))
        parts.update(by_lifetime)
    if "cached_input" in parts and (kinds := details.get("cached_tokens_details")):
        _take_cached(parts, _parts(kinds, _CACHED_PARTS, counts), counts)


def _take_cached(parts: dict[str, int], by_kind: Mapping[str, int], counts: Counts) -> None:
    """Cached tokens that are of a kind: the provider counts them as cached and again as that kind."""
    for leaf, count in by_kind.items():
        wholes = [parts.get(whole, 0) for whole in ("cached_input", leaf.removeprefix("cached_"))]
        if count > min(wholes):
            counts.odd = True  # not inside what they should be: the dearer leaves keep their claim
            continue
        parts["cached_input"], parts[leaf.removeprefix("cached_")] = (whole - count for whole in wholes)
        parts[leaf] = count


def _parts(details: object, leaves: Mapping[str, str], counts: Counts) -> dict[str, int]:
    parts: dict[str, int] = {}
    if not isinstance(details, dict):
        counts.odd |= details is not None
        return parts
    for name, value in details.items():
        # Most counts of most replies are 0, and all others are counts.
        if value and (leaf := leaves.get(name)):
            count = value if type(value) is int and 0 < value <= TOKENS_MAX else counts.of(value)
            if count and count > parts.get(leaf, 0):  # one count under two names
                parts[leaf] = count
    return parts


def reported_cost(raw: Mapping[str, Any]) -> tuple[int | None, bool]:
    """(the cost in nano-USD that a usage object says was charged, whether one was given that cannot be believed)."""
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
        upstream = _upstream(as_dict(raw.get("cost_details")))
        if not upstream:
            return None, usd is None
        for amount in upstream:
            share = _usd(amount)
            usd = None if usd is None or share is None else EXACT.add(usd, share)
    return (None, True) if usd is None else (nano_of(usd, round_up=True), False)


def _upstream(details: Mapping[str, Any]) -> list[object]:
    """What the maker charged, as one amount or as those of the two sides; empty where that is not said."""
    for names in _UPSTREAM_COSTS:
        amounts = [details.get(name) for name in names]
        if all(amount is not None for amount in amounts):
            return amounts
    return []


def _usd(value: object, exponent: int = 0) -> Decimal | None:
    """An amount in units of 10^exponent dollars, as dollars; None for what no reply can cost."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    amount = Decimal(value)
    if not amount.is_finite() or not 0 <= amount <= Decimal(COST_USD_MAX).scaleb(-exponent, EXACT):
        return None
    return amount.scaleb(exponent, EXACT)
