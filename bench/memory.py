"""Memory over 100,000 governed calls: resident size after a warm-up, and as the calls go by.

    python -m bench.memory [--calls 100000] [--json]

One AsyncClient with durable books at 64 in flight, one call in ten streamed, users of 1,000 different names. What grows
with the calls would show between the samples; the provider is a process of its own (`upstream`).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import tempfile
import time
from pathlib import Path

import bursar
from bench.call import MESSAGES, MODEL, configuration
from bench.report import arguments, show
from bench.upstream import upstream

IN_FLIGHT = 64
SAMPLES = 5


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def run(url: str, folder: Path, calls: int) -> list[int]:
    numbers = itertools.count()
    async with bursar.AsyncClient(configuration(url), books=folder / "bench.db") as llm:

        async def call() -> None:
            number = next(numbers)
            options = {"model": f"openai/{MODEL}", "max_tokens": 200, "user": f"user-{number % 1000}"}
            if number % 10:
                await llm.chat(MESSAGES, **options)
            else:
                async with llm.stream(MESSAGES, **options) as stream:
                    async for _ in stream:
                        pass

        async def many(count: int) -> None:
            async def worker() -> None:
                for _ in range(count // IN_FLIGHT):
                    await call()

            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))

        await many(calls // 10)
        samples = []
        for _ in range(SAMPLES):
            await many(calls * 9 // 10 // SAMPLES)
            gc.collect()
            samples.append(resident_kib())
    return samples


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    asked = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, upstream(chunks=10, seconds=0) as url:
        samples = asyncio.run(run(url, Path(folder), asked.calls))
    counted = asked.calls * 9 / 10 * (SAMPLES - 1) / SAMPLES
    figures = {
        "calls": asked.calls,
        "resident_kib": samples,
        "growth_kib": samples[-1] - samples[0],
        "growth_bytes_per_call": round((samples[-1] - samples[0]) * 1024 / counted),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    show("memory", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
