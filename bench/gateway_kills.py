"""Workers of a gateway are killed at random under load while callers come and go; its books are held against the bill.

    python -m bench.gateway_kills [--kills 50] [--callers 10] [--pause 0.6] [--json]

Two workers on one SQLite file, the simulator with faults behind them. One kill in ten hits the supervisor, which is
then started again on its port. Exit code 1 when anything did not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import arguments, show


def measure(told: argparse.Namespace) -> dict[str, Any]:
    """One run, and what came of it."""
    from tests.gateway.chaos.findings import find_gateway
    from tests.gateway.chaos.harness import Chaos, govern

    chaos = Chaos(
        kills=told.kills,
        supervisor_every=10,
        callers=told.callers,
        budget_nano_usd=round(told.budget * 10**9),
        seed=told.seed,
        pause_seconds=told.pause,
        seconds_max=told.seconds_max,
    )
    with tempfile.TemporaryDirectory(prefix="bursar-kills-") as name:
        began = time.monotonic()
        seen = govern(chaos, Path(name))
        seconds = time.monotonic() - began
        found = find_gateway(Path(name), seen)
    books, ended = found.books, seen.tally.ended
    return {
        "kills": seen.kills,
        "kills_of_supervisor": seen.supervisors,
        "reloads": seen.reloads,
        "seconds": round(seconds, 1),
        "port_back_seconds_worst": round(max(seen.back_seconds, default=0.0), 1),
        "callers_answered": ended["answered"],
        "callers_refused": ended["refused"],
        "callers_left": ended["left"],
        "callers_cut_off": ended["broken"],
        "charges": books.charges,
        "certain": books.certain,
        "budget_nano_usd": books.limit_nano_usd,
        "billed_nano_usd": books.billed_nano_usd,
        "spent_nano_usd": books.spent_nano_usd,
        "overspend_nano_usd": books.overspend_nano_usd,
        "held_nano_usd": books.held_nano_usd,
        "orphans": books.orphans,
        "reconciled": found.reconciled,
        "told": found.told,
        "lost": found.lost,
        "asked_again": found.repeated,
        "charged_twice": found.twice,
        "samples": seen.samples,
        "wrong": list(found.wrong),
    }


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--callers", type=int, default=10)
    parser.add_argument("--budget", type=float, default=0.02, help="USD of the first step, and of each that follows")
    parser.add_argument("--pause", type=float, default=0.6, help="seconds between kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-max", type=float, default=900)
    told = parser.parse_args()
    figures = measure(told)
    show("gateway_kills", figures, as_json=told.json)
    return 1 if figures["wrong"] or figures["kills"] < told.kills else 0


if __name__ == "__main__":
    sys.exit(main())
