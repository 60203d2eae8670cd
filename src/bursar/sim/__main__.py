"""`python -m bursar.sim`: reads the command line and serves. Bad arguments give one line and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bursar.sim.config import PROVIDERS, SimConfig
from bursar.sim.faults import parse_rule
from bursar.sim.limits import parse_limit
from bursar.sim.server import serve
from bursar.sim.shelf import parse_model
from bursar.sim.wallclock import parse_moment


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    found = OneLineParser(prog="bursar sim", description="A provider to practise on: it bills, limits and fails.")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=0, help="0 takes a free one")
    found.add_argument("--seed", type=int, default=0, help="decides every text, wait and chance")
    found.add_argument("--latency", type=float, default=0.0, help="0 answers at once, 1 is realistic")
    found.add_argument("--record", type=Path, metavar="FILE", help="append each billed request to this JSONL file")
    found.add_argument("--key-prefix", action="append", metavar="PREFIX", help="of good API keys (sk-sim-)")
    found.add_argument("--limit", action="append", default=[], metavar="PROVIDER:requests=N,tokens=N")
    found.add_argument("--limit-speed", type=int, default=1, metavar="TIMES", help="limits refill so much faster")
    found.add_argument("--fault", action="append", default=[], metavar="KIND[:VALUE][,NAME=VALUE...]")
    found.add_argument("--model", action="append", default=[], metavar="PROVIDER/MODEL=INPUT,OUTPUT[,CACHED]")
    found.add_argument("--cancel-stops-billing", action="append", default=[], choices=PROVIDERS)
    found.add_argument("--cancel-bills-in-full", action="append", default=[], choices=PROVIDERS)
    found.add_argument("--now", metavar="TIME", help="set its calendar, in ISO 8601; it moves on from there")
    found.add_argument("--until-stdin-ends", action="store_true", help="stop when stdin is closed")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped. Returns the exit code: 0 stopped, 1 could not listen or record, 2 bad arguments."""
    arguments = parser().parse_args(argv)
    try:
        config = SimConfig(
            host=arguments.host,
            port=arguments.port,
            seed=arguments.seed,
            latency=arguments.latency,
            key_prefixes=tuple(arguments.key_prefix or ("sk-sim-",)),
            record=arguments.record,
            limits=dict(parse_limit(text) for text in arguments.limit),
            limit_speed=arguments.limit_speed,
            cancel_stops_billing=frozenset(arguments.cancel_stops_billing),
            cancel_bills_in_full=frozenset(arguments.cancel_bills_in_full),
            now_ms=None if arguments.now is None else parse_moment(arguments.now),
            rules=tuple(parse_rule(text) for text in arguments.fault),
            models=tuple(parse_model(text) for text in arguments.model),
        )
    except ValueError as error:
        parser().error(str(error))
    try:
        return serve(config, until_stdin_ends=arguments.until_stdin_ends)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"bursar sim: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
