"""`bursar sim`: the simulator in the foreground, and how to point a client at it.

The simulator itself shares nothing with Bursar; this only reads the command line and says where it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli.output import echo_json, note

if TYPE_CHECKING:
    from bursar.sim.config import SimConfig

KEY_PREFIX = "sk-sim-"


@click.command("sim")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="0, the default, takes a free one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every text, wait and chance.")
@click.option("--latency", type=click.FloatRange(0, 1000), default=0.0, help="0 (default): none; 1: realistic.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append each billed request to this JSONL file.",
)
@click.option(
    "--key-prefix",
    "key_prefixes",
    multiple=True,
    metavar="PREFIX",
    help=f"What good API keys begin with; {KEY_PREFIX} by default. Repeatable, as all that follow.",
)
@click.option("--limit", "limits", multiple=True, metavar="PROVIDER:requests=N,tokens=N", help="A rate limit a minute.")
@click.option("--fault", "faults", multiple=True, metavar="KIND[:VALUE][,NAME=VALUE...]", help="Fail so, and when.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="PROVIDER/MODEL=INPUT,OUTPUT[,CACHED]",
    help="Another model; pico-USD a token, so 150000 is 0.15 USD per million.",
)
@click.option("--cancel-stops-billing", multiple=True, metavar="PROVIDER", help="Its bill ends when a client leaves.")
@click.option(
    "--cancel-bills-in-full", multiple=True, metavar="PROVIDER", help="Its bill does not (openrouter's does)."
)
@click.option("--now", metavar="TIME", help="Set its calendar, in ISO 8601; it moves on from there.")
def sim(
    host: str,
    port: int,
    seed: int,
    latency: float,
    record: Path | None,
    key_prefixes: tuple[str, ...],
    limits: tuple[str, ...],
    faults: tuple[str, ...],
    models: tuple[str, ...],
    cancel_stops_billing: tuple[str, ...],
    cancel_bills_in_full: tuple[str, ...],
    now: str | None,
) -> None:
    """A provider to practise on: it bills, limits, streams and fails like a real one, and costs nothing.

    Runs until Ctrl-C. Its address is one JSON line on stdout.

    \b
    bursar sim --port 8089 --latency 1 --record bill.jsonl
    bursar sim --fault status:500,probability=0.2 --limit openai:requests=20
    """
    from bursar.sim.config import SimConfig
    from bursar.sim.faults import parse_rule
    from bursar.sim.limits import parse_limit
    from bursar.sim.shelf import parse_model
    from bursar.sim.wallclock import parse_moment

    try:
        config = SimConfig(
            host=host,
            port=port,
            seed=seed,
            latency=latency,
            key_prefixes=key_prefixes or (KEY_PREFIX,),
            record=record,
            limits=dict(parse_limit(text) for text in limits),
            cancel_stops_billing=frozenset(cancel_stops_billing),
            cancel_bills_in_full=frozenset(cancel_bills_in_full),
            now_ms=None if now is None else parse_moment(now),
            rules=tuple(parse_rule(text) for text in faults),
            models=tuple(parse_model(text) for text in models),
        )
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config))


async def _serve(config: SimConfig) -> None:
    from bursar.sim.server import running

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: asyncio.run turns Ctrl-C into KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    async with running(config) as started:
        echo_json({"url": started.url, "seed": config.seed}, line=True)
        note(pointing(started.url, config.key_prefixes[0]))
        await stop.wait()
    note("Stopped.")


def pointing(url: str, key_prefix: str) -> str:
    """How to point a client at a simulator."""
    return (
        f"The simulator listens at {url}; Ctrl-C ends it. In another shell:\n"
        f"  export OPENAI_BASE_URL={url}/openai/v1 OPENAI_API_KEY={key_prefix}1\n"
        '  bursar chat --model openai/gpt-4o-mini --budget 1 "Name three rivers."\n'
        f"It is also {url}/openrouter/api/v1, {url}/groq/openai/v1 and {url}/v1.\n"
        f"What it billed: {url}/sim/record"
    )
