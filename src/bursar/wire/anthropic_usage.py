"""The usage object of Anthropic's Messages, whoever serves that form.

Decides which leaf each count belongs to, what the sampling iterations add, and what a report that does not add up may
mean at its dearest. Input here leaves cached tokens out, so an unreadable count is not inside a total that bounds it:
it makes the usage None, which leaves the attempt at its bound. Never raises.

The bill is the sum over `iterations` where there are any: the top level leaves out what compacting cost and what an
advisor, which is another model, was paid. The top level is checked against them, and the dearer one is believed.

Source: Anthropic's documentation of prompt caching, compaction, the advisor tool and fallbacks, and the types of its
SDK, 2026; recorded replies; OpenRouter's schema of the same form (`cost`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from bursar.rules.tiers import STANDARD, plain
from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.wire.counts import Counts
from bursar.wire.lenient import as_dict, as_text
from bursar.wire.openai_usage import reported_cost

__all__ = ["MessageReading", "latest_usage", "read_message_usage", "tier_of"]

# Iterations of the reply itself, which the top level counts; a fallback's are of the model that stepped in.
_SAMPLED = frozenset({"message", "fallback_message"})
_NOTHING_KEPT = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
# Streams count these up from event to event.
_GROWING = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class MessageReading(Struct, frozen=True, gc=False):
    """What one usage object says.

    usage: of the model that replied. apart: what other models used beside it (an advisor, a model that declined), by
    name, at prices of their own. tier: words of `Metered.service_tier`. served_model: the fallback that replied, or "".
    """

    usage: Usage | None = None
    reported_nano_usd: int | None = None
    tier: str = ""
    served_model: str = ""
    apart: tuple[tuple[str, Usage], ...] = ()


class _Tokens(NamedTuple):
    """Disjoint counts, as this form gives them; `written` is kept for 5 minutes, `written_1h` for an hour."""

    fresh: int = 0
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    output: int = 0

    def plus(self, other: _Tokens) -> _Tokens:
        return _Tokens._make(map(int.__add__, self, other))

    def dearest(self, other: _Tokens) -> _Tokens:
        return _Tokens._make(map(max, self, other))

    def agrees(self, other: _Tokens) -> bool:
        """Whether the counts are the same, however long what was written is kept."""
        return self._replace(written=self.written + self.written_1h, written_1h=0) == other._replace(
            written=other.written + other.written_1h, written_1h=0
        )

    @property
    def believable(self) -> bool:
        """Whether the sides are counts at all, which each of their parts is."""
        return sum(self) - self.output <= TOKENS_MAX >= self.output

    def usage(self, more: Mapping[str, int], *, odd: bool) -> Usage:
        fresh, cached, written, written_1h, output = self
        if not (cached or written or written_1h or more):
            return Usage.of(fresh, output, contradictory=odd)
        parts = {"cached_input": cached, "cache_write": written, "cache_write_1h": written_1h, **more}
        return Usage.of(fresh + cached + written + written_1h, output, parts, contradictory=odd)


class _Bill(NamedTuple):
    """The iterations added up: of the model that replied, of others by name, and whether they fit the top level."""

    own: _Tokens
    apart: Mapping[str, _Tokens]
    served_model: str
    fits: bool


def read_message_usage(raw: object, *, long_writes: bool | None = None, odd: bool = False) -> MessageReading:
    """Read a decoded usage object.

    long_writes: whether the request asked for anything to be cached for an hour; None where that is not known. It
    decides what a write is that the report does not explain. odd: something was doubtful before.

    >>> raw = {"input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 5}
    >>> read_message_usage(raw).usage.leaves
    mappingproxy({'input': 3, 'cached_input': 90, 'cache_write': 7, 'output': 5})
    """
    if not isinstance(raw, dict):
        return MessageReading()
    counts = Counts()
    nano_usd, cost_odd = reported_cost(raw) if "cost" in raw else (None, False)
    tier = tier_of(raw.get("service_tier"), raw.get("speed"), raw.get("inference_geo"))
    top = _tokens(raw, counts, long_writes)
    if top is None or not top.believable:
        return MessageReading(None, nano_usd, tier)
    more = {}
    if details := raw.get("output_tokens_details"):
        more["reasoning_output"] = counts.of(as_dict(details).get("thinking_tokens")) or 0
    if tools := raw.get("server_tool_use"):
        more["web_searches"] = counts.of(as_dict(tools).get("web_search_requests")) or 0
    odd |= cost_odd
    if not (listed := raw.get("iterations")):
        return MessageReading(top.usage(more, odd=odd or counts.odd), nano_usd, tier)
    doubts = Counts()
    bill = _billed(top, listed, doubts, long_writes)
    if bill is None:
        return MessageReading(None, nano_usd, tier)
    odd |= doubts.odd or not bill.fits
    apart = tuple((model, tokens.usage({}, odd=doubts.odd)) for model, tokens in bill.apart.items())
    return MessageReading(bill.own.usage(more, odd=odd), nano_usd, tier, bill.served_model, apart)


def latest_usage(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A stream's usage so far with what a later event says of it, and whether a count went down, which none should.

    The later value holds, since counts are cumulative and are corrected; never a lower one.
    """
    merged = {**earlier, **{name: value for name, value in later.items() if value is not None}}
    shrank = False
    for name in _GROWING:
        before, now = earlier.get(name), merged.get(name)
        if type(before) is int and type(now) is int and now < before:
            merged[name] = before
            shrank = True
    return merged, shrank


def tier_of(service_tier: object, speed: object, geography: object) -> str:
    """The words that change the price, as `Metered.service_tier` joins them.

    >>> tier_of("batch", "standard", "us"), tier_of("standard", "fast", None)
    ('batch+us', 'fast')
    """
    words = [word for word in (service_tier, speed, geography) if isinstance(word, str) and word not in STANDARD]
    return plain("+".join(words)) if words else ""


def _tokens(fields: Mapping[str, Any], counts: Counts, long_writes: bool | None) -> _Tokens | None:
    """The counts of a report or of one iteration; None where one of them cannot be known."""
    fresh, output = counts.of(fields.get("input_tokens")), counts.of(fields.get("output_tokens"))
    read, written = fields.get("cache_read_input_tokens"), fields.get("cache_creation_input_tokens")
    kept = fields.get("cache_creation")
    cached = 0 if read is None else counts.of(read)
    total = None if written is None else counts.of(written)
    if fresh is None or output is None or cached is None or (total is None and written is not None):
        return None
    if not total and (not kept or kept == _NOTHING_KEPT):
        return _Tokens(fresh, cached, 0, 0, output)
    return _Tokens(fresh, cached, *_written(total, kept, counts, long_writes), output)


def _written(total: int | None, kept: object, counts: Counts, long_writes: bool | None) -> tuple[int, int]:
    """(kept for 5 minutes, kept for an hour) of what was written to the cache."""
    counts.odd |= kept is not None and not isinstance(kept, dict)
    lifetimes = as_dict(kept)
    brief = counts.of(lifetimes.get("ephemeral_5m_input_tokens")) or 0
    long = counts.of(lifetimes.get("ephemeral_1h_input_tokens")) or 0
    if total is None:
        return brief, long
    # Parts above their total are believed: they are dearer.
    counts.odd |= brief + long > total
    unsaid = max(0, total - brief - long)
    # A report without lifetimes comes from a server that has only the short one. A stream gives them in its first
    # event alone, and counts what its tools made it write later in the total: then the request says what was asked for.
    if not unsaid or long_writes is False or (long_writes is None and not lifetimes):
        return brief + unsaid, long
    counts.odd = True
    return brief, long + unsaid


def _billed(top: _Tokens, listed: object, counts: Counts, long_writes: bool | None) -> _Bill | None:
    """Add up the iterations, and compare with the top level; None where one that is billed cannot be read."""
    if not isinstance(listed, list):
        counts.odd = True
        return _Bill(top, {}, "", fits=False)
    sampled: list[tuple[str, _Tokens]] = []
    apart: dict[str, _Tokens] = {}
    beside, served = _Tokens(), ""
    for item in listed:
        fields = as_dict(item)
        kind, model = as_text(fields.get("type")), as_text(fields.get("model"))
        tokens = _tokens(fields, counts, long_writes)
        if tokens is None:
            return None
        if kind in _SAMPLED:
            sampled.append((model, tokens))
            served = model if kind == "fallback_message" else served
        elif model and kind != "compaction":
            apart[model] = apart.get(model, _Tokens()).plus(tokens)
        else:
            beside = beside.plus(tokens)
    own = _summed([tokens for model, tokens in sampled if model in ("", served) or not served])
    counted = _summed([tokens for _, tokens in sampled])
    everything = counted.plus(beside).plus(_summed(list(apart.values())))
    fits = not sampled or any(top.agrees(sums) for sums in (counted, own, everything))
    if not sampled or not fits:
        own = own.dearest(top)
    for model, tokens in sampled:
        if served and model not in ("", served):
            apart[model] = apart.get(model, _Tokens()).plus(tokens)
    own = own.plus(beside)
    believable = own.believable and all(tokens.believable for tokens in apart.values())
    return _Bill(own, apart, served, fits) if believable else None


def _summed(listed: list[_Tokens]) -> _Tokens:
    total = _Tokens()
    for tokens in listed:
        total = total.plus(tokens)
    return total
