"""Processes that spend from one budget are killed at random; the books are held against the provider's own record.

    python bench/overspend.py [--kills 200] [--processes 6] [--budget 0.15] [--json]

`--budget` is what each phase adds; phases follow until so many processes were killed with SIGKILL. Then the same is
done once with a check-then-add counter in a shared SQLite table. Exit code 1 when anything did not hold.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both runs and what came of them."""
    from tests.chaos.findings import find
    from tests.chaos.harness import Chaos, budget, count_naively, govern

    chaos = Chaos(
        kills=arguments.kills,
        processes=arguments.processes,
        budget_nano_usd=budget(arguments.budget),
        seed=arguments.seed,
        pause_seconds=arguments.pause,
        seconds_max=arguments.seconds_max,
    )
    with tempfile.TemporaryDirectory(prefix="bursar-overspend-") as name:
        began = time.monotonic()
        observed = govern(chaos, Path(name))
        seconds = time.monotonic() - began
        found = find(Path(name), observed)
        naive = count_naively(chaos, Path(name))
    return {
        "kills": observed.kills,
        "processes": chaos.processes,
        "phases": observed.phases,
        "charges": found.charges,
        "charges_certain": found.certain,
        "budget_nano_usd": found.limit_nano_usd,
        "billed_nano_usd": found.billed_nano_usd,
        "spent_nano_usd": found.spent_nano_usd,
        "held_nano_usd": found.held_nano_usd,
        "held_most_nano_usd": observed.held_most_nano_usd,
        "overspend_nano_usd": found.overspend_nano_usd,
        "acknowledged": found.acknowledged,
        "lost": found.lost,
        "retried": found.retried,
        "elsewhere": found.elsewhere,
        "orphans": found.orphans,
        "orphans_nano_usd": found.orphans_nano_usd,
        "samples": observed.samples,
        "seconds": round(seconds, 1),
        "wrong": list(found.wrong),
        "naive": {
            "kills": naive.kills,
            "budget_nano_usd": naive.budget_nano_usd,
            "billed_nano_usd": naive.billed_nano_usd,
            "counted_nano_usd": naive.counted_nano_usd,
            "overspend_nano_usd": naive.overspend_nano_usd,
            "lost_nano_usd": naive.lost_nano_usd,
        },
        "machine": f"{platform.machine()}, Python {platform.python_version()}, {platform.system()}",
    }


def show(result: dict[str, Any]) -> None:
    """The result for people."""
    from bursar.rules.money import format_usd

    naive = result["naive"]
    print(f"{result['kills']} kills of {result['processes']} processes, {result['charges']:,} charges,"
          f" {result['seconds']} s, {result['samples']:,} looks at the budgets")  # fmt: skip
    for name in ("budget", "billed", "spent", "overspend", "orphans"):
        print(f"  {name:<10} {format_usd(result[f'{name}_nano_usd'], digits_min=9):>16}")
    print(
        f"  acknowledged charges lost: {result['lost']} of {result['acknowledged']:,}; orphans: {result['orphans']:,}"
    )
    print(f"  calls tried again: {result['retried']:,}, of which elsewhere: {result['elsewhere']:,}")
    print(f"check, then add: {naive['kills']} kills")
    for name in ("budget", "billed", "counted", "overspend", "lost"):
        print(f"  {name:<10} {format_usd(naive[f'{name}_nano_usd'], digits_min=9):>16}")
    print("\n".join(f"WRONG: {sentence}" for sentence in result["wrong"]) or "everything holds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--budget", default="0.15", help="USD that each phase adds")
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-max", type=float, default=600)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments)
    print(json.dumps(result, indent=2)) if arguments.json else show(result)
    return 1 if result["wrong"] or result["overspend_nano_usd"] else 0


if __name__ == "__main__":
    sys.exit(main())
