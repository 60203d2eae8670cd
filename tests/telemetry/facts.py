"""Facts of calls, as the books would hold them."""

from __future__ import annotations

from typing import Any

from bursar.call.books import Fact
from bursar.rules.usage import Usage


def fact_of(**changes: Any) -> Fact:
    """A chat that went well: 100 tokens in, 40 of them cached, 20 out, for $0.000042."""
    fields: dict[str, Any] = {
        "attempt_id": "call.0",
        "call_id": "call",
        "provider": "openai",
        "model": "gpt-4o",
        "scopes": {"provider": "openai", "key": "openai:deadbeef", "user": "ann"},
        "ending": "ok",
        "bound_nano_usd": 90_000,
        "charged_nano_usd": 42_000,
        "cost_nano_usd": 42_000,
        "cost_source": "computed",
        "certain": True,
        "reserved_ms": 0,
        "ended_ms": 1_500,
        "served_model": "gpt-4o-2024-08-06",
        "usage": Usage.of(100, 20, {"cached_input": 40}),
        "status": 200,
        "duration_ms": 1_500,
        "first_token_ms": 300,
    }
    return Fact(**(fields | changes))
