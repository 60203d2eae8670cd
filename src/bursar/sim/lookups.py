"""OpenRouter's own record of what it served: GET generation and key. What a client settles by after it left a stream.

Source: OpenRouter's API reference and SDK schema of 2026. Answers only from the simulator's record; never bills.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.sim.failures import Failure, no_key, wrong_key
from bursar.sim.forms import Json
from bursar.sim.openrouter import UPSTREAMS
from bursar.sim.prices import usd
from bursar.sim.record import Entry, Record


def key_failure(headers: Mapping[str, str], key_prefixes: tuple[str, ...]) -> Failure | None:
    """What is wrong with the API key of these headers, if anything is."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        return no_key()
    return None if key.startswith(key_prefixes) else wrong_key(key)


def generation_page(record: Record, reply_id: str) -> Json | None:
    """The body of GET generation?id=, or None where there is none of that id (or not yet)."""
    entry = next((entry for entry in record.find(reply_id) if entry.id == reply_id and entry.status == 200), None)
    return None if entry is None else {"data": _generation(entry)}


def _generation(entry: Entry) -> Json:
    usage = entry.usage
    cost = usd(entry.billed_nano_usd)
    return {
        "id": entry.id,
        "model": entry.model,
        "provider_name": UPSTREAMS.get(entry.model.partition("/")[0], "Sim"),
        "total_cost": cost,
        "usage": cost,
        "is_byok": False,
        "upstream_inference_cost": None,
        "streamed": entry.stream,
        "cancelled": entry.aborted,
        "finish_reason": None if entry.aborted else "stop",
        "created_at": entry.at_ms // 1000,
        "tokens_prompt": usage["prompt_tokens"],
        "tokens_completion": usage["completion_tokens"],
        "native_tokens_prompt": usage["prompt_tokens"],
        "native_tokens_completion": usage["completion_tokens"],
        "native_tokens_reasoning": usage["reasoning_tokens"],
        "native_tokens_cached": usage["cached_tokens"],
    }


def key_page(record: Record) -> Json:
    """The body of GET key: a key without a limit."""
    used = usd(record.billed_nano_usd("openrouter"))
    return {
        "data": {
            "label": "sk-sim-...",
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "usage": used,
            "usage_daily": used,
            "is_free_tier": False,
            "rate_limit": {"requests": -1, "interval": "10s"},
        }
    }
