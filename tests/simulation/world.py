"""Many callers in several processes on the same books, with everything that can go wrong, in virtual time.

The engine, flow, driver, drain, teller and rules are the real ones; the network, the providers and time are simulated,
and chance comes from a seed: the same seed tells the same story. While it runs and at its end everything is held
against what the providers billed by an account of their own. `Verdict.wrong` has a sentence for whatever does not hold:

- no budget is ever passed, whatever fails, is cancelled or dies; no call costs more than its own caps;
- no byte goes out without its hold, and no attempt's id goes out twice;
- what the books call certain is what was billed, and the rest is never below it;
- at rest nothing is held: no money, seat, permit or place in a queue;
- nobody outlives a deadline, and whoever has patience is served or refused for good;
- what was cut is never shown as whole, and once the providers are well everybody is served again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bursar.call.books import Expire
from bursar.call.events import AttemptFailed, BreakerChanged, CallEnded, CallRefused, Event, HoldsExpired
from bursar.config import Settings, load
from bursar.errors import BudgetExceededError
from tests.simulation.books import SharedBooks
from tests.simulation.calling import Caller, Script, script_of
from tests.simulation.judging import judge
from tests.simulation.loop import StandstillError, VirtualLoop, simulate
from tests.simulation.process import SimulatedProcess
from tests.simulation.provider import SimulatedProvider, Tariff

ROUTES = {
    "one": ["alpha/small"],
    "two": ["alpha/small", "beta/large"],
    "three": ["gamma/tiny", "alpha/small", "beta/large", "beta/other"],
}
MODELS = ["alpha/small", "beta/large", "gamma/tiny", *ROUTES, *ROUTES]
# Arrivals, and everything that goes wrong, happen in so many seconds.
BUSY_SECONDS = 60.0
# A world in which so much is wrong need not go on.
WRONG_MAX = 20
# Whoever got its money later than that has waited for it.
WAITED_MS = 100
# Longer than any breaker stays open: it has a minute and a half of bad weather to learn from.
REST_SECONDS = 200.0


@dataclass(slots=True)
class Verdict:
    """What came of one seed. story: what happened, a line each. figures: how often what."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


