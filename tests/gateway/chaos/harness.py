"""Kills workers of a gateway, and now and then all of it, while callers come and go; the budgets are watched meanwhile.

The simulator is a process of its own with its record in a file, the gateway is `bursar serve` with two workers on one
SQLite file. Whenever little is left of the budget it is raised, as an operator would. A kill waits until somebody was
answered since the last one, so that each hits a gateway at work. Used by test_kills.py and by bench/gateway_kills.py.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.money import usd_of
from bursar.sim.process import start_process
from tests.chaos.counting import KEY
from tests.chaos.harness import PATHS, Observed, Watcher, watching
from tests.chaos.worker import ROUTES
from tests.gateway.chaos.load import Address, Callers, Tally, send
from tests.gateway.process import START_SECONDS, Served, children
from tests.gateway.running import ADMIN_KEY, SECRET

WORKERS = 2
# Latency of the simulator: enough for calls to be in flight when their worker is killed.
LATENCY = 0.03
FAULTS = (
    "status:503,probability=0.04",
    "status:429,retry_after=0,probability=0.02",
    "drop,probability=0.02",
    "truncate:2,probability=0.02",
)
# Names of callers' keys, with their teams and what `bursar keys create` is told besides.
KEYS = {
    "ann": ("search",),
    "bob": ("shop", "--limit", "in_flight=3"),
    "cid": ("shop", "--budget-usd", "0.002", "--per", "total"),
}
# Teams with budgets of their own, in USD for a day.
TEAMS = {"search": "1000", "shop": "0.01"}
SAMPLE_SECONDS = 0.03
# So many kills are followed by HUP at once, which then meets a worker that is starting.
RELOAD_SHARE = 0.25
# The budget is raised when so little of one step is left.
UNSPENT_SHARE = 0.2
# All that waits for a process to do something.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """What to do. kills: in all. supervisor_every: one in so many hits the supervisor, whose workers are orphans then.
    callers: threads. budget_nano_usd: of the first step, and of each that follows. pause_seconds: between kills, on
    average.
    """

    kills: int
    supervisor_every: int
    callers: int
    budget_nano_usd: int
    seed: int
    pause_seconds: float
    seconds_max: float


@dataclass(slots=True)
class Seen(Observed):
    """What was seen of the gateway. supervisors: kills of these. back_seconds: until the port was served again, each.

    again: statuses of calls that were asked for again at the end. left: files that were left behind.
    """

    supervisors: int = 0
    reloads: int = 0
    settled: int = 0
    back_seconds: list[float] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class Kept:
    """A gateway that is started again, on its port, when it was killed; as systemd would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = folder / "run"
        self._runs.mkdir()
        self.said: list[str] = []
        self.served = self._start(0)
        self.address: Address = _address(self.served.url)

    def workers(self) -> list[int]:
        """The worker processes, without what multiprocessing keeps beside them."""
        return [pid for pid in children(self.served.process.pid) if b"spawn_main" in _command(pid)]

    def wait_workers(self, gone: set[int]) -> None:
        """Until there are as many as there should be, none of them one of `gone`, and the gateway answers."""
        try:
            wait(lambda: len(set(self.workers()) - gone) == WORKERS and self.answers(), "two workers")
        except AssertionError:
            raise AssertionError(self.workers(), gone, self.answers(), self.served.said[-20:]) from None

    def kill_worker(self, chance: random.Random) -> int | None:
        """Kill any worker with SIGKILL; None where there is none at this moment."""
        workers = self.workers()
        if not workers:
            return None
        victim = chance.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return victim

    def kill_supervisor(self) -> tuple[float, list[int]]:
        """Kill it with SIGKILL and start another on its port. Seconds until that answers, and the orphans."""
        began, orphans, dead = time.monotonic(), self.workers(), self.served
        dead.process.kill()
        dead.process.wait()
        while True:
            started = self._start(self.address[1])
            if started.url:
                break
            assert time.monotonic() < began + PATIENCE_SECONDS, started.said
        self.served = started
        wait(self.answers, "an answer")
        seconds = time.monotonic() - began
        dead.close()
        self.said += dead.said
        return seconds, orphans

    def answers(self) -> bool:
        """Whether it says that it is ready."""
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def read_again(self) -> int:
        """How often workers said that they had read the configuration again."""
        return sum("was read again" in line for line in self.served.said)

    def end(self) -> int:
        """Stop it with TERM; its exit code."""
        code = self.served.end()
        self.served.close()
        self.said += self.served.said
        return code

    def close(self) -> None:
        """Kill what still runs of it."""
        running = self.workers() if self.served.process.poll() is None else []
        self.served.process.kill()
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.served.process.wait()
        self.served.close()

    def left_behind(self) -> list[str]:
        """What is in the folder of temporary files, and of the locks of those who hold money."""
        found = [*self._runs.iterdir(), *(self._folder / "books.db-owners").iterdir()]
        return sorted(str(path.relative_to(self._folder)) for path in found)

    def _start(self, port: int) -> Served:
        """Start it; where the port is still taken, its `url` stays empty."""
        environ = {"BURSAR_ADMIN_KEY": ADMIN_KEY, "BURSAR_SECRET": SECRET, "TMPDIR": str(self._runs)}
        started = Served(self._folder, ("--port", str(port), "--workers", str(WORKERS)), environ)
        started.wait_announced()
        if not started.url:
            started.process.wait(START_SECONDS)
            started.close()
        return started


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Kept]:
    """A gateway that answers; nothing of it is left running."""
    gateway = Kept(folder)
    try:
        gateway.wait_workers(set())
        yield gateway
    finally:
        gateway.close()


