"""A whole governed call beside the plain `openai` SDK's, in one run: CPU microseconds of the client process.

    pip install -r requirements/bench.txt
    python -m bench.call [--calls 2000] [--rounds 5] [--json]

Bursar does everything: plan, reserve against three budgets, send, meter, settle, ledger at synchronous=FULL in a SQLite
file. The SDK does what it does by default. Contenders take turns, round by round; the median of each counts, and the
ratio of the medians. The provider is a process of its own that answers canned bytes (`upstream`). A streamed chunk is
measured twice: in streams that arrive at once, and in streams of a chunk every 10 ms, where waking up for each chunk
(event loop, system calls, aiohttp) is most of what is paid.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bursar
from bench.report import arguments, show
from bench.upstream import upstream

MESSAGES = [{"role": "user", "content": "Tell me about rivers. " * 40}]
MODEL = "gpt-4o-mini"
STREAMS = 64

Once = Callable[[], Awaitable[int]]


async def cpu_us(once: Once, times: int, in_flight: int) -> float:
    """CPU microseconds of this process for one unit of what `once` does (a call, or a chunk as it says)."""

    async def worker(count: int) -> int:
        return sum([await once() for _ in range(count)])

    gc.collect()
    begun = time.process_time()
    units = sum(await asyncio.gather(*(worker(times // in_flight) for _ in range(in_flight))))
    return (time.process_time() - begun) / units * 1e6


def configuration(url: str, burst_url: str = "http://127.0.0.1:9/v1") -> dict[str, Any]:
    # As many idle connections as the SDK keeps by default; the seed's 20 would be a different race.
    openai = {"base_url": url, "api_key": "sk-bench", "daily_cost_limit": 100_000, "max_keepalive": 100}
    return {
        "llm": {"providers": {"openai": openai, "burst": {**openai, "base_url": burst_url}}},
        "prices": {f"burst/{MODEL}": {"input": "0.15", "output": "0.60"}},
        "budgets": {
            "company": {"usd": 1_000_000, "per": "month"},
            "users": {"usd": 10_000, "per": "day", "each": "user"},
        },
    }


async def contend(url: str, burst_url: str, folder: Path, calls: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    import openai

    sdk = openai.AsyncOpenAI(base_url=url, api_key="sk-bench", max_retries=0)
    burst_sdk = openai.AsyncOpenAI(base_url=burst_url, api_key="sk-bench", max_retries=0)
    async with bursar.AsyncClient(configuration(url, burst_url), books=folder / "bench.db") as llm:

        async def sdk_call() -> int:
            reply = await sdk.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=200)  # type: ignore[call-overload]
            return 1 if reply.choices[0].message.content else 0

        async def our_call() -> int:
            reply = await llm.chat(MESSAGES, model=f"openai/{MODEL}", max_tokens=200, user="bench")
            return 1 if reply.text else 0

        async def sdk_stream(sdk: Any = sdk) -> int:
            chunks = 0
            stream = await sdk.chat.completions.create(  # type: ignore[call-overload]
                model=MODEL, messages=MESSAGES, max_tokens=200, stream=True, stream_options={"include_usage": True}
            )
            async for chunk in stream:
                chunks += 1
                if chunk.choices:
                    _ = chunk.choices[0].delta.content
            return chunks

        async def our_stream(provider: str = "openai") -> int:
            chunks = 0
            async with llm.stream(MESSAGES, model=f"{provider}/{MODEL}", max_tokens=200, user="bench") as stream:
                async for delta in stream:
                    chunks += 1
                    _ = delta.text
            return chunks

        races = {
            "call_at_64": (sdk_call, our_call, calls, 64),
            "call_at_1": (sdk_call, our_call, max(calls // 8, 1), 1),
            "stream_chunk": (lambda: sdk_stream(burst_sdk), lambda: our_stream("burst"), STREAMS * 2, STREAMS),
            "stream_chunk_every_10_ms": (sdk_stream, our_stream, STREAMS * 2, STREAMS),
        }
        figures: dict[str, dict[str, list[float]]] = {name: {"openai": [], "bursar": []} for name in races}
        for turn in range(rounds + 1):
            for name, (theirs, ours, times, in_flight) in races.items():
                for who, once in (("openai", theirs), ("bursar", ours)):
                    us = await cpu_us(once, times, in_flight)
                    if turn:  # the first round warms up
                        figures[name][who].append(us)
    await sdk.close()
    await burst_sdk.close()
    return figures


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, upstream() as url, upstream(seconds=0) as burst_url:
        figures = asyncio.run(contend(url, burst_url, Path(folder), asked.calls, asked.rounds))
    rows = {}
    for name, whose in figures.items():
        openai_us, bursar_us = statistics.median(whose["openai"]), statistics.median(whose["bursar"])
        rows[name] = {
            "openai_us": round(openai_us, 1),
            "bursar_us": round(bursar_us, 1),
            "ratio": round(bursar_us / openai_us, 3),
        }
    show("call", rows, as_json=asked.json)


if __name__ == "__main__":
    main()
