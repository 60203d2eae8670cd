"""OpenRouter's activity, as its website exports it (CSV, a line a generation) and as GET activity sums it up by day.

Source: the header of an export of September 2026, the API reference of activity. Made from the record alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from bursar.sim.forms import Json
from bursar.sim.openrouter import upstream_of
from bursar.sim.prices import decimal_usd, usd
from bursar.sim.record import Entry
from bursar.sim.shelf import ROUTING_VARIANTS
from bursar.sim.wallclock import iso

COLUMNS = (
    "generation_id",
    "created_at",
    "cost_total",
    "cost_web_search",
    "cost_cache",
    "cost_file_processing",
    "byok_usage_inference",
    "tokens_prompt",
    "tokens_completion",
    "tokens_reasoning",
    "tokens_cached",
    "model_permaslug",
    "provider_name",
    "variant",
    "cancelled",
    "streamed",
    "user",
    "finish_reason_raw",
    "finish_reason_normalized",
    "generation_time_ms",
    "time_to_first_token_ms",
    "api_key_disabled",
    "api_key_name",
    "app_name",
)
ServedName = Callable[[Entry], str]


def generations(entries: Iterable[Entry]) -> list[Entry]:
    """What OpenRouter generated anything for, oldest first."""
    return [entry for entry in entries if entry.provider == "openrouter" and entry.usage.get("prompt_tokens")]


def export_lines(entries: Iterable[Entry], served_name: ServedName) -> list[tuple[str, ...]]:
    """The lines of the export, in the order of COLUMNS."""
    return [export_line(entry, served_name(entry)) for entry in generations(entries)]


def export_line(entry: Entry, served_as: str) -> tuple[str, ...]:
    usage = entry.usage
    finish_reason = "" if entry.aborted else "stop"
    return (
        entry.id,
        iso(entry.at_ms).replace("T", " ").removesuffix("Z"),
        written(entry.billed_nano_usd),
        written(entry.lines["web searches"]) if entry.lines.get("web searches") else "",
        "",
        "",
        written(entry.upstream_nano_usd or 0),
        str(usage["prompt_tokens"]),
        str(usage["completion_tokens"]),
        str(usage["reasoning_tokens"]),
        str(usage["cached_tokens"]),
        served_as.partition(":")[0],
        upstream_of(entry.model),
        variant(entry),
        str(entry.aborted).lower(),
        str(entry.stream).lower(),
        str(entry.preferences.get("user") or ""),
        finish_reason,
        finish_reason,
        str(entry.generation_ms),
        str(entry.generation_ms if not entry.stream else 0),
        "false",
        "sim",
        entry.headers.get("x-openrouter-title") or entry.headers.get("x-title", ""),
    )


def activity_rows(entries: Iterable[Entry], served_name: ServedName) -> list[Json]:
    """What was used by day, model and provider, newest day first."""
    groups: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in generations(entries):
        groups[iso(entry.at_ms)[:10], entry.model].append(entry)
    return [
        {
            "date": day,
            "model": model,
            "model_permaslug": served_name(group[0]),
            "endpoint_id": f"sim-{model}",
            "provider_name": upstream_of(model),
            "usage": usd(sum(entry.billed_nano_usd for entry in group)),
            "byok_usage_inference": usd(sum(entry.upstream_nano_usd or 0 for entry in group)),
            "requests": len(group),
            "byok_requests": sum(entry.upstream_nano_usd is not None for entry in group),
            "prompt_tokens": sum(entry.usage["prompt_tokens"] for entry in group),
            "completion_tokens": sum(entry.usage["completion_tokens"] for entry in group),
            "reasoning_tokens": sum(entry.usage["reasoning_tokens"] for entry in group),
        }
        for (day, model), group in sorted(groups.items(), reverse=True)
    ]


def variant(entry: Entry) -> str:
    """The variant of a generation: that of its model, else the way it was asked for, else standard."""
    for name in (entry.model, entry.model_asked):
        _, colon, found = name.partition(":")
        if colon and (name == entry.model or f":{found}" in ROUTING_VARIANTS):
            return found
    return "standard"


def written(nano_usd: int) -> str:
    """USD as the export writes it.

    >>> written(27_750)
    '0.00002775'
    """
    return decimal_usd(nano_usd * 1000)
