"""The building blocks for programs that make their calls themselves: thin faces over the rules that the client uses.

CostTracker prices and counts spend, TokenCounter counts tokens offline, TokenCostEstimator joins the two, and
PerformanceMonitor keeps statistics. They count and warn, and answer whether a call would fit. They hold no money: two
callers who ask at the same time can both be told that there is room, which only `bursar.Client` prevents.
"""

from bursar.blocks.cost_tracker import CostTracker
from bursar.blocks.performance_monitor import PerformanceMonitor
from bursar.blocks.token_counter import TokenCostEstimator, TokenCounter

__all__ = ["CostTracker", "PerformanceMonitor", "TokenCostEstimator", "TokenCounter"]
