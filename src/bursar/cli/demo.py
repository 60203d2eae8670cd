"""`bursar demo`: hold a hard budget before the user's eyes, and hold the books against the provider's record.

A simulated provider runs on this machine in a process of its own; the calls, the client, the books and the budget are
real. The same calls are then made through a check-then-add counter against a second simulator. Nothing is sent
anywhere else, and nothing is left behind unless --books names a file.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli.ending import FAILED, USAGE, EndedError
from bursar.cli.options import Usd, json_option
from bursar.cli.output import counted, echo_json
from bursar.rules.money import format_usd, nano_of, usd_of

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.cli.demo_calls import DemoCall
    from bursar.cli.demo_report import Outcome
    from bursar.cli.demo_run import Tally, Watch
    from bursar.cli.demo_screen import Screen
    from bursar.cli.naive import CheckThenAdd
    from bursar.client import AsyncClient

# What the calls cost on average is more: the money runs out before they do.
BUDGET_NANO_USD_PER_CALL = 250_000
# A seventh of what such models take: the calls overlap as they would, and the demo ends before one is bored.
LATENCY = 0.15
MAX_WAIT_SECONDS = 3
SHOW_SECONDS = 0.1
KEY = "sk-sim-demo"
PATHS = {"openai": "/openai/v1", "openrouter": "/openrouter/api/v1", "groq": "/groq/openai/v1"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What the demo was asked to do, and where: `folder` holds the simulators' records."""

    calls: Sequence[DemoCall]
    concurrency: int
    budget_nano_usd: int
    seed: int
    folder: Path
    books: Path
    began: float