class World:
    """One seed's world."""

    def __init__(self, seed: int, loop: VirtualLoop, calls: int) -> None:
        self.verdict = Verdict(seed)
        self.loop = loop
        self.chance = Random(f"world {seed}")
        self.books = SharedBooks(self.wrong)
        tariffs = {
            "alpha": Tariff(1_000, 4_000, self.chance.choice((0, 30, 120)), self.chance.choice((0, 60_000))),
            "beta": Tariff(3_000, 7_000, self.chance.choice((0, 4))),
            "gamma": Tariff(500, 1_500, self.chance.choice((0, 6))),
        }
        self.providers = {
            name: SimulatedProvider(name, tariff, weather_of(self.chance), Random(f"{name} {seed}"), self.tell)
            for name, tariff in tariffs.items()
        }
        self.settings = settings_of(tariffs, self.chance)
        self.scripts = [script_of(number, BUSY_SECONDS, MODELS, self.chance) for number in range(calls)]
        self.processes: list[SimulatedProcess] = []
        self.callers: list[Caller] = []
        self.sent: set[str] = set()
        self.books_failed = False
        self.main: asyncio.Task[None] | None = asyncio.current_task()

    def wrong(self, sentence: str) -> None:
        """Note what does not hold."""
        self.tell(f"WRONG: {sentence}")
        self.verdict.wrong.append(f"{self.loop.seconds:.3f} s: {sentence}")
        if len(self.verdict.wrong) == WRONG_MAX and self.main is not None:
            self.main.cancel()

    def tell(self, sentence: str) -> None:
        """Go on with the story."""
        self.verdict.story.append(f"{self.loop.seconds:9.3f}  {sentence}")

    async def run(self) -> None:
        """From the first call to the last look at the books."""
        self.start_process()
        self.start_process()
        incidents = self.loop.create_task(self._incidents())
        tasks = [await self._begin(script) for script in sorted(self.scripts, key=lambda one: one.at_seconds)]
        await incidents
        await asyncio.gather(*tasks)
        await asyncio.sleep(REST_SECONDS)
        for process in self.alive():
            self.report(process.leftovers())
        await self._ask_all_again()
        await asyncio.sleep(REST_SECONDS)
        for process in self.alive():
            self.report(process.leftovers())
            await process.stop()
            self.report(process.leftovers())
        self.books.transact([Expire()], self.loop.now_ms)
        self.report(judge(self))

    def report(self, sentences: Iterator[str]) -> None:
        """Note all that is wrong."""
        for sentence in sentences:
            self.wrong(sentence)

    def billed(self) -> dict[str, int]:
        """What all providers have billed, in nano-USD by attempt."""
        return {name: nano_usd for one in self.providers.values() for name, nano_usd in one.bills.items()}

    def alive(self) -> list[SimulatedProcess]:
        """The processes that run."""
        return [process for process in self.processes if process.alive]

    def start_process(self) -> SimulatedProcess:
        """One more process on the same books."""
        number = len(self.processes)
        process = SimulatedProcess(
            number,
            self.settings,
            self.books,
            self.providers,
            self.loop,
            Random(f"process {number} {self.verdict.seed}"),
            sending=self.sending,
            watch=self.watch,
        )
        self.processes.append(process)
        return process

    def call(self, script: Script, process: SimulatedProcess) -> asyncio.Task[None]:
        """Let a caller go."""
        caller = Caller(script, process)
        self.callers.append(caller)
        task = caller.start()
        task.add_done_callback(lambda _: self._told(caller))
        return task

    def sending(self, attempt_id: str) -> None:
        """The first byte of an attempt is about to go out."""
        if attempt_id in self.sent:
            self.wrong(f"{attempt_id} is sent twice")
        self.sent.add(attempt_id)
        if self.books.carried_nano_usd(attempt_id) is None:
            self.wrong(f"{attempt_id} is sent, and nothing is held for it")

    def watch(self, event: Event) -> None:
        """An observer of every process."""
        self.verdict.figures[type(event).__name__] += 1
        if isinstance(event, CallEnded):
            fact = event.fact
            self.verdict.figures["waited"] += fact.wait_ms > WAITED_MS
            self.tell(
                f"{fact.attempt_id} at {fact.provider}/{fact.model} ends {fact.ending} {fact.error_code}: "
                f"{fact.charged_nano_usd} of {fact.bound_nano_usd} {'certain' if fact.certain else 'uncertain'}"
            )
        elif isinstance(event, AttemptFailed):
            self.tell(f"{event.fact.call_id} goes on at {event.next_provider} after {event.wait_ms} ms")
        elif isinstance(event, CallRefused):
            self.tell(f"{event.call_id} is refused: {event.error.code}")
        elif isinstance(event, HoldsExpired):
            self.tell(f"expired: {dict(event.attempts)}")
        elif isinstance(event, BreakerChanged):
            self.tell(f"the breaker of {event.provider}/{event.model} is {event.state} {event.why}")

    async def _begin(self, script: Script) -> asyncio.Task[None]:
        await asyncio.sleep(script.at_seconds - self.loop.time())
        return self.call(script, self.chance.choice(self.alive()))

    def _told(self, caller: Caller) -> None:
        self.verdict.figures[caller.outcome] += 1
        what = type(caller.error).__name__ if caller.error else ""
        self.tell(f"call {caller.script.number} ({caller.call_id}) is {caller.outcome} {what}")

    async def _incidents(self) -> None:
        """What goes wrong beside the providers: processes die, end or pause, and the books fail."""
        kinds: dict[str, Callable[[], Any]] = {
            "kill": self._kill,
            "stop": self._stop,
            "pause": self._pause,
            "fail": lambda: self._fail("fails"),
            "forget": lambda: self._fail("forgets"),
            "reconcile": self._reconcile,
        }
        for _ in range(self.chance.randint(0, 8)):
            await asyncio.sleep(self.chance.uniform(0, BUSY_SECONDS / 4))
            kind = self.chance.choice(list(kinds))
            self.tell(f"incident: {kind}")
            self.verdict.figures[kind] += 1
            await kinds[kind]()

    async def _kill(self) -> None:
        self.chance.choice(self.alive()).kill()
        self.start_process()

    async def _stop(self) -> None:
        process = self.chance.choice(self.alive())
        self.start_process()
        await process.stop()
        self.report(process.leftovers())

    async def _pause(self) -> None:
        self.chance.choice(self.alive()).pause()

    async def _fail(self, how: str) -> None:
        self.books_failed = True
        setattr(self.books, how, True)
        await asyncio.sleep(self.chance.choice((0.05, 0.5, 4.0)))
        setattr(self.books, how, False)

    async def _reconcile(self) -> None:
        """Somebody reads the providers' records, of whatever they have billed so far, and corrects the books."""
        for attempt_id in sorted(self.billed()):
            if self.chance.random() < 0.7:
                self.books.correct(attempt_id, self.billed()[attempt_id], self.loop.now_ms)

    async def _ask_all_again(self) -> None:
        """Everybody is well, and has been for long: everything is served that can be paid for."""
        for process in self.alive():
            for model in ("alpha/small", "beta/large", "gamma/tiny"):
                script = Script(len(self.callers), self.loop.time(), model, 1, stream=False, max_tokens=10)
                await self.call(script, process)
                error = self.callers[-1].error
                if error is not None and not (isinstance(error, BudgetExceededError) and not error.held):
                    self.wrong(f"{model} is not served although all is well: {error}")


