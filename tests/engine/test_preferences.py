"""Preferences of the configuration, where who asks is somebody else than who wrote it: at a gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.config import load
from bursar.engine import Asked, Engine, open_engine
from bursar.wire.dialects import dialect_named

OPENROUTER = {
    "api_key": "k", "provider_preferences": {"data_collection": "deny"}, "limit_route_price": True,
}  # fmt: skip
OWN = {"data_collection": "allow", "max_price": {"prompt": "999"}, "sort": "price"}


def sent(engine: Engine, key: str | None) -> dict[str, Any]:
    """What OpenRouter is told of a call whose body has preferences of its own."""
    model = "openrouter/openai/gpt-4o-mini"
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], "provider": OWN}
    dialect = dialect_named("openai_chat")
    assert dialect is not None
    plan = engine.plan(dialect, json.dumps(body).encode(), Asked(model=model, key=key))
    told: dict[str, Any] = json.loads(plan.dialect.encode(plan.request, plan.target, None))["provider"]
    return told


@pytest.mark.parametrize("key", [None, "somebody"])
def test_a_caller_with_a_key_does_not_undo_them(key: str | None) -> None:
    engine = open_engine(load({"llm": {"providers": {"openrouter": OPENROUTER}}}, books="memory:", environ={}))
    try:
        told = sent(engine, key)
    finally:
        engine.close()
    if key is None:
        assert told == OWN, "a program's own body stands"
    else:
        assert (told["data_collection"], told["sort"]) == ("deny", "price")
        assert float(told["max_price"]["prompt"]) < 1