def govern(chaos: Chaos, folder: Path) -> Seen:
    """Everything: kills under load, then peace, the calls that were cut asked for again, and reconciliation."""
    seen, chance, dead = Seen(), random.Random(chaos.seed), set[int]()
    arguments = [part for fault in FAULTS for part in ("--fault", fault)]
    with start_process(seed=chaos.seed, latency=LATENCY, record=folder / "sim.jsonl", arguments=arguments) as sim:
        keys = prepare(folder, sim.url, seen, chaos.budget_nano_usd, *KEYS)
        with kept(folder) as gateway, watching(folder / "books.db", sim.url, seen) as watcher:
            with Callers(gateway.address, keys, chaos.callers, chaos.seed) as callers:
                seen.tally = callers.tally
                ends_at = time.monotonic() + chaos.seconds_max
                while seen.kills < chaos.kills and time.monotonic() < ends_at:
                    _work_on(chaos, seen, watcher, folder, chance)
                    dead |= _kill(chaos, gateway, seen, chance)
                gateway.wait_workers(dead)
            seen.again = ask_again(gateway.address, folder, seen.tally)
            wait(lambda: not holds(folder), "nothing held")
            watcher.look()
            seen.settled = reconcile(folder)
            _end(gateway, seen, folder)
    return seen


def govern_calmly(folder: Path, callers: int, reloads: int) -> tuple[Seen, Counter[str]]:
    """Nobody is killed, and no caller leaves: HUP under load so many times, then TERM, under load as well.

    Also returned: how calls had ended for their callers before the TERM.
    """
    seen = Seen()
    with start_process(latency=LATENCY, record=folder / "sim.jsonl") as sim:
        keys = prepare(folder, sim.url, seen, 10**12, "ann")
        with kept(folder) as gateway, watching(folder / "books.db", sim.url, seen) as watcher:
            with Callers(gateway.address, keys, callers, 1, leaving=False) as calling:
                seen.tally = calling.tally
                for number in range(reloads):
                    answered = calling.tally.ended["answered"]
                    gateway.served.tell(signal.SIGHUP)
                    wait(lambda told=(number + 1) * WORKERS: gateway.read_again() == told, "a reload")  # type: ignore[misc]
                    wait(lambda most=answered + callers: calling.tally.ended["answered"] > most, "answers")  # type: ignore[misc]
                    watcher.look()
                with calling.tally.lock:
                    before = calling.tally.ended.copy()
                _end(gateway, seen, folder)
    return seen, before


def prepare(folder: Path, sim_url: str, seen: Seen, budget_nano_usd: int, *names: str) -> list[str]:
    """A configuration, books with a budget, teams, and the keys of these names; their texts."""
    write_config(folder, sim_url)
    keys = create_keys(folder, names)
    raise_budget(folder, seen, budget_nano_usd)
    return keys


def _end(gateway: Kept, seen: Seen, folder: Path) -> None:
    if gateway.end():
        seen.wrong.append("the gateway did not end well")
    (folder / "gateway.log").write_text("\n".join(gateway.said), "utf-8")  # for whoever looks into what is wrong
    SqliteStore(folder / "books.db").close()  # who opens the books next buries the last who were killed
    seen.left = gateway.left_behind()
    seen.wrong += [f"it said: {line}" for line in gateway.said if "Traceback" in line or "is killed" in line]


