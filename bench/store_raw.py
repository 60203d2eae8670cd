"""Pairs of reserve and settle a second that the SQLite books carry by themselves, at several sizes of batch.

No teller, no event loop: one thread calls `transact` with batches that settle the last batch and reserve the next, at
synchronous=FULL over three budgets, as a busy teller would. With --busy a second thread computes all the while.

    python bench/store_raw.py --json
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import threading
import time
from pathlib import Path

from bursar.call.books import Fact, Granted, Operation, Reserve, Settle
from bursar.edges.stores.sqlite import SqliteStore, wall_clock_ms
from bursar.rules.allowances import Allowance, Demand
from bursar.rules.usage import Usage

BUDGETS = (
    Allowance("company", "nano_usd", 10**17, "calendar", "month"),
    Allowance("daily", "nano_usd", 10**17, "calendar", "day", only=(("provider", "openai"),)),
    Allowance("teams", "nano_usd", 10**16, "calendar", "day", each="team"),
)
DEMAND = Demand(base_pico_usd=1_500_000, output_pico_usd=600_000, output_tokens_min=500, output_tokens_max=500)
USAGE = Usage.of(1_200, 340, {"cached_input": 1_024})
BATCHES = (1, 8, 64, 256)


def measure(store: SqliteStore, batch: int, seconds: float, ids: itertools.count[int]) -> dict[str, float]:
    """Pairs a second and CPU a pair, with batches of `batch` operations (half settles, half reserves)."""
    size = max(batch // 2, 1)
    settles: list[Operation] = []
    pairs, waits = 0, []
    cpu, start = time.thread_time(), time.perf_counter()
    spent = made = 0.0
    while time.perf_counter() - start < seconds:
        mark, thread_mark = time.perf_counter(), time.thread_time()
        reserves = [reserve(next(ids)) for _ in range(size)]
        made += time.thread_time() - thread_mark
        spent += time.perf_counter() - mark
        mark = time.perf_counter()
        if batch == 1:
            outcomes = store.transact(reserves, wall_clock_ms)
            pair = store.transact([settle(outcomes[0])], wall_clock_ms)
            assert len(pair) == 1
        else:
            outcomes = store.transact([*settles, *reserves], wall_clock_ms)[len(settles) :]
        waits.append(time.perf_counter() - mark)
        if batch > 1:
            mark, thread_mark = time.perf_counter(), time.thread_time()
            settles = [settle(outcome) for outcome in outcomes]
            made += time.thread_time() - thread_mark
            spent += time.perf_counter() - mark
        pairs += size
    elapsed = time.perf_counter() - start - spent
    cpu = time.thread_time() - cpu - made
    if settles:
        store.transact(settles, wall_clock_ms)
    waits.sort()
    return {
        "batch": batch,
        "pairs_per_second": round(pairs / elapsed),
        "cpu_us_per_pair": round(cpu / pairs * 1e6, 1),
        "p50_ms": round(waits[len(waits) // 2] * 1e3, 3),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1e3, 3),
    }


def reserve(number: int) -> Reserve:
    """A reservation by one of eight teams."""
    return Reserve(f"{number:032x}", f"{number:031x}", scopes_of(number), DEMAND)


def scopes_of(number: int) -> dict[str, str]:
    """Who asks, and for what."""
    return {"provider": "openai", "model": "openai/gpt-4o-mini", "key": "k1", "team": f"team-{number % 8}"}


def settle(outcome: object) -> Settle:
    """The settle of a grant."""
    assert isinstance(outcome, Granted)
    number = int(outcome.attempt_id, 16)
    return Settle(
        Fact(
            attempt_id=outcome.attempt_id,
            call_id=outcome.attempt_id[1:],
            provider="openai",
            model="gpt-4o-mini",
            scopes=scopes_of(number),
            ending="ok",
            bound_nano_usd=outcome.nano_usd,
            charged_nano_usd=204_000,
            cost_nano_usd=204_000,
            cost_source="computed",
            certain=True,
            reserved_ms=outcome.at_ms,
            ended_ms=outcome.at_ms + 900,
            served_model="gpt-4o-mini-2024-07-18",
            dialect="openai_chat",
            price_version="2026-11-01",
            usage=USAGE,
            status=200,
            request_id="req_0123456789abcdef",
            first_token_ms=310,
            duration_ms=900,
            output_tokens_max=500,
        )
    )


def main() -> None:
    """Measure every size of batch and print one line, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="per size of batch")
    parser.add_argument("--batch", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--busy", action="store_true", help="a second thread computes all the while")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    stop = threading.Event()
    other = threading.Thread(target=compute, args=(stop,))
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bench.db")
        store.define(BUDGETS, "bench", wall_clock_ms)
        if arguments.busy:
            other.start()
        ids = itertools.count(time.time_ns())
        results = [measure(store, batch, arguments.seconds, ids) for batch in arguments.batch]
        stop.set()
        store.close()
    if arguments.busy:
        other.join()
    if arguments.json:
        print(json.dumps({"synchronous": "FULL", "budgets": 3, "busy": arguments.busy, "results": results}))
        return
    for result in results:
        print(" ".join(f"{name}={value}" for name, value in result.items()))


def compute(stop: threading.Event) -> None:
    """Keep the interpreter lock busy."""
    while not stop.is_set():
        sum(range(100))


if __name__ == "__main__":
    main()
