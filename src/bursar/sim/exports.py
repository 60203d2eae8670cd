"""The bill as providers export it: OpenAI's costs and usage in daily buckets, OpenRouter's activity, a plain CSV.

Made from the append-only record alone, so that books can be compared with a bill that no book had a part in. Source:
OpenAI's administration reference of 2026 (organization/costs, organization/usage/completions), OpenRouter's export.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from bursar.sim.activity import COLUMNS, ServedName, export_lines, written
from bursar.sim.forms import Json
from bursar.sim.prices import DAY_MS, usd
from bursar.sim.record import Entry
from bursar.sim.wallclock import iso

DAY_SECONDS = DAY_MS // 1000
LEAVES = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "audio_prompt_tokens",
    "image_prompt_tokens",
    "audio_completion_tokens",
    "image_completion_tokens",
    "web_searches",
)
PLAIN_COLUMNS = ("at", "id", "client_request_id", "provider", "kind", "model", "served_as", "tier", "status", *LEAVES)
Summing = Callable[[Sequence[Entry]], list[Json]]


def daily_page(entries: Iterable[Entry], summing: Summing, *, start: int = 0, end: int | None = None) -> Json:
    """A page of OpenAI's buckets: a UTC day each, from the first to the last that has anything; times in seconds.

    `start` and `end` bound the days by their beginning, as the API's start_time and end_time do.
    """
    days: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        days[entry.at_ms // DAY_MS * DAY_SECONDS].append(entry)
    wanted = [day for day in days if start <= day and (end is None or day < end)]
    spread = range(min(wanted), max(wanted) + 1, DAY_SECONDS) if wanted else ()
    buckets = [
        {"object": "bucket", "start_time": day, "end_time": day + DAY_SECONDS, "results": summing(days.get(day, []))}
        for day in spread
    ]
    return {"object": "page", "data": buckets, "has_more": False, "next_page": None}


def cost_results(entries: Sequence[Entry], served_name: ServedName, *, by_line_item: bool) -> list[Json]:
    """One day's costs: in one sum or, by line item, for each model and what of it was used."""
    sums: defaultdict[str | None, int] = defaultdict(int)
    for entry in entries:
        for line, nano_usd in entry.lines.items():
            sums[f"{served_name(entry)}, {line}" if by_line_item else None] += nano_usd
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": usd(nano_usd), "currency": "usd"},
            "line_item": line_item,
            "project_id": None,
            "organization_id": "org-sim",
        }
        for line_item, nano_usd in sorted(sums.items(), key=lambda pair: pair[0] or "")
    ]


def usage_results(entries: Sequence[Entry], served_name: ServedName) -> list[Json]:
    """One day's usage of completions by model, batches and tiers apart. The input includes what was cached."""
    groups: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind != "embeddings" and entry.usage.get("prompt_tokens"):
            groups[served_name(entry), entry.tier or "default"].append(entry)
    return [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": total(group, "prompt_tokens"),
            "output_tokens": total(group, "completion_tokens"),
            "input_cached_tokens": total(group, "cached_tokens"),
            "input_audio_tokens": total(group, "audio_prompt_tokens"),
            "output_audio_tokens": total(group, "audio_completion_tokens"),
            "num_model_requests": len(group),
            "project_id": None,
            "user_id": None,
            "api_key_id": None,
            "model": model,
            "batch": tier == "batch",
            "service_tier": tier,
        }
        for (model, tier), group in sorted(groups.items())
    ]


def total(entries: Iterable[Entry], leaf: str) -> int:
    return sum(entry.usage.get(leaf, 0) for entry in entries)


def activity_csv(entries: Iterable[Entry], served_name: ServedName) -> bytes:
    """OpenRouter's activity export."""
    return csv_page(COLUMNS, export_lines(entries, served_name))


def plain_csv(entries: Iterable[Entry], served_name: ServedName) -> bytes:
    """Every billed request of every provider: what it used, and what it cost in USD."""
    lines = (
        (
            iso(entry.at_ms),
            entry.id,
            entry.client_request_id or "",
            entry.provider,
            entry.kind,
            entry.model,
            served_name(entry),
            entry.tier,
            str(entry.status),
            *(str(entry.usage.get(leaf, 0)) for leaf in LEAVES),
            written(entry.billed_nano_usd),
        )
        for entry in entries
        if entry.usage.get("prompt_tokens")
    )
    return csv_page((*PLAIN_COLUMNS, "usd"), lines)


def csv_page(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return page.getvalue().encode()
