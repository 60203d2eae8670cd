"""Kills processes that spend from one budget, starts new ones, and holds the books against the provider's record.

The simulator is a process of its own with its record in a file; the workers share one SQLite file. A phase ends when
its budget is spent; the next one raises every budget, as an operator would, until so many processes were killed. All
the while the budgets are read from a connection of our own. Used by test_kill.py and by bench/overspend.py.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bursar.client import Client
from bursar.edges.stores import reads
from bursar.rules.money import nano_of, usd_of
from bursar.sim.process import start_process
from bursar.sim.record import read_record
from tests.chaos.counting import KEY, SharedTotal, count
from tests.chaos.worker import ROUTES, Place, work

# Latency of the simulator: enough for calls to be in flight when their process is killed.
LATENCY = 0.02
PATHS = {"openai": "/openai/v1", "openrouter": "/openrouter/api/v1", "groq": "/groq/openai/v1"}
SAMPLE_SECONDS = 0.03
# What the providers do by themselves: some calls are tried again, some elsewhere, and breakers open now and then.
FAULTS = (
    "status:503,probability=0.06",
    "status:429,retry_after=0,probability=0.03",
    "drop,probability=0.03",
    "truncate:2,probability=0.02",
    "status:500,provider=groq,probability=0.25",
)
# A phase is over when so long nothing more was spent, or so little is left.
STILL_SECONDS = 5.0
UNSPENT_SHARE = 0.002
STOP_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """What to do: kills in all, processes at a time, nano-USD more in each phase, seconds between kills on average.

    apart_nano_usd: so much is spent between two kills at least. On a busy machine time alone would kill processes that
    have only just begun, and nothing would come of any.
    """

    kills: int
    processes: int
    budget_nano_usd: int
    seed: int
    pause_seconds: float
    seconds_max: float
    apart_nano_usd: int = 0


@dataclass(slots=True)
class Observed:
    """What was seen while it ran. `wrong`: sentences, one for each moment at which something did not hold."""

    kills: int = 0
    phases: int = 0
    samples: int = 0
    limit_nano_usd: int = 0
    held_most_nano_usd: int = 0
    wrong: list[str] = field(default_factory=list)


class Watcher:
    """Reads the budgets from a connection of its own, and asks the simulator what it has billed."""

    def __init__(self, books: Path, sim_url: str, observed: Observed) -> None:
        self._connection = sqlite3.connect(f"file:{books}?mode=ro", uri=True, isolation_level=None)
        self._bill = f"{sim_url}/sim/bill"
        self._observed = observed
        self.spent_nano_usd = 0
        self.unspent_nano_usd = 0

    def look(self) -> None:
        """Take a sample: no budget may be passed, and nothing may be billed that is neither held nor spent."""
        observed = self._observed
        billed = billed_nano_usd(self._bill)  # first: what was billed by now must be in the books that are read next
        self._connection.execute("BEGIN")
        balances = reads.balances(self._connection, time.time_ns() // 1_000_000, (), None)
        self._connection.execute("COMMIT")
        observed.samples += 1
        for one in balances:
            if one.spent + one.held > one.limit:
                observed.wrong.append(f"{one.allowance} {one.subject}: {one.spent} + {one.held} is above {one.limit}")
            if one.allowance == "company":
                self.spent_nano_usd, self.unspent_nano_usd = one.spent, one.limit - one.spent
                observed.held_most_nano_usd = max(observed.held_most_nano_usd, one.held)
                if billed > one.spent + one.held:
                    observed.wrong.append(f"{billed} billed, but {one.spent} spent and {one.held} held")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def billed_nano_usd(url: str) -> int:
    """What the simulator has billed so far."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return int(msgspec.json.decode(answer.read())["billed_nano_usd"])


class Crew:
    """So many processes at a time; whoever is killed is replaced."""

    def __init__(self, size: int, chance: random.Random, start: Callable[[int], BaseProcess]) -> None:
        self._chance = chance
        self._start = start
        self._started = 0
        self._members = [self._new() for _ in range(size)]

    def kill_one(self) -> bool:
        """Kill any of them with SIGKILL, and start another. False when that one had ended by itself."""
        place = self._chance.randrange(len(self._members))
        victim = self._members[place]
        victim.kill()
        victim.join()
        self._members[place] = self._new()
        return victim.exitcode == -signal.SIGKILL

    def wait(self) -> list[int | None]:
        """Wait for all to end; kills those who do not. Returns their exit codes."""
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for member in self._members:
            member.join(max(deadline - time.monotonic(), 0.1))
        for member in self._members:
            if member.is_alive():
                member.kill()
                member.join()
        return [member.exitcode for member in self._members]

    def _new(self) -> BaseProcess:
        self._started += 1
        process = self._start(self._started)
        process.start()
        return process


