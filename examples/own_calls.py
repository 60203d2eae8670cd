"""The building blocks beside calls that a program makes itself: what they cost, how they went, what is left today.

python examples/own_calls.py
"""

from __future__ import annotations

import random
from typing import Any

from bursar import CostTracker, PerformanceMonitor, TokenCostEstimator, TokenCounter

MODEL = "gpt-4o-mini"


def call(messages: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """Stands for a call with any client at all: the usage of a reply in OpenAI's form."""
    return {"prompt_tokens": 8 * len(messages), "completion_tokens": chance.randint(20, 200)}


def main() -> None:
    """Twenty calls, as far as the day's limit goes."""
    tracker = CostTracker("openai", MODEL, daily_limit_usd="0.001", warn_usd="0.01")
    estimator = TokenCostEstimator(TokenCounter(MODEL), tracker)
    monitor = PerformanceMonitor()
    chance = random.Random(1)
    messages = [{"role": "user", "content": "Name three rivers."}]
    for _ in range(20):
        if not estimator.estimate_request_cost(messages, max_tokens=200)["within_budget"]:
            print(f"enough for today: {tracker.left_usd} USD left of the limit")
            break
        usage = call(messages, chance)
        cost = tracker.record(usage)
        monitor.record_request(chance.uniform(0.2, 2.0), usage["prompt_tokens"] + usage["completion_tokens"], cost)
    figures = monitor.get_statistics()
    print(f"{figures['count']} calls, {figures['total_cost']} USD, p95 {figures['p95']:.2f} s")


main()
