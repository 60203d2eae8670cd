"""Reserve + settle through the teller on SQLite at synchronous=FULL, three budgets: pairs a second and latency.

    python -m bench.teller [--pairs 40000] [--json]

Async callers on one loop, each reserving and settling in turn; the lone caller is the same with one. Latency is of one
operation (a reserve or a settle), as its caller sees it. CPU is of the whole process, callers and teller together.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import arguments, show
from bursar.call.books import Fact, Granted, Reserve, Settle
from bursar.edges.stores.sqlite import SqliteStore
from bursar.edges.teller import Teller
from bursar.engine import Ids
from bursar.rules.allowances import Allowance, Demand
from bursar.rules.usage import Usage

BUDGETS = (
    Allowance("company", "nano_usd", 10**15, "calendar", "month"),
    Allowance("users", "nano_usd", 10**15, "calendar", "day", each="user"),
    Allowance("openai.daily_cost_limit", "nano_usd", 10**15, "calendar", "day", only=(("provider", "openai"),)),
)
DEMAND = Demand(1_000_000, 600_000, 60, 60, 100, 60)
USAGE = Usage.of(80, 40)
IDS = Ids()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def settle_of(grant: Granted, scopes: dict[str, str]) -> Settle:
    return Settle(
        Fact(
            attempt_id=grant.attempt_id,
            call_id=grant.attempt_id[:-2],
            provider="openai",
            model="gpt-4o-mini",
            scopes=scopes,
            ending="ok",
            bound_nano_usd=grant.nano_usd,
            charged_nano_usd=36_000,
            cost_nano_usd=36_000,
            cost_source="computed",
            certain=True,
            reserved_ms=grant.at_ms,
            ended_ms=grant.at_ms + 700,
            served_model="gpt-4o-mini-2024-07-18",
            dialect="openai_chat",
            price_version="genai-prices 0.2.3",
            usage=USAGE,
            status=200,
            request_id="req_0123456789abcdef",
            duration_ms=700,
        )
    )


async def caller(teller: Teller, number: int, pairs: int, latencies: list[float]) -> None:
    scopes = {
        "provider": "openai",
        "model": "openai/gpt-4o-mini",
        "key": "openai:0badcafe",
        "user": f"user-{number % 8}",
    }
    for _ in range(pairs):
        call_id = IDS.new(now_ms())
        begun = time.perf_counter()
        grant = await teller.ask(Reserve(f"{call_id}.0", call_id, scopes, DEMAND))
        granted = time.perf_counter()
        assert isinstance(grant, Granted), grant
        await teller.ask(settle_of(grant, scopes))
        latencies += (granted - begun, time.perf_counter() - granted)


async def run(teller: Teller, callers: int, pairs: int) -> dict[str, Any]:
    latencies: list[float] = []
    await asyncio.gather(*(caller(teller, number, 5, []) for number in range(callers)))
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(teller, number, pairs // callers, latencies) for number in range(callers)))
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    done = len(latencies) // 2
    latencies.sort()
    return {
        "callers": callers,
        "pairs": done,
        "pairs_per_second": round(done / seconds),
        "op_p50_ms": round(statistics.median(latencies) * 1000, 3),
        "op_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 3),
        "pair_mean_ms": round(2 * statistics.fmean(latencies) * 1000, 3),
        "cpu_us_per_pair": round(cpu_seconds / done * 1e6, 1),
    }


def measure(pairs: int, callers: list[int], folder: Path) -> list[dict[str, Any]]:
    results = []
    for count in callers:
        store = SqliteStore(folder / f"teller-{count}.db")
        store.define(BUDGETS, "bench", now_ms)
        teller = Teller(store, now_ms)
        results.append(asyncio.run(run(teller, count, pairs if count > 1 else min(pairs, 3_000))))
        teller.close()
        store.close()
    return results


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=40_000)
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 64, 256])
    parser.add_argument("--folder", type=Path, help="where the books lie (default: a temporary folder here)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder or Path.cwd()) as folder:
        results = measure(asked.pairs, asked.callers, Path(folder))
    show("teller", {f"callers_{row['callers']}": row for row in results}, as_json=asked.json)


if __name__ == "__main__":
    main()