def processes() -> Any:
    """Where workers come from: forked off a process that has imported everything and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.worker", "tests.chaos.counting"])
    return context


def write_config(path: Path, sim_url: str, limit_nano_usd: int) -> None:
    """A hard budget for all, one for each user and one for a provider; together they leave nothing of the first."""
    providers: dict[str, Any] = {name: {"base_url": sim_url + route, "api_key": KEY} for name, route in PATHS.items()}
    for provider in providers.values():
        provider |= {"retry_base_seconds": 0.01, "circuit_breaker_timeout": 0.2}
    providers["openai"]["daily_cost_limit"] = str(usd_of(limit_nano_usd * 6 // 10))
    config = {
        "books": "books.db",
        "max_wait_seconds": 1,
        "llm": {"providers": providers},
        "routes": {name: list(models) for name, models in ROUTES.items()},
        "budgets": {
            "company": {"usd": str(usd_of(limit_nano_usd)), "per": "total"},
            "users": {"usd": str(usd_of(limit_nano_usd * 35 // 100)), "per": "total", "each": "user"},
        },
    }
    path.write_text(yaml.safe_dump(config), "utf-8")


def govern(chaos: Chaos, folder: Path) -> Observed:
    """Run all phases with workers of Bursar's. The record is in sim.jsonl, the books in books.db."""
    observed, chance, context = Observed(), random.Random(chaos.seed), processes()
    place = Place(folder / "bursar.yaml", folder / "acknowledged", folder / "stop")
    ends_at = time.monotonic() + chaos.seconds_max
    arguments = [part for fault in FAULTS for part in ("--fault", fault)]
    with start_process(seed=chaos.seed, latency=LATENCY, record=folder / "sim.jsonl", arguments=arguments) as sim:
        while observed.kills < chaos.kills and time.monotonic() < ends_at:
            observed.phases += 1
            observed.limit_nano_usd += chaos.budget_nano_usd
            place.stop.unlink(missing_ok=True)
            write_config(place.config, sim.url, observed.limit_nano_usd)
            Client(place.config).close()  # the books exist, with the new budgets, before anyone is killed
            seeds = chaos.seed * 1_000_003 + observed.phases * 10_007

            def start(number: int, seeds: int = seeds) -> BaseProcess:
                return context.Process(target=work, args=(place, seeds + number), daemon=True)  # type: ignore[no-any-return]

            with watching(folder / "books.db", sim.url, observed) as watcher:
                _phase(chaos, observed, Crew(chaos.processes, chance, start), watcher, place, chance)
                watcher.look()
            billed = billed_nano_usd(f"{sim.url}/sim/bill")
            if billed > observed.limit_nano_usd:
                observed.wrong.append(f"phase {observed.phases}: {billed} billed of {observed.limit_nano_usd}")
    return observed


@contextmanager
def watching(books: Path, sim_url: str, observed: Observed) -> Iterator[Watcher]:
    """A watcher, and its connection closed."""
    watcher = Watcher(books, sim_url, observed)
    try:
        yield watcher
    finally:
        watcher.close()


def _phase(chaos: Chaos, observed: Observed, crew: Crew, watcher: Watcher, place: Place, chance: random.Random) -> None:
    """Kill at random moments until nothing is left to spend, then let the rest end by themselves."""
    watcher.look()
    now = time.monotonic()
    kill_at, still_at, spent = now + _pause(chaos, chance), now + STILL_SECONDS, -1
    ripe_nano_usd = watcher.spent_nano_usd + chaos.apart_nano_usd
    while now < still_at:
        watcher.look()
        now = time.monotonic()
        if watcher.spent_nano_usd != spent:
            spent, still_at = watcher.spent_nano_usd, now + STILL_SECONDS
        if watcher.unspent_nano_usd < UNSPENT_SHARE * chaos.budget_nano_usd:
            break
        if now >= kill_at and spent >= ripe_nano_usd and observed.kills < chaos.kills:
            if not crew.kill_one():
                observed.wrong.append("a worker ended by itself")
            observed.kills += 1
            kill_at, ripe_nano_usd = now + _pause(chaos, chance), spent + chaos.apart_nano_usd
        time.sleep(SAMPLE_SECONDS)
    place.stop.touch()
    codes = crew.wait()
    if any(codes):
        observed.wrong.append(f"workers ended with {codes}")


def _pause(chaos: Chaos, chance: random.Random) -> float:
    return chance.uniform(0.1, 1.9) * chaos.pause_seconds


@dataclass(frozen=True, slots=True)
class Counted:
    """What the check-then-add counter came to; `lost`: billed and never counted. Amounts are nano-USD."""

    kills: int
    budget_nano_usd: int
    counted_nano_usd: int
    billed_nano_usd: int

    @property
    def overspend_nano_usd(self) -> int:
        """Billed above the budget."""
        return max(self.billed_nano_usd - self.budget_nano_usd, 0)

    @property
    def lost_nano_usd(self) -> int:
        """Billed, and unknown to the counter."""
        return self.billed_nano_usd - self.counted_nano_usd


def count_naively(chaos: Chaos, folder: Path) -> Counted:
    """One budget of the same size through the counter, killed at the same pace."""
    chance, context, kills = random.Random(chaos.seed), processes(), 0
    path, record = folder / "counter.db", folder / "naive.jsonl"
    total = SharedTotal(path)
    with start_process(seed=chaos.seed, latency=LATENCY, record=record) as sim:
        urls = {name: sim.url + route for name, route in PATHS.items()}

        def start(number: int) -> BaseProcess:
            arguments = (path, urls, chaos.budget_nano_usd, chaos.seed + number)
            return context.Process(target=count, args=arguments, daemon=True)  # type: ignore[no-any-return]

        crew = Crew(chaos.processes, chance, start)
        ends_at, ripe_nano_usd = time.monotonic() + chaos.seconds_max, chaos.apart_nano_usd
        while total.nano_usd < chaos.budget_nano_usd and time.monotonic() < ends_at:
            time.sleep(_pause(chaos, chance))
            if total.nano_usd >= ripe_nano_usd:
                kills += crew.kill_one()
                ripe_nano_usd = total.nano_usd + chaos.apart_nano_usd
        crew.wait()
        counted = total.nano_usd
    total.close()
    billed = sum(entry.billed_nano_usd for entry in read_record(record))
    return Counted(kills, chaos.budget_nano_usd, counted, billed)


def budget(usd: str) -> int:
    """Dollars as nano-USD."""
    return nano_of(usd)