def weather_of(chance: Random) -> list[tuple[float, str]]:
    """How the weather changes, until it is calm for good."""
    spells = [(chance.uniform(0, BUSY_SECONDS), chance.choice(("stormy", "down", "calm"))) for _ in range(3)]
    return [(0.0, chance.choice(("calm", "calm", "stormy"))), *sorted(spells), (BUSY_SECONDS * 1.5, "well")]


def settings_of(tariffs: Mapping[str, Tariff], chance: Random) -> Settings:
    """A configuration by chance. alpha's limits are known to it, beta's and gamma's are not."""
    alpha: dict[str, Any] = {"circuit_breaker_threshold": 3}
    if tariffs["alpha"].requests_per_minute:
        alpha["requests_per_minute"] = tariffs["alpha"].requests_per_minute
    if tariffs["alpha"].tokens_per_minute:
        alpha["tokens_per_minute"] = tariffs["alpha"].tokens_per_minute
    if chance.random() < 0.5:
        alpha |= {"max_cost_per_request": "0.03", "daily_cost_limit": "0.3"}
    if chance.random() < 0.5:
        alpha["concurrent_requests"] = 3
    beta: dict[str, Any] = {"max_retries": 1, "read_timeout": 8}
    gamma: dict[str, Any] = {"settles": "reserved", "requests_per_minute": 80, "max_retries": 0}
    if chance.random() < 0.5:
        gamma |= {"first_token_timeout": 4, "stall_timeout": 3, "on_abort": "cancel"}
    prices = {}
    for name, provider in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        provider |= {"base_url": f"http://{name}/v1", "api_key": "k", "max_connections": chance.choice((1, 3, 20))}
        provider |= {"pool_timeout": chance.choice((1, 10)), "circuit_breaker_timeout": 5}
        tariff = tariffs[name]
        for model in ("small", "large", "other", "tiny"):
            prices[f"{name}/{model}"] = {"input": tariff.input_nano_usd / 1000, "output": tariff.output_nano_usd / 1000}
    company = chance.choice(("0.1", "0.4", "2", "20"))
    budgets: dict[str, Any] = {"company": {"usd": company, "per": "total"}}
    if chance.random() < 0.6:
        budgets["users"] = {"usd": chance.choice(("0.05", "0.3")), "per": "day", "each": "user"}
    if chance.random() < 0.4:
        budgets["runs"] = {"usd": "0.1", "per": "total", "each": "session", "rolling": False}
    limits = {"flight": {"in_flight": 4, "each": "user"}} if chance.random() < 0.4 else {}
    config = {
        "max_wait_seconds": chance.choice((0, 3, 10)),
        "llm": {"providers": {"alpha": alpha, "beta": beta, "gamma": gamma}},
        "routes": ROUTES,
        "prices": prices,
        "budgets": budgets,
        "limits": limits,
    }
    return load(config, books="memory:", environ={})


def live(seed: int, *, calls: int = 80) -> Verdict:
    """Run the world of a seed to its end."""
    worlds: list[World] = []

    async def main(loop: VirtualLoop) -> None:
        world = World(seed, loop, calls)
        worlds.append(world)
        await world.run()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for sentence in [*loop.failures, *(f"still running: {task!r}" for task in others)]:
            world.wrong(sentence)

    try:
        simulate(main)
    except StandstillError as standstill:
        worlds[0].verdict.wrong.append(str(standstill))
    except asyncio.CancelledError:
        worlds[0].verdict.wrong.append("and so on")
    return worlds[0].verdict
