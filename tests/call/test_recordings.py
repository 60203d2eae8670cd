"""Every recorded reply of a provider, metered and held against readers and prices that share nothing with ours.

The totals are read out of the bodies by a few lines of their own; the reference of a cost is genai-prices' own
calculation of them. What differs stands in a table with its reason, and what stands in the table must differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from bursar.call.captured import NOT_SUPPORTED, read_captured
from bursar.catalog.prices import PriceBook
from bursar.catalog.providers import known_rows

DAY = date(2026, 11, 22)
# DeepSeek's prices have hours; that of a recording is not known.
HOURS = [datetime(2026, 11, 22, hour, 30, tzinfo=UTC) for hour in (2, 8, 12, 20)]
NEAR = Decimal("0.005")

# Replies that say nothing of what they used.
SILENT = {
    "ad528ba14bc8": "an error inside a stream of Groq's",
    "ff7f761fd7d7": "a stream of Ollama's that was not asked for usage",
    "45bb2d3cf866": "a background response that is queued",
    "ae6c3269fea9": "a background response that is queued",
    "dbb04a115c5e": "a background response that is queued",
    "f46f0391d8c0": "a background response that is queued",
}
# Replies whose cost nobody can know: no list has the model.
UNPRICED = {
    "3fc1ff92044c": "the list has qwen-3-coder-480b of Cerebras without any price, which is not a price of 0",
    "f78c4973a51a": "Groq bills compound by the models and tools inside it, and lists no price for it",
    "dad0f86cddfa": "a server of one's own",
}
# Replies that may have cost more than their usage says. (Where the hour decides the price, the dearest is at most it.)
UNCERTAIN = {"44fe0a8d59f3": "a search model of OpenAI's, which does not count its searches"}
# Paths that answer with counts and no bill.
COUNTS_ONLY = ("/messages/count_tokens", "/responses/input_tokens")
CACHED = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")


class Bill(NamedTuple):
    """What a provider says was used, each side whole; beside it, what other models used."""

    input_tokens: int
    output_tokens: int
    cached: int = 0
    written: int = 0
    web_searches: int = 0
    file_searches: int = 0
    cost_usd: Decimal | None = None
    beside: tuple[tuple[str, Bill], ...] = ()


def objects(text: str) -> list[dict[str, Any]]:
    """Every JSON object in a body, whatever stands around it."""
    decoder, at, found = json.JSONDecoder(parse_float=Decimal), 0, []
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def bill_of(body: str) -> tuple[Bill | None, str]:
    """What a body says was used, and the model that it names last."""
    usage: dict[str, Any] = {}
    model, items = "", list[dict[str, Any]]()
    for value in objects(body):
        for part in (value, value.get("message"), value.get("response"), value.get("x_groq")):
            if isinstance(part, dict):
                # Streams of Anthropic's repeat what has grown; all others say it once, or from the start.
                usage |= {name: said for name, said in (part.get("usage") or {}).items() if said is not None}
                model = part.get("model") or model
                items = part.get("output") or items
    return (_bill(usage, items) if usage else None), model


def _bill(usage: Mapping[str, Any], items: list[dict[str, Any]]) -> Bill:
    cost = usage.get("cost")
    if usage.get("is_byok"):
        cost += usage["cost_details"]["upstream_inference_cost"]
    named = usage.get("server_tool_use_details") or usage.get("server_tool_use") or {}
    searched = [item for item in items if item["type"] == "web_search_call"]
    searches = [item for item in searched if item.get("action", {"type": "search"})["type"] == "search"]
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    cached = next((said[name] for said in (usage, details) for name in CACHED if said.get(name)), 0)
    written = details.get("cache_write_tokens") or 0
    if "total_tokens" in usage:
        asked = usage["prompt_tokens"] if "prompt_tokens" in usage else usage["input_tokens"]
        answered = usage["total_tokens"] - asked
    else:
        rounds = [one for one in usage.get("iterations") or [usage] if one is usage or "advisor" not in one["type"]]
        cached, written = _sum(rounds, "cache_read_input_tokens"), _sum(rounds, "cache_creation_input_tokens")
        asked = _sum(rounds, "input_tokens") + cached + written
        answered = _sum(rounds, "output_tokens")
    return Bill(
        asked,
        answered,
        cached,
        written,
        named.get("web_search_requests") or len(searches),
        sum(item["type"] == "file_search_call" for item in items),
        cost,
        tuple((one["model"], _bill(one, [])) for one in usage.get("iterations") or () if "advisor" in one["type"]),
    )


def _sum(rounds: list[dict[str, Any]], name: str) -> int:
    return sum(one.get(name) or 0 for one in rounds)


class Recorded(NamedTuple):
    """A recording, what we read of it, and what it says itself."""

    id: str
    provider: str
    result: dict[str, Any]
    bill: Bill | None
    model: str


def every(folder: Path) -> Iterator[Recorded]:
    """Each reply that was served."""
    book = PriceBook()
    files = sorted(folder.glob("*/*.json"))
    assert len(files) > 300
    for file in files:
        recording = json.loads(file.read_text("utf-8"))
        reply, path = recording["response"], recording["path"].partition("?")[0]
        asked = (recording["request"] or {}).get("model") or ""
        result = read_captured(
            recording["provider"],
            path,
            reply["body"].encode(),
            book=book,
            day=DAY,
            status=reply["status"],
            content_type=reply["content_type"],
            model=asked,
        )
        if path.endswith(COUNTS_ONLY):
            assert result["error"] == NOT_SUPPORTED
            continue
        assert result["error"] != NOT_SUPPORTED, path
        if reply["status"] >= 400:
            assert (result["usage"], result["cost_nano_usd"]) == (None, 0), recording["id"]
            continue
        bill, served = bill_of(reply["body"])
        yield Recorded(recording["id"], recording["provider"], result, bill, served or asked)


def test_every_recording_is_metered_to_its_providers_own_totals(recordings: Path) -> None:
    silent, metered = set(), 0
    for recorded in every(recordings):
        usage, bill = recorded.result["usage"], recorded.bill
        if bill is None:
            assert (usage, recorded.result["cost_nano_usd"]) == (None, None), recorded.id
            silent.add(recorded.id)
            continue
        assert (usage["input_tokens"], usage["output_tokens"]) == bill[:2], recorded.id
        assert usage.get("cached_input", 0) == bill.cached, recorded.id
        assert usage.get("web_searches", 0) == bill.web_searches, recorded.id
        assert usage.get("file_searches", 0) == bill.file_searches, recorded.id
        metered += 1
    assert silent == SILENT.keys()
    assert metered >= 295


def test_every_reported_cost_is_charged_exactly(recordings: Path) -> None:
    charged = 0
    for recorded in every(recordings):
        if recorded.bill is not None and recorded.bill.cost_usd is not None:
            result = recorded.result
            assert 0 <= result["cost_nano_usd"] - recorded.bill.cost_usd * 10**9 < 1, recorded.id
            assert (result["cost_source"], result["certain"]) == ("provider", True), recorded.id
            charged += 1
    assert charged >= 23


def test_every_other_cost_is_that_of_the_price_list(recordings: Path) -> None:
    unpriced, uncertain, off, compared = set(), set(), {}, 0
    for recorded in every(recordings):
        if recorded.bill is None or recorded.bill.cost_usd is not None:
            continue
        listed, nano_usd = reference(recorded), recorded.result["cost_nano_usd"]
        if not listed:
            assert nano_usd is None, recorded.id
            unpriced.add(recorded.id)
            continue
        exact = max(listed)
        if nano_usd is None or not exact - 1 <= nano_usd <= exact * (1 + NEAR):
            off[recorded.id] = f"{nano_usd} and not {exact}"
        if recorded.result["certain"] != (len(set(listed)) == 1):
            uncertain.add(recorded.id)
        compared += 1
    assert off == {}
    assert unpriced == UNPRICED.keys()
    assert uncertain == UNCERTAIN.keys()
    assert compared >= 260


def reference(recorded: Recorded) -> list[Decimal]:
    """What genai-prices itself makes of a bill at each hour, in nano-USD; empty where it has no price."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    assert recorded.bill is not None
    snapshot = DataSnapshot(providers=providers, from_auto_update=False)
    name = known_rows()[recorded.provider].price_provider
    bills = [(recorded.model, recorded.bill), *recorded.bill.beside]
    try:
        listed = [
            sum((snapshot.calc(used(bill), model, name, None, hour).total_price for model, bill in bills), Decimal(0))
            * 10**9
            for hour in HOURS
        ]
        return listed if any(listed) else []  # the library charges nothing for what it has no price of
    except LookupError:
        return []


def used(bill: Bill) -> Any:
    """A bill in the library's words."""
    from genai_prices.types import Usage

    counts = {
        "input_tokens": bill.input_tokens,
        "output_tokens": bill.output_tokens,
        "cache_read_tokens": bill.cached,
        "cache_write_tokens": bill.written,
        "web_searches": bill.web_searches,
        "storage_searches": bill.file_searches,
    }
    return Usage(**{name: count for name, count in counts.items() if count})
