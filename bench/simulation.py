"""Many callers, processes and faults in virtual time, seed after seed; what does not hold is printed with its seed.

    python -m bench.simulation [--seeds 1000] [--first 0] [--processes 2] [--calls 80] [--json]
    python -m bench.simulation --seed 17         the story of one seed
    python -m bench.simulation --deviations 3    every call in which up to so many things go wrong, in both colours

Exit code 1 when anything did not hold. The worlds are those of tests/simulation.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import platform
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

# Seeds that a process takes at a time.
SHARE = 20


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all seeds. Returns the figures, and in `wrong` the first sentence of every seed in which something is."""
    last = arguments.first + arguments.seeds
    shares = [range(first, min(first + SHARE, last)) for first in range(arguments.first, last, SHARE)]
    figures: Counter[str] = Counter()
    wrong: dict[int, str] = {}
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.processes) as pool:
        for of_share, wrong_of_share in pool.imap_unordered(partial(run, calls=arguments.calls), shares):
            figures.update(of_share)
            wrong |= wrong_of_share
    return {
        "seeds": arguments.seeds,
        "first": arguments.first,
        "calls_each": arguments.calls,
        "figures": dict(sorted(figures.items())),
        "wrong": {str(seed): wrong[seed] for seed in sorted(wrong)},
        "seconds": round(time.monotonic() - began, 1),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, {platform.system()}",
    }


def run(seeds: range, *, calls: int) -> tuple[Counter[str], dict[int, str]]:
    """Run some seeds in this process."""
    from tests.simulation.world import live

    logging.disable(logging.CRITICAL)
    figures: Counter[str] = Counter()
    wrong = {}
    for seed in seeds:
        verdict = live(seed, calls=calls)
        figures.update(verdict.figures)
        if verdict.wrong:
            wrong[seed] = verdict.wrong[0]
    return figures, wrong


def tell(seed: int, calls: int) -> int:
    """Print the story of one seed."""
    from tests.simulation.world import live

    logging.disable(logging.CRITICAL)
    verdict = live(seed, calls=calls)
    print("\n".join(verdict.story))
    print("\n".join(f"WRONG: {sentence}" for sentence in verdict.wrong) or "everything holds")
    return 1 if verdict.wrong else 0


def search(deviations: int) -> int:
    """Run every call with up to so many deviations."""
    from tests.simulation.test_call_search import SEARCHES

    failed = False
    for one in SEARCHES:
        for stream in (False, True):
            began = time.monotonic()
            runs, wrong = one(deviations, stream=stream)
            kind = "streamed" if stream else "whole"
            print(f"{one.__name__} {kind}: {runs:,} runs, {len(wrong)} wrong, {time.monotonic() - began:.1f} s")
            print("".join(f"  {fates}: {problems}\n" for fates, problems in list(wrong.items())[:20]), end="")
            failed = failed or bool(wrong)
    return 1 if failed else 0


def show(result: dict[str, Any]) -> None:
    """The result for people."""
    print(f"{result['seeds']:,} seeds of {result['calls_each']} calls, {result['seconds']} s")
    for name, count in result["figures"].items():
        print(f"  {name:<20} {count:>12,}")
    for seed, sentence in result["wrong"].items():
        print(f"WRONG in seed {seed}: {sentence}")
    print(f"{len(result['wrong'])} seeds went wrong" if result["wrong"] else "everything holds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="tell the story of this seed")
    parser.add_argument("--deviations", type=int, help="search all calls with up to so many things that go wrong")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--calls", type=int, default=80, help="calls in each world")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return tell(arguments.seed, arguments.calls)
    if arguments.deviations is not None:
        return search(arguments.deviations)
    result = measure(arguments)
    print(json.dumps(result, indent=2)) if arguments.json else show(result)
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
