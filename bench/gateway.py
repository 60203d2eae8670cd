"""The gateway beside nginx, LiteLLM's proxy and Portkey's gateway, in one run: CPU a request, and added latency.

    pip install -r requirements/bench.txt
    python -m bench.gateway [--requests 4000] [--rounds 3] [--peers FOLDER] [--only bursar,nginx] [--json]

Bursar checks a key, reserves against three budgets and three limits, sends, meters, settles and enters every call in a
ledger at synchronous=FULL; the peers do what they do by default, without a database (`peers` says how they are set).
Contenders take turns, round by round, in front of one provider that answers canned bytes; the load comes from a process
of its own. CPU is user and system time of the process under test and its children. Medians of the rounds.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from bench.load import Came, Load, LoadProcess
from bench.peers import Served, answering, free_port, litellm, nginx, portkey, process
from bench.report import arguments, show
from bench.upstream import upstream

MODEL = "gpt-4o-mini"
CHUNKS = 100
RATE = 200.0
TEXT = "Tell me about rivers. " * 42


def bursar_config(upstream_url: str) -> dict[str, Any]:
    """Three budgets and three limits that bind every call and never refuse one."""
    openai = {"base_url": upstream_url, "api_key": "sk-bench", "max_connections": 4_000, "max_keepalive": 256}
    return {
        "books": "books.db",
        "llm": {"active": "openai", "providers": {"openai": openai}},
        "budgets": {
            "company": {"usd": 1_000_000, "per": "month"},
            "models": {"usd": 1_000_000, "per": "day", "each": "model"},
            "keys": {"usd": 1_000_000, "per": "day", "each": "key"},
        },
        "limits": {
            "requests": {"requests": 100_000_000, "per": "minute", "each": "key"},
            "tokens": {"tokens": 1_000_000_000, "per": "minute", "each": "key"},
            "flight": {"in_flight": 100_000, "each": "key"},
        },
    }


@contextlib.contextmanager
def bursar(upstream_url: str, folder: Path, workers: int = 1) -> Iterator[Served]:
    """Our gateway, with a key made by its own command."""
    home = folder / f"bursar-{workers}"
    home.mkdir()
    (home / "bursar.yaml").write_text(yaml.safe_dump(bursar_config(upstream_url)))
    environ = {"BURSAR_ADMIN_KEY": "sk-bursar-" + "B" * 43, "BURSAR_SECRET": "s" * 40}
    command = [sys.executable, "-m", "bursar"]
    made = subprocess.run(
        [*command, "keys", "create", "--name", "bench", "--json"],
        cwd=home, env={**os.environ, **environ}, check=True, capture_output=True,
    )  # fmt: skip
    key, port = json.loads(made.stdout)["key"], free_port()
    url = f"http://127.0.0.1:{port}"
    serve = [*command, "serve", "--port", str(port), "--workers", str(workers)]
    with process(serve, home, answering(f"{url}/health/live"), environ) as pid:
        yield Served(pid, url, "/v1/chat/completions", {"authorization": f"Bearer {key}"})


def body(stream: bool) -> bytes:
    """A chat of about 1 KB."""
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": TEXT}], "max_tokens": 200}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked, separators=(",", ":")).encode()


def load_on(served: Served, *, stream: bool, requests: int, in_flight: int, rate: float = 0.0) -> Load:
    """Chats to a contender."""
    return Load(served.url + served.path, body(stream), served.headers, requests, in_flight, rate)


def measured(sender: LoadProcess, served: Served, load: Load) -> tuple[float, Came]:
    """CPU microseconds a request, and what came."""
    before = served.cpu_seconds()
    came = sender.run(load)
    if came.bad:
        raise RuntimeError(f"{served.url} refused {came.bad} of {load.requests}: {came.example!r}")
    return (served.cpu_seconds() - before) / load.requests * 1e6, came


def contend(
    contenders: dict[str, Served], direct: Served, sender: LoadProcess, requests: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """Take turns; the median of each contender's rounds."""
    kinds = ("whole_us", "stream_us", "added_p50_ms", "added_p99_ms")
    seen: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in kinds} for name in contenders}
    for turn in range(rounds + 1):
        for name, served in contenders.items():
            # The slow ones get fewer requests: a round of theirs takes as long.
            count = requests if name.startswith(("bursar", "nginx")) else max(requests // 8, 64)
            whole, _ = measured(sender, served, load_on(served, stream=False, requests=count, in_flight=64))
            stream = 0.0
            if served.streams:
                streams = load_on(served, stream=True, requests=max(count // 8, 64), in_flight=64)
                stream, _ = measured(sender, served, streams)
            seconds = 5 if turn else 1
            paced = [
                sender.run(load_on(one, stream=False, requests=int(RATE * seconds), in_flight=64, rate=RATE))
                for one in (direct, served)
            ]
            if turn:  # the first round warms up
                figures = seen[name]
                figures["whole_us"].append(whole)
                figures["stream_us"].append(stream)
                figures["added_p50_ms"].append(paced[1].percentile_ms(0.5) - paced[0].percentile_ms(0.5))
                figures["added_p99_ms"].append(paced[1].percentile_ms(0.99) - paced[0].percentile_ms(0.99))
    return {
        name: {kind: round(statistics.median(values), 2) for kind, values in figures.items() if any(values)}
        | {"memory_mb": round(contenders[name].memory_mb())}
        for name, figures in seen.items()
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(".bench-peers"))
    parser.add_argument("--only", default="bursar,bursar-2,nginx,litellm,portkey")
    asked = parser.parse_args()
    wanted, peers = asked.only.split(","), asked.peers.absolute()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        url = stack.enter_context(upstream(CHUNKS, seconds=0))
        sender = stack.enter_context(LoadProcess())
        contenders: dict[str, Served] = {}
        for name, start in (("nginx", nginx), ("litellm", litellm), ("portkey", portkey)):
            served = stack.enter_context(start(url, folder, peers)) if name in wanted else None
            if served is not None:
                contenders[name] = served
        for workers, name in ((1, "bursar"), (2, "bursar-2")):
            if name in wanted:
                contenders[name] = stack.enter_context(bursar(url, folder, workers))
        direct = Served(0, url.removesuffix("/v1"), "/v1/chat/completions")
        figures = contend(contenders, direct, sender, asked.requests, asked.rounds)
    ours = figures.get("bursar")
    for name, one in figures.items():
        if ours is not None and name != "bursar":
            one["cpu_of_bursars"] = round(one["whole_us"] / ours["whole_us"], 2)
    show("gateway", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
