"""The building blocks for programs that make their calls themselves: thin faces over the rules that the client uses.

CostTracker prices and counts spend, TokenCounter counts tokens offline, TokenCostEstimator joins the two, and
PerformanceMonitor keeps statistics. They count and warn, and answer whether a call would fit. They hold no money: two
callers who ask at the same time can both be told that there is room, which only `bursar.Client` prevents.
CircuitBreaker leaves alone what fails, and RateLimiter keeps limits before a provider has to refuse.
"""

from bursar.blocks.circuit_breaker import CircuitBreaker
from bursar.blocks.cost_tracker import CostTracker
from bursar.blocks.performance_monitor import PerformanceMonitor
from bursar.blocks.rate_limiter import RateLimiter, RateLimitResult
from bursar.blocks.token_counter import TokenCostEstimator, TokenCounter

__all__ = [
    "CircuitBreaker",
    "CostTracker",
    "PerformanceMonitor",
    "RateLimitResult",
    "RateLimiter",
    "TokenCostEstimator",
    "TokenCounter",
]