@click.command()
@click.option("--calls", type=click.IntRange(1, 100_000), default=400, show_default=True, help="How many calls.")
@click.option("--budget", type=Usd(), metavar="USD", help="The hard budget; by default too little for all the calls.")
@click.option("--concurrency", type=click.IntRange(1, 500), default=64, show_default=True, help="Calls at a time.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed makes other calls.")
@click.option("--books", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Keep the books here.")
@json_option
def demo(calls: int, budget: Decimal | None, concurrency: int, seed: int, books: Path | None, as_json: bool) -> None:
    """Watch a hard budget hold where a naive counter breaks. Takes ten seconds, no key, no network.

    Exit code 0 when the budget was kept and the books agree with the provider's record, else 1.
    """
    from bursar.cli.demo_calls import demo_calls
    from bursar.cli.demo_report import as_object, report
    from bursar.cli.demo_screen import open_screen

    began = time.monotonic()
    if books is not None and books.exists():
        raise EndedError(f"{books} exists: the demo keeps its books in a new file", USAGE, code="books_exist")
    budget_nano_usd = BUDGET_NANO_USD_PER_CALL * calls if budget is None else nano_of(budget)
    with tempfile.TemporaryDirectory(prefix="bursar-demo-") as name:
        folder = Path(name)
        setting = Setting(
            demo_calls(calls, seed), concurrency, budget_nano_usd, seed, folder, books or folder / "books.db", began
        )
        with _without_proxies(), open_screen(silent=as_json) as screen:
            outcome = _perform(setting, screen, kept=books)
    if as_json:
        echo_json(as_object(outcome))
    else:
        report(outcome, screen.say)
    if not outcome.holds:
        sys.exit(FAILED)


def _perform(setting: Setting, screen: Screen, *, kept: Path | None) -> Outcome:
    """Both runs, each against a simulator of its own; then what the books and the records say."""
    from bursar.cli.demo_proof import agreement, spend_by_model
    from bursar.cli.demo_report import Outcome
    from bursar.cli.naive import CheckThenAdd
    from bursar.sim.process import start_process
    from bursar.sim.record import read_record

    records = (setting.folder / "bursar.jsonl", setting.folder / "naive.jsonl")
    with ExitStack() as running:
        urls = [
            running.enter_context(start_process(seed=setting.seed, latency=LATENCY, record=record)).url
            for record in records
        ]
        _introduce(setting, screen)
        tally, watch = asyncio.run(_governed(setting, urls[0], screen))
        screen.say()
        screen.say("Now the same calls through a counter that checks first and adds afterwards ...")
        naive = CheckThenAdd(_base_urls(urls[1]), KEY, setting.budget_nano_usd)
        asyncio.run(_naive(setting, naive, screen))
    # The simulators have ended, and with them all that they were still generating: the records are complete.
    bill, naive_bill = (read_record(record) for record in records)
    facts, spent_nano_usd, held_nano_usd = _read_books(setting.books)
    return Outcome(
        tally=tally,
        waited=watch.waited,
        budget_nano_usd=setting.budget_nano_usd,
        spent_nano_usd=spent_nano_usd,
        held_nano_usd=held_nano_usd,
        agreement=agreement(facts, bill),
        spends=tuple(spend_by_model(facts)),
        naive_sent=naive.sent,
        naive_counted_nano_usd=naive.total.nano_usd,
        naive_billed_nano_usd=sum(entry.billed_nano_usd for entry in naive_bill),
        seconds=time.monotonic() - setting.began,
        books=kept,
    )


@contextmanager
def _without_proxies() -> Iterator[None]:
    """The simulators are on this machine: what the environment says of proxies is not for them."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "127.0.0.1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before


def _introduce(setting: Setting, screen: Screen) -> None:
    models = {call.model for call in setting.calls}
    screen.say("A provider that only exists on this machine: it streams, bills and fails.")
    size = f"{counted(len(setting.calls), 'call')}, {setting.concurrency} at a time, to {counted(len(models), 'model')}"
    screen.say(f"{size}; callers leave some, some fail.")
    screen.say(f"One hard budget: {format_usd(setting.budget_nano_usd)}. It will not be enough.", style="bold")
    screen.say()


async def _governed(setting: Setting, url: str, screen: Screen) -> tuple[Tally, Watch]:
    """The calls through a client of Bursar's, with its books in a file."""
    from bursar.cli.demo_run import Tally, Watch, make_calls
    from bursar.client import AsyncClient

    tally, watch = Tally(len(setting.calls)), Watch(screen.tell)
    async with AsyncClient(
        _config(url, setting.concurrency),
        budget_usd=usd_of(setting.budget_nano_usd),
        per="total",
        books=setting.books,
    ) as llm:
        llm._engine.watch(watch)
        showing = asyncio.create_task(_show(llm, setting, tally, screen))
        await make_calls(llm, setting.calls, setting.concurrency, tally)
        showing.cancel()
    return tally, watch


async def _show(llm: AsyncClient, setting: Setting, tally: Tally, screen: Screen) -> None:
    from bursar.cli.demo_screen import Standing

    began = time.monotonic()
    while True:
        balance = (await asyncio.to_thread(llm.budgets))[0]
        # Whoever waits in the teller's room is not in flight.
        waiting = llm._engine.teller.waiting
        screen.show(
            Standing(
                seconds=time.monotonic() - began,
                budget_nano_usd=balance.limit,
                spent_nano_usd=balance.spent,
                held_nano_usd=balance.held,
                calls=tally.calls,
                ok=tally.ok,
                in_flight=max(tally.begun - tally.ended - waiting, 0),
                waiting=waiting,
                refused=tally.refused,
                aborted=tally.aborted,
                failed=tally.failed,
            )
        )
        await asyncio.sleep(SHOW_SECONDS)


async def _naive(setting: Setting, naive: CheckThenAdd, screen: Screen) -> None:
    """The same calls through the counter."""
    from bursar.cli.demo_screen import Counting

    async def show() -> None:
        while True:
            screen.show(Counting(naive.budget_nano_usd, naive.total.nano_usd, len(setting.calls), naive.sent))
            await asyncio.sleep(SHOW_SECONDS)

    showing = asyncio.create_task(show())
    await naive.run(setting.calls, setting.concurrency)
    showing.cancel()


def _config(url: str, concurrency: int) -> dict[str, object]:
    providers = {
        name: {"base_url": base_url, "api_key": KEY, "max_connections": concurrency}
        for name, base_url in _base_urls(url).items()
    }
    return {"max_wait_seconds": MAX_WAIT_SECONDS, "llm": {"providers": providers}}


def _base_urls(url: str) -> dict[str, str]:
    return {name: url + path for name, path in PATHS.items()}


def _read_books(path: Path) -> tuple[list[Fact], int, int]:
    """The ledger, and what the budget says is spent and held, from books that everyone has closed."""
    from bursar.cli.opening import now_ms
    from bursar.edges.stores.sqlite import SqliteStore

    store = SqliteStore(path)
    try:
        balance = store.balances(now_ms())
        # Opening the books ends what a client that died had held: the demo counts that as held still.
        held_nano_usd = sum(nano_usd for _, nano_usd in store.recovered.attempts)
        return (
            store.attempts(limit=sys.maxsize),
            sum(one.spent for one in balance),
            held_nano_usd + sum(one.held for one in balance),
        )
    finally:
        store.close()
