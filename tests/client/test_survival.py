"""The table of faults, each in both colours, whole and streamed: alone it is the right error, with a fallback a right
answer, after output where the route says so. In each, the books are the bill, nothing is held, no seat is in use, and
the breaker's permit has come back.

All cases run at the same time, each with a client of its own; the tests look at what became of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

import pytest

import bursar
from bursar.call.books import Balance, Fact
from bursar.config.tree import AfterFirstToken
from bursar.errors import BursarError, ProviderError
from tests.client.colours import COLOURS, Teller, opened
from tests.client.failing_server import FailingServer, failing_server
from tests.client.faults_table import FAULTS, Fault, Shape
from tests.client.simulator import Sim, simulating

MODEL, FALLBACK = "openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"
DEADLINE_SECONDS = 60.0
# Whoever has not come back by then hangs.
HANGS_SECONDS = 90.0
AT_ONCE, HEAVY_AT_ONCE = 48, 2
HOWS: tuple[AfterFirstToken, ...] = get_args(AfterFirstToken)

Case = tuple[Fault, str, Shape, bool, AfterFirstToken]
CASES: list[Case] = [
    (fault, colour, shape, alone, how)
    for fault in FAULTS
    for colour in COLOURS
    for shape in fault.shapes
    for alone in (True, False)
    for how in (HOWS if fault.begun and shape == "streamed" else HOWS[:1])
]


@dataclass
class Outcome:
    """What became of one call. billed: by attempt. health: what the breaker took it for, where it was a probe."""

    reply: bursar.Reply | None
    error: BaseException | None
    facts: list[Fact]
    billed: dict[str, int]
    balance: Balance
    seats: int
    health: str
    permit: bool


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[Case, Outcome]]:
    """Every case of the table, played."""
    with simulating() as sim, failing_server() as failing:
        yield asyncio.run(play_all(sim, failing))


async def play_all(sim: Sim, failing: FailingServer) -> dict[Case, Outcome]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE))
    light, heavy = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(HEAVY_AT_ONCE)

    async def one(case: Case) -> tuple[Case, Outcome]:
        async with heavy if case[0].heavy else light:
            return case, await play(sim, failing, *case)

    return dict(await asyncio.gather(*map(one, CASES)))


async def play(
    sim: Sim, failing: FailingServer, fault: Fault, colour: str, shape: Shape, alone: bool, how: AfterFirstToken
) -> Outcome:
    config = sim.config(openai=keys_of(fault, failing))
    config["routes"] = {"route": {"candidates": [MODEL], "after_first_token": how}}
    async with opened(colour, config, budget_usd=5) as llm:
        if alone:
            await open_breaker(llm)
        asking: dict[str, Any] = {"model": "route", "max_tokens": 50, "timeout": DEADLINE_SECONDS}
        if not alone:
            asking["fallbacks"] = [FALLBACK]
        ask: Any = llm.stream if shape == "streamed" else llm.chat
        reply, error = None, None
        try:
            answer = await asyncio.wait_for(ask("[[tokens=8]]", **asking), HANGS_SECONDS)
            reply = answer.reply if shape == "streamed" else answer
        except (BursarError, TimeoutError) as raised:
            error = raised
        facts = llm.facts()
        billed = {fact.attempt_id: sim.billed(fact.attempt_id) + failing.billed[fact.attempt_id] for fact in facts}
        health, permit = health_of_probe(llm), await takes_permit(llm)
        return Outcome(reply, error, facts, billed, llm.budgets()["client"], llm.seats(), health, permit)


def keys_of(fault: Fault, failing: FailingServer) -> dict[str, Any]:
    """The provider that fails so. One failure opens its breaker, for a moment."""
    keys: dict[str, Any] = {"circuit_breaker_threshold": 1, "circuit_breaker_timeout": 0.2, **fault.keys}
    if fault.sim:
        keys["extra_headers"] = {"x-sim-fault": fault.sim}
    if fault.wire or fault.base_url:
        keys["base_url"] = fault.base_url or failing.base(fault.wire)
    return keys


def breaker_of(llm: Teller) -> Any:
    return llm.client._engine.breakers.of(*MODEL.split("/"))


async def open_breaker(llm: Teller) -> None:
    """Open the breaker and wait until it lets one call pass: what follows is a probe, whose permit must come back."""
    guard = breaker_of(llm)
    guard.finish(guard.take(), "failure", 0)
    assert guard.opened == 1
    await allowed(guard)


def health_of_probe(llm: Teller) -> str:
    """A failed probe opens the breaker once more, a good one closes it."""
    guard = breaker_of(llm)
    return "failure" if guard.opened > 1 else "success" if guard.state == "closed" else "ignored"


async def takes_permit(llm: Teller) -> bool:
    """Whether the next call may pass, once any open time is over."""
    guard = breaker_of(llm)
    await allowed(guard)
    return guard.take() is not None


async def allowed(guard: Any) -> None:
    async with asyncio.timeout(10):
        while not guard.allows():  # noqa: ASYNC110 - only time makes it so
            await asyncio.sleep(0.01)


def name_of(value: object) -> str:
    return ("alone" if value else "fallback") if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("fault", "colour", "shape", "alone", "how"), CASES, ids=name_of)
def test_a_fault_is_survived(
    outcomes: dict[Case, Outcome], fault: Fault, colour: str, shape: Shape, alone: bool, how: AfterFirstToken
) -> None:
    outcome = outcomes[fault, colour, shape, alone, how]
    check_books(outcome)
    if alone or not fault.replaceable(shape, how):
        check_alone(outcome, fault, shape)
    else:
        check_replaced(outcome, fault)
    if alone:
        assert outcome.health == fault.health


def check_books(outcome: Outcome) -> None:
    """Certain rows are the bill, uncertain ones never below it; nothing is held or in use."""
    for fact in outcome.facts:
        billed = outcome.billed[fact.attempt_id]
        assert fact.charged_nano_usd == (billed if fact.certain else fact.bound_nano_usd), fact
        assert fact.charged_nano_usd >= billed, fact
    assert outcome.balance.held == 0
    assert outcome.balance.spent == sum(fact.charged_nano_usd for fact in outcome.facts)
    assert outcome.seats == 0
    assert outcome.permit


def check_alone(outcome: Outcome, fault: Fault, shape: Shape) -> None:
    """The right error, or a good reply all the same; one attempt, and its cost known or not."""
    (fact,) = outcome.facts
    assert fact.certain is fault.certain
    expected = fault.error_of(shape)
    assert type(outcome.error) is (expected or type(None)), outcome.error
    if expected is None:
        assert outcome.reply is not None
        assert outcome.reply.text
        assert outcome.reply.provider == "openai"
        assert outcome.reply.receipt.earlier == ()
        return
    error = outcome.error
    assert isinstance(error, ProviderError)
    assert (error.provider, error.model, error.attempts) == ("openai", "gpt-4o-mini", 1)
    assert (error.call_id, error.sent) == (fact.call_id, fault.sent)
    assert error.retry_after_seconds == fault.retry_after_seconds
    assert (error.cost is None) is not fault.sent
    if error.cost is not None:
        assert (error.cost.nano_usd == outcome.billed[fact.attempt_id]) is fault.certain
    if isinstance(error, bursar.StreamInterruptedError):
        assert error.reply.text
        assert error.reply.receipt.charged_nano_usd == fact.charged_nano_usd


def check_replaced(outcome: Outcome, fault: Fault) -> None:
    """The other candidate answered, is named, and is paid; the receipt says what had failed."""
    assert outcome.error is None
    assert outcome.reply is not None
    assert outcome.reply.text
    assert (outcome.reply.provider, outcome.reply.model) == ("groq", "llama-3.1-8b-instant")
    second, first = outcome.facts
    assert (first.provider, second.provider) == ("openai", "groq")
    assert (first.certain, second.certain) == (fault.certain, True)
    assert first.attempt_id != second.attempt_id
    assert outcome.reply.cost.nano_usd == outcome.billed[second.attempt_id]
    (earlier,) = outcome.reply.receipt.earlier
    assert (earlier.provider, earlier.model) == ("openai", "gpt-4o-mini")
    assert (earlier.error_code, earlier.charged_nano_usd) == (first.error_code, first.charged_nano_usd)
    assert earlier.error_code