def _work_on(chaos: Chaos, seen: Seen, watcher: Watcher, folder: Path, chance: random.Random) -> None:
    """Let callers work until the next kill is due and somebody was answered; raise the budget when it is spent."""
    due, before = time.monotonic() + chance.uniform(0.1, 1.9) * chaos.pause_seconds, seen.tally.statuses[200]
    while time.monotonic() < due or seen.tally.statuses[200] == before:
        watcher.look()
        if watcher.unspent_nano_usd < UNSPENT_SHARE * chaos.budget_nano_usd:
            raise_budget(folder, seen, chaos.budget_nano_usd)
        assert time.monotonic() < due + PATIENCE_SECONDS, "nobody is answered any more"
        time.sleep(SAMPLE_SECONDS)


def _kill(chaos: Chaos, gateway: Kept, seen: Seen, chance: random.Random) -> set[int]:
    """Kill a worker, or the supervisor; who is dead now, or soon."""
    if (seen.kills + 1) % chaos.supervisor_every == 0:
        seconds, orphans = gateway.kill_supervisor()
        seen.kills, seen.supervisors = seen.kills + 1, seen.supervisors + 1
        seen.back_seconds.append(seconds)
        return set(orphans)
    victim = gateway.kill_worker(chance)
    if victim is None:
        return set()
    seen.kills += 1
    if chance.random() < RELOAD_SHARE:
        gateway.served.tell(signal.SIGHUP)
        seen.reloads += 1
    return {victim}


def write_config(folder: Path, sim_url: str) -> None:
    """Providers of the simulator and a budget for each model; that of all is set in the books, and raised."""
    bases = {**PATHS, "anthropic": "/anthropic/v1"}
    providers: dict[str, Any] = {name: {"base_url": sim_url + route, "api_key": KEY} for name, route in bases.items()}
    for provider in providers.values():
        provider |= {"retry_base_seconds": 0.01, "circuit_breaker_timeout": 0.2}
    config = {
        "books": "books.db",
        "max_wait_seconds": 1,
        "llm": {"providers": providers},
        "routes": {name: list(models) for name, models in ROUTES.items()},
        "budgets": {"models": {"usd": "1000", "per": "day", "each": "model"}},
        "gateway": {"stop_seconds": 5, "store_replies": True},
    }
    (folder / "bursar.yaml").write_text(yaml.safe_dump(config), "utf-8")


def raise_budget(folder: Path, seen: Seen, step_nano_usd: int) -> None:
    """Raise the budget of all by one step."""
    seen.phases += 1
    seen.limit_nano_usd += step_nano_usd
    run(folder, "budget", "set", "company", "--usd", str(usd_of(seen.limit_nano_usd)), "--per", "total")


def create_keys(folder: Path, names: Sequence[str]) -> list[str]:
    """Make keys and their teams; the texts of the keys."""
    made, wanted = [], {name: KEYS[name] for name in names}
    for team in {team for team, *_ in wanted.values()}:
        run(folder, "teams", "create", team, "--budget-usd", TEAMS[team])
    for name, (team, *more) in wanted.items():
        told = run(folder, "keys", "create", "--name", name, "--team", team, *more, "--json")
        made.append(msgspec.json.decode(told)["key"])
    return made


def ask_again(address: Address, folder: Path, tally: Tally) -> list[int]:
    """Ask once more for every call whose end nobody has seen, under its name; the statuses.

    A minute after a worker's death nobody waits for it any more: that minute is taken off its leases.
    """
    with contextlib.closing(sqlite3.connect(folder / "books.db", timeout=PATIENCE_SECONDS)) as connection:
        connection.execute("UPDATE replays SET lease_until_ms = 0 WHERE NOT ended")
        connection.commit()
    before, chance = tally.statuses.copy(), random.Random(1)
    for ask in list(tally.unanswered.values()):
        send(address, ask, tally, "stays", chance)
    return list((tally.statuses - before).elements())


def holds(folder: Path) -> int:
    """How many calls hold money."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'books.db'}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM holds").fetchone()[0])


def reconcile(folder: Path) -> int:
    """Settle what is uncertain by the provider's own records; how many were."""
    return int(msgspec.json.decode(run(folder, "reconcile", "--json"))["settled"])


def run(folder: Path, *arguments: str) -> bytes:
    """`bursar` in the folder; what it printed."""
    environ = {**os.environ, "BURSAR_SECRET": SECRET}
    command = [sys.executable, "-m", "bursar", *arguments]
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False, timeout=120)
    assert ended.returncode == 0, (arguments, ended.stderr)
    return ended.stdout


def wait(happened: Callable[[], bool], what: str) -> None:
    """Wait for something that other processes do."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.05)


def _address(url: str) -> Address:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
