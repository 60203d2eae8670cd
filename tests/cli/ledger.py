"""Books with calls in them, made without a provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bursar.call.books import Fact, Reserve, Settle
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.allowances import Allowance, Demand
from bursar.rules.usage import Usage

HOUR_MS = 3_600_000
# 2026-11-20 12:00 UTC
NOON_MS = 1_795_176_000_000


def call(
    store: SqliteStore,
    attempt_id: str,
    *,
    provider: str = "openai",
    model: str = "gpt-4o-mini",
    tags: Mapping[str, str] | None = None,
    cost: int | None = 1_000_000,
    certain: bool = True,
    bound: int | None = 2_000_000,
    at_ms: int = NOON_MS,
    settle: bool = True,
    **fields: Any,
) -> None:
    """One call in the ledger. bound: what is held, None for a price that is not known."""
    scopes = {"provider": provider, "model": f"{provider}/{model}", "key": f"{provider}:abcd", **(tags or {})}
    demand = Demand(None if bound is None else bound * 1000, 0, 10, 10)
    store.transact([Reserve(attempt_id, attempt_id, scopes, demand)], lambda: at_ms)
    if not settle:
        return
    fact = Fact(
        attempt_id, attempt_id, provider, model, scopes,
        ending=fields.pop("ending", "ok"),
        bound_nano_usd=bound or 0,
        charged_nano_usd=cost if cost is not None else bound or 0,
        cost_nano_usd=cost,
        cost_source=fields.pop("cost_source", "computed" if cost is not None else "unknown"),
        certain=certain,
        reserved_ms=at_ms,
        ended_ms=fields.pop("ended_ms", at_ms + 500),
        usage=fields.pop("usage", Usage.of(100, 20)),
        **fields,
    )  # fmt: skip
    store.transact([Settle(fact)], lambda: at_ms + 500)


def books(path: Path, *allowances: Allowance, source: str = "") -> SqliteStore:
    """New books, with allowances of a program's."""
    store = SqliteStore(path, source_name=source)
    store.define(allowances, source, lambda: NOON_MS)
    return store
