"""What the rules cost: one decision over four allowances, and a cost from usage once its price card is compiled.

    python -m bench.rules [--json]

Microseconds of CPU for one call; the best of several repeats counts, since other work on the machine only ever adds.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from bench.report import arguments, show
from bursar.rules.allowances import Allowance, Demand, Grant, Level, decide
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage

LEVELS = [
    Level(Allowance("company", "nano_usd", 10**13, "calendar", "month"), end_ms=10**13, spent=10**9, held=10**6),
    Level(Allowance("users", "nano_usd", 10**12, "calendar", "day", each="user"), "ann", 0, 10**13),
    Level(Allowance("requests", "requests", 600, "bucket", "minute"), updated_ms=1_000),
    Level(Allowance("tokens", "tokens", 10**6, "bucket", "minute"), updated_ms=1_000),
]
LIMITED = Demand(1_000_000, 10_000, 100, 100, 1_000, 100)
ELASTIC = Demand(1_000_000, 10_000, 1_024, 16_384, 1_000, 400)
CARD = PriceCard.of({"input": "2.50", "cached_input": "1.25", "output": "10.00"}, version="bench")
USAGE = Usage.of(1_200, 340, {"cached_input": 1_024, "reasoning_output": 64})


def best_us(call: Callable[[], object], *, repeats: int = 15, calls: int = 20_000) -> float:
    return round(min(timeit.repeat(call, number=calls, repeat=repeats)) / calls * 1e6, 3)


def main() -> None:
    asked = arguments(__doc__).parse_args()
    assert isinstance(decide(LEVELS, LIMITED, 2_000), Grant)
    assert isinstance(decide(LEVELS, ELASTIC, 2_000), Grant)
    assert CARD.cost_nano_usd(USAGE) is not None
    figures = {
        "decide_4_allowances_us": best_us(lambda: decide(LEVELS, LIMITED, 2_000)),
        "decide_4_allowances_elastic_us": best_us(lambda: decide(LEVELS, ELASTIC, 2_000)),
        "cost_from_usage_us": best_us(lambda: CARD.cost_nano_usd(USAGE)),
        "usage_taken_apart_us": best_us(lambda: Usage.of(1_200, 340, {"cached_input": 1_024, "reasoning_output": 64})),
    }
    show("rules", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
