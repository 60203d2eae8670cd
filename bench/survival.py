"""What a call that goes well pays for what would save another: retries, breaker, route and fallbacks, in CPU time.

    python -m bench.survival [--calls 2000] [--rounds 20] [--in-flight 64] [--json]

`plain` is one model with neither retries nor breaker; `defaults` has both as they come; `route` is a name for three
candidates of three providers, with two fallbacks behind them. Everybody has the same budgets, in a SQLite file at
synchronous=FULL. They take turns, round by round and each time in another order. `plain_again` is as the first and
shows what the machine adds: a ratio within the noise is no difference. ratio: the median over rounds of what a call
cost beside `plain` in the same round; noise: the standard error of that median, from the spread of its rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import bursar
from bench.call import MESSAGES, MODEL, Once, cpu_us
from bench.report import arguments, show
from bench.upstream import upstream

PROVIDERS = ("openai", "second", "third")
ROUTE = [f"{name}/{MODEL}" for name in PROVIDERS]
FALLBACKS = ["openai/gpt-4o", "second/gpt-4o"]
OFF = {"max_retries": 0, "circuit_breaker_threshold": 0}
# The median of normal values varies by so much more than their mean; and of the spread, half lies within this.
MEDIAN_ERROR = 1.2533
MAD_TO_SIGMA = 1.4826


def configuration(url: str, **provider: Any) -> dict[str, Any]:
    """Three providers at one address, each as `provider` says, and a route over them."""
    each = {"base_url": url, "api_key": "sk-bench", "max_keepalive": 100, **provider}
    prices = {f"{name}/{model}": {"input": "0.15", "output": "0.60"}
              for name in PROVIDERS[1:] for model in (MODEL, "gpt-4o")}  # fmt: skip
    return {
        "llm": {"providers": dict.fromkeys(PROVIDERS, each)},
        "prices": prices,
        "routes": {"surviving": ROUTE},
        "budgets": {
            "company": {"usd": 1_000_000, "per": "month"},
            "users": {"usd": 10_000, "per": "day", "each": "user"},
        },
    }


async def call(llm: bursar.AsyncClient, **asked: Any) -> int:
    """One call, which must go well at the first candidate."""
    reply = await llm.chat(MESSAGES, max_tokens=200, user="bench", **asked)
    assert reply.receipt.provider == "openai"
    assert not reply.receipt.earlier
    return 1 if reply.text else 0


async def contend(url: str, folder: Path, *, calls: int, rounds: int, in_flight: int) -> dict[str, list[float]]:
    """CPU microseconds of a call, by contender and round."""
    single = {"model": f"openai/{MODEL}"}
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "plain": (OFF, single),
        "plain_again": (OFF, single),
        "defaults": ({}, single),
        "route": ({}, {"model": "surviving", "fallbacks": FALLBACKS}),
    }
    async with AsyncExitStack() as stack:
        racers: dict[str, Once] = {}
        for name, (provider, asked) in kinds.items():
            llm = bursar.AsyncClient(configuration(url, **provider), books=folder / f"{name}.db")
            racers[name] = partial(call, await stack.enter_async_context(llm), **asked)
        figures: dict[str, list[float]] = {name: [] for name in racers}
        order = list(racers)
        for turn in range(rounds + 1):
            for name in order:
                us = await cpu_us(racers[name], calls, in_flight)
                if turn:  # the first round warms up
                    figures[name].append(us)
            order = [*order[1:], order[0]]
    return figures


def beside(ours: Sequence[float], plain: Sequence[float]) -> dict[str, float]:
    """The figures of one contender beside those of `plain`, round by round."""
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    ratio = statistics.median(ratios)
    spread = MAD_TO_SIGMA * statistics.median([abs(one - ratio) for one in ratios])
    return {
        "us": round(statistics.median(ours), 1),
        "ratio": round(ratio, 3),
        "noise": round(MEDIAN_ERROR * spread / len(ratios) ** 0.5, 3),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--calls", type=int, default=2_000, help="of each contender in each round")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--in-flight", type=int, default=64)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, upstream() as url:
        run = contend(url, Path(folder), calls=asked.calls, rounds=asked.rounds, in_flight=asked.in_flight)
        figures = asyncio.run(run)
    rows: dict[str, Any] = {"plain": {"us": round(statistics.median(figures["plain"]), 1)}}
    rows |= {name: beside(us, figures["plain"]) for name, us in figures.items() if name != "plain"}
    show("survival", rows, as_json=asked.json)


if __name__ == "__main__":
    main()
