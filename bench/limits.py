"""A burst of three minutes' worth of calls arrives within one, at a provider that keeps its limits: who copes how.

    pip install -r requirements/bench.txt
    python -m bench.limits [--full] [--only NAME] [--contender NAME] [--json]

The simulator enforces the limit. A naive client, `limits`, aiolimiter and Bursar send the same calls, one after the
other; all obey what a refusal says, and send again until they are served. For each: refusals (429s), the time until
all is served, and the wait that one call in a hundred exceeds, beside those of an offline schedule that knew everything
and served first come, first served (`schedule`).

A reduced run makes a second of each minute, with bursts as large, and cuts rates above what two cores can drive, which
leaves the shape as it is; but what is rounded to seconds or takes milliseconds weighs sixty times as much: where
tokens are given back, a refusal (Groq's whole seconds) costs a minute. `--full` is the real thing, and takes the
better part of an hour.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.bursts import CONTENDERS, KEY, Load
from bench.report import arguments, show
from bench.schedule import Limit, starts_seconds
from bursar.sim.process import SimProcess, start_process

PATHS = {"openai": "/openai/v1", "groq": "/groq/openai/v1"}
MODELS = {"openai": "gpt-4o-mini", "groq": "llama-3.1-8b-instant"}
MINUTES_WORTH = 3
# Calls a second that a reduced run asks of two cores, the simulator's share included.
RATE_MAX = 250
PROBES = 15


@dataclass(frozen=True, slots=True)
class Scenario:
    """A limit per minute, and the calls that meet it. OpenAI counts what was reserved, Groq gives back.

    prompt_words: of the question, a token each. max_tokens, output_tokens: asked for, and used.
    """

    name: str
    provider: str
    meter: str
    limit: int
    prompt_words: int = 20
    max_tokens: int = 60
    output_tokens: int = 40
    minute_seconds: int = 60


# About a thousand tokens a call.
LONG = {"prompt_words": 650, "max_tokens": 300, "output_tokens": 150}
SCENARIOS = (
    Scenario("500 RPM", "openai", "requests", 500),
    Scenario("10,000 RPM", "openai", "requests", 10_000),
    Scenario("200k TPM reserved", "openai", "tokens", 200_000, **LONG),
    Scenario("200k TPM given back", "groq", "tokens", 200_000, **LONG),
    Scenario("2M TPM reserved", "openai", "tokens", 2_000_000, **LONG),
    Scenario("2M TPM given back", "groq", "tokens", 2_000_000, **LONG),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a burst: how often the provider refused, until when all was served, and the longest of waits."""

    refusals: int
    total_seconds: float
    p99_seconds: float

    def beside(self, best: Ran) -> dict[str, Any]:
        return {
            "429s": self.refusals,
            "seconds": round(self.total_seconds, 2),
            "of_best": round(self.total_seconds / best.total_seconds, 3),
            "p99_wait": round(self.p99_seconds, 2),
            "p99_of_best": round(self.p99_seconds / best.p99_seconds, 3),
        }


def reduced(scenario: Scenario, units: int) -> Scenario:
    """The scenario with seconds for minutes; `units`: of the limit that one call takes."""
    rate = scenario.limit / units
    return replace(scenario, limit=round(scenario.limit * min(1.0, RATE_MAX / rate)), minute_seconds=1)


def simulator(scenario: Scenario) -> Any:
    limit = f"{scenario.provider}:{scenario.meter}={scenario.limit}"
    speed = 60 // scenario.minute_seconds
    return start_process(latency=1 / speed, arguments=["--limit", limit, "--limit-speed", str(speed)])


def content_of(scenario: Scenario) -> str:
    return f"[[tokens={scenario.output_tokens}]]" + " river" * scenario.prompt_words


def asked(url: str, body: bytes | None = None) -> Any:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return json.load(answer)


