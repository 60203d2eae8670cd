"""Bursar pays your LLM bills, and never a cent more than allowed.

    import bursar

    with bursar.Client(budget_usd=5) as llm:
        reply = llm.chat("Name three rivers.", model="openai/gpt-4o-mini", max_tokens=60)
        print(reply.text, reply.cost)

Names are loaded when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bursar.blocks import (
        CircuitBreaker,
        CostTracker,
        PerformanceMonitor,
        RateLimiter,
        RateLimitResult,
        TokenCostEstimator,
        TokenCounter,
    )
    from bursar.call.books import Balance
    from bursar.call.receipt import Receipt
    from bursar.client import AsyncClient, Client
    from bursar.client.replies import Quote, Reply
    from bursar.client.sessions import AsyncSession, Session
    from bursar.client.streams import AsyncStream, Stream
    from bursar.errors import (
        BudgetExceededError,
        BursarError,
        CircuitBreakerError,
        ConfigError,
        InvalidRequestError,
        LimitExceededError,
        ProviderError,
        RefusedError,
        StoreUnavailableError,
        StreamInterruptedError,
    )
    from bursar.rules.money import Cost
    from bursar.rules.usage import Usage

__version__ = "0.1.0"

# Where each name lives. Those that __all__ leaves out (types that are only met as results, an error below the roots)
# are for who knows them: the public names are few.
_HOMES = {
    "bursar.blocks": (
        "CircuitBreaker",
        "CostTracker",
        "PerformanceMonitor",
        "RateLimitResult",
        "RateLimiter",
        "TokenCostEstimator",
        "TokenCounter",
    ),
    "bursar.call.books": ("Balance",),
    "bursar.call.receipt": ("Receipt",),
    "bursar.client": ("AsyncClient", "Client"),
    "bursar.errors": (
        "BudgetExceededError",
        "BursarError",
        "CircuitBreakerError",
        "ConfigError",
        "InvalidRequestError",
        "LimitExceededError",
        "PriceUnknownError",
        "ProviderError",
        "RefusedError",
        "StoreUnavailableError",
        "StreamInterruptedError",
    ),
    "bursar.client.replies": ("Quote", "Reply", "Vectors"),
    "bursar.rules.money": ("Cost",),
    "bursar.rules.usage": ("Usage",),
    "bursar.client.sessions": ("AsyncSession", "Session"),
    "bursar.client.streams": ("AsyncStream", "Stream"),
    "bursar.wire.reply": ("Delta",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "AsyncStream",
    "Balance",
    "BudgetExceededError",
    "BursarError",
    "CircuitBreaker",
    "CircuitBreakerError",
    "Client",
    "ConfigError",
    "Cost",
    "CostTracker",
    "InvalidRequestError",
    "LimitExceededError",
    "PerformanceMonitor",
    "ProviderError",
    "Quote",
    "RateLimitResult",
    "RateLimiter",
    "Receipt",
    "RefusedError",
    "Reply",
    "Session",
    "StoreUnavailableError",
    "Stream",
    "StreamInterruptedError",
    "TokenCostEstimator",
    "TokenCounter",
    "Usage",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'bursar' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
