"""Keys of callers, made in the books of a gateway that runs."""

from __future__ import annotations

import itertools
from typing import Any

from bursar.gateway.keys import Keysmith, Wanted
from bursar.gateway.quotas import Budget
from tests.gateway.running import Running

_numbers = itertools.count()


def key_of(gateway: Running, name: str = "", *, usd: float | None = None, per: Any = "total", **wanted: Any) -> str:
    """The text of a new key. usd: its budget. The other arguments are those of `Wanted`."""
    budget = None if usd is None else Budget(round(usd * 10**9), per)
    state = gateway.worker.gateway.state
    smith = Keysmith(state.engine.store, state.doorkeeper.secret, state.engine.clock)
    return smith.create(Wanted(name or f"caller-{next(_numbers)}", budget=budget, **wanted)).text
