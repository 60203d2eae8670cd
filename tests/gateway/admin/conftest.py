"""Keys of every role at one gateway whose file defines a few budgets and limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.client.simulator import Sim
from tests.gateway.running import ADMIN_KEY, Running, serving

CONFIG = {
    "budgets": {
        "company": {"usd": 1000, "per": "month", "alert_at": ["80%"]},
        "teams": {"usd": 5, "per": "day", "each": "team"},
        "users": {"usd": 50, "per": "day", "each": "user"},
    },
    "limits": {"flight": {"in_flight": 50, "each": "key"}},
    "routes": {"fast": ["groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"]},
}


@pytest.fixture(scope="module")
def gateway(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that the tests of a module share; each makes keys of its own."""
    with serving(tmp_path_factory.mktemp("gateway"), shared_sim, CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def roles(gateway: Running) -> dict[str | None, str | None]:
    """A key of each role; None for no key at all."""
    keys: dict[str | None, str | None] = {None: None, "admin": ADMIN_KEY}
    for role in ("call", "view"):
        made = gateway.ask("POST", "/api/keys", {"name": f"of-role-{role}", "role": role})
        keys[role] = made.json["key"]
    return keys


@pytest.fixture
def named() -> Callable[[str], str]:
    """A name that no other test has: names of keys are never used again."""
    return lambda what: f"{what}-{next(_COUNTER)}"


_COUNTER = itertools.count()