def probe(scenario: Scenario) -> tuple[int, int, float]:
    """What a call takes of the limit on arrival, what it gives back, and how long it is served for, in seconds."""
    import time

    with simulator(replace(scenario, limit=10**9)) as sim:
        load = _load(scenario, sim, 0, [])
        body = json.dumps(load.body).encode()
        seconds = []
        for _ in range(PROBES):
            begun = time.monotonic()
            usage = asked(f"{load.base_url}/chat/completions", body)["usage"]
            seconds.append(time.monotonic() - begun)
    if scenario.meter == "requests":
        return 1, 0, sum(seconds) / PROBES
    takes = usage["prompt_tokens"] + scenario.max_tokens
    gives_back = takes - usage["total_tokens"] if scenario.provider == "groq" else 0
    return takes, gives_back, sum(seconds) / PROBES


def _load(scenario: Scenario, sim: SimProcess, takes: int, arrivals: Sequence[float]) -> Load:
    return Load(
        provider=scenario.provider,
        base_url=sim.url + PATHS[scenario.provider],
        model=MODELS[scenario.provider],
        content=content_of(scenario),
        max_tokens=scenario.max_tokens,
        meter=scenario.meter,
        capacity=scenario.limit,
        period_seconds=float(scenario.minute_seconds),
        takes=takes,
        arrivals=arrivals,
    )


def run(scenario: Scenario, contender: str, takes: int, arrivals: Sequence[float]) -> Ran:
    """One contender against a simulator that nobody has used."""
    with simulator(scenario) as sim, tempfile.TemporaryDirectory(prefix="bursar-bench-") as folder:
        load = _load(scenario, sim, takes, arrivals)
        served = asyncio.run(CONTENDERS[contender](load, Path(folder)))
        record = asked(f"{sim.url}/sim/record")
    return ran(sum(entry["status"] == 429 for entry in record), served, arrivals)


def ran(refusals: int, served: Sequence[float], arrivals: Sequence[float]) -> Ran:
    waits = sorted(done - arrival for done, arrival in zip(served, arrivals, strict=True))
    return Ran(refusals, max(served), waits[len(waits) * 99 // 100])


def compare(scenario: Scenario, contenders: Sequence[str], *, full: bool) -> dict[str, dict[str, Any]]:
    """The figures of everybody in one scenario, the offline schedule's first."""
    takes, gives_back, service_seconds = probe(scenario if full else replace(scenario, minute_seconds=1))
    if not full:
        scenario = reduced(scenario, takes)
    calls = MINUTES_WORTH * scenario.limit // takes
    arrivals = [number * scenario.minute_seconds / calls for number in range(calls)]
    limit = Limit(scenario.limit, scenario.minute_seconds, takes, gives_back)
    best = ran(0, [at + service_seconds for at in starts_seconds(arrivals, limit, service_seconds)], arrivals)
    figures = {
        "best": {"calls": calls, "seconds": round(best.total_seconds, 2), "p99_wait": round(best.p99_seconds, 2)}
    }
    for contender in contenders:
        figures[contender] = run(scenario, contender, takes, arrivals).beside(best)
    return figures


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--full", action="store_true", help="real minutes and rates; the better part of an hour")
    parser.add_argument("--only", action="append", metavar="NAME", help="a scenario, by its name or the first of it")
    parser.add_argument("--contender", action="append", choices=[*CONTENDERS], help="only these")
    given = parser.parse_args()
    report: dict[str, Any] = {"run": "full" if given.full else "reduced: a second for a minute"}
    for scenario in SCENARIOS:
        if given.only and not any(scenario.name.startswith(name) for name in given.only):
            continue
        figures = compare(scenario, given.contender or [*CONTENDERS], full=given.full)
        if given.json:
            report[scenario.name] = figures
        else:
            report |= {f"{scenario.name}, {who}": values for who, values in figures.items()}
    show("limits", report, as_json=given.json)


if __name__ == "__main__":
    main()
