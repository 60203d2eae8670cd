"""Attempt after attempt in the flow, driven by scripted outcomes: permits, seats and errors of a call of several."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from bursar.call.books import Ended, Settle, Void
from bursar.call.effects import Streamed
from bursar.call.events import AttemptFailed, CallFailed, CallRefused, CandidateRefused
from bursar.call.exchange import Answer, Failed, Opened
from bursar.call.plan import Health, Plan
from bursar.call.route import Failure, Step
from bursar.errors import (
    CircuitBreakerError,
    ProviderRateLimitError,
    ProviderUnavailableError,
    StreamInterruptedError,
)
from bursar.wire.continuing import Said
from bursar.wire.dialect import Metered
from bursar.wire.joining import Joint
from bursar.wire.openai_chat import OpenAIChat
from tests.call.scripted import OK, REPLY_NANO_USD, Script, granted, plan_of
from tests.call.test_flow import CHUNK, STREAM

DOWN = Answer(503, {}, b'{"error":{"message":"no","type":"server_error"}}')


class Ways:
    """A route through plans, one attempt each. `charged`: what it was told at each turn."""

    def __init__(self, *plans: Plan, wait_ms: int = 0) -> None:
        self.plans = list(plans)
        self.wait_ms = wait_ms
        self.charged: list[int] = []
        self.failed: list[Failure] = []

    def first(self) -> Plan:
        return self.plans.pop(0)

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        self.failed.append(failure)
        self.charged.append(charged_nano_usd)
        return Step(self.plans.pop(0), self.wait_ms) if self.plans else None


class Permits:
    """A breaker of as many permits as it is given, that notes how they came back."""

    def __init__(self, *permits: int | None, allows: bool = True) -> None:
        self.permits = list(permits)
        self.open = not allows
        self.finished: list[tuple[int, Health]] = []

    def allows(self) -> bool:
        return not self.open

    def take(self) -> int | None:
        return self.permits.pop(0)

    def finish(self, permit: int, outcome: Health, duration_ms: int) -> None:
        self.finished.append((permit, outcome))

    def refusal(self) -> CircuitBreakerError:
        return CircuitBreakerError("open", retry_after_seconds=3.0)


def second(attempt: int = 1, **changes: Any) -> Plan:
    return plan_of(attempt=attempt, model="n", **changes)


def test_each_attempt_is_settled_before_the_next_is_reserved() -> None:
    first, other = plan_of(), second()
    ways = Ways(first, other, wait_ms=40)
    script = Script(first, route=ways)
    result = script.play(
        [True, granted(first), DOWN, Ended("call.0"), True, True, granted(other, "call.1"), OK, Ended("call.1")]
    )
    assert script.kinds == ["Seat", "Admit", "Open", "Settle", "Sleep", "Seat", "Admit", "Open", "Settle"]
    assert result.cost.nano_usd == REPLY_NANO_USD
    assert [(one.provider, one.model, one.charged_nano_usd) for one in result.receipt.earlier] == [("p", "m", 0)]
    failed = next(event for event in script.events if isinstance(event, AttemptFailed))
    assert (failed.next_model, failed.wait_ms, ways.charged) == ("n", 40, [0])


def test_who_has_gone_when_the_wait_is_over_is_not_asked_for() -> None:
    plan = plan_of()
    script = Script(plan, route=Ways(plan, second(), wait_ms=40))
    with pytest.raises(ProviderUnavailableError):
        script.play([True, granted(plan), DOWN, Ended("call.0"), False])
    assert script.kinds[-1] == "Sleep"


def test_what_an_attempt_may_have_cost_is_told_to_the_route() -> None:
    plan = plan_of()
    ways = Ways(plan, second())
    script = Script(plan, route=ways)
    broken = Failed("broken", True, "cut")
    with pytest.raises(ProviderUnavailableError) as raised:
        script.play(
            [True, granted(plan), broken, Ended("call.0"), True, granted(second(), "call.1"), broken, Ended("call.1")]
        )
    bound = granted(plan).nano_usd
    assert ways.charged == [bound, 2 * bound]
    assert raised.value.attempts == 2
    assert [one.charged_nano_usd for one in raised.value.earlier] == [bound]
    assert script.events[-1] == CallFailed("call", "p", "n", raised.value)


@pytest.mark.parametrize(
    ("answer", "health", "ends"),
    [
        (OK, "success", nullcontext()),
        (DOWN, "failure", pytest.raises(ProviderUnavailableError)),
        (Answer(429, {}, b"{}"), "ignored", pytest.raises(ProviderRateLimitError)),
    ],
)
def test_a_permit_comes_back_with_how_the_provider_did(answer: Answer, health: Health, ends: Any) -> None:
    permits = Permits(7)
    plan = plan_of(guard=permits)
    with ends:
        Script(plan).play([True, granted(plan), answer, Ended("call.0")])
    assert permits.finished == [(7, health)]


def test_an_open_breaker_is_found_before_a_seat_is_taken() -> None:
    plan = plan_of(guard=Permits(allows=False))
    script = Script(plan)
    with pytest.raises(CircuitBreakerError) as raised:
        script.play([])
    assert raised.value.call_id == "call"
    assert isinstance(script.events[0], CallRefused)


def test_a_candidate_that_is_refused_on_the_way_is_told_of() -> None:
    refused, other = plan_of(guard=Permits(allows=False)), second(11)
    script = Script(refused, route=Ways(refused, other))
    script.play([True, granted(other, "call.11"), OK, Ended("call.11")])
    told = next(event for event in script.events if isinstance(event, CandidateRefused))
    assert (told.call_id, told.place, told.provider, told.model) == ("call", refused.attempt, "p", refused.model)
    assert (told.error.code, told.scopes) == ("circuit_open", refused.scopes)
    assert not any(isinstance(event, CallRefused) for event in script.events)


def test_a_call_that_nobody_took_tells_of_every_candidate_and_of_its_end() -> None:
    plans = [plan_of(guard=Permits(allows=False)), second(11, guard=Permits(allows=False))]
    script = Script(plans[0], route=Ways(*plans))
    with pytest.raises(CircuitBreakerError):
        script.play([])
    assert [(type(event), event.model) for event in script.events] == [
        (CandidateRefused, "m"), (CandidateRefused, "n"), (CallRefused, "m")
    ]  # fmt: skip
    assert script.events[-1].scopes == plans[0].scopes


def test_without_a_permit_what_was_granted_is_given_back() -> None:
    permits = Permits(None)
    plan = plan_of(guard=permits)
    script = Script(plan)
    with pytest.raises(CircuitBreakerError) as raised:
        script.play([True, granted(plan), Ended("call.0"), None])
    assert script.kinds == ["Seat", "Admit", "Void", "Unseat"]
    assert script.last(Void).attempt_id == "call.0"
    assert (raised.value.call_id, permits.finished) == ("call", [])


def test_a_permit_comes_back_from_a_flow_that_failed_by_itself() -> None:
    class Faulty(OpenAIChat):
        def meter(self, body: bytes) -> Metered:
            raise ZeroDivisionError

    permits = Permits(7)
    plan = plan_of(guard=permits, dialect=Faulty())
    with pytest.raises(ZeroDivisionError):
        Script(plan).play([True, granted(plan), OK])
    assert permits.finished == [(7, "ignored")]


def test_a_partial_reply_says_what_had_failed_before_it() -> None:
    first, other = plan_of(STREAM), second(body=STREAM)
    script = Script(first, route=Ways(first, other))
    flow = script.flow
    for outcome in (None, True, granted(first), DOWN, Ended("call.0"), True, granted(other, "call.1")):
        flow.send(outcome)
    relay: Any = flow.send(Opened(200, {}))
    relay.reader.feed(CHUNK)
    settle = flow.send(Streamed(Failed("broken", True, "cut"), 5))
    assert isinstance(settle, Settle)
    with pytest.raises(StreamInterruptedError) as raised:
        flow.send(Ended("call.1"))
    assert [one.model for one in raised.value.reply.receipt.earlier] == ["m"]
    assert replace(raised.value.reply.receipt, earlier=()).attempt_id == "call.1"


def test_what_broke_off_is_handed_on_only_where_it_is_kept() -> None:
    """Nothing of a stream is remembered where no route asks for it."""
    for keeps in (False, True):
        first, other = plan_of(STREAM, keeps_said=keeps), second(body=STREAM)
        route = Ways(first, other)
        flow = Script(first, route=route).flow
        for outcome in (None, True, granted(first)):
            flow.send(outcome)
        relay: Any = flow.send(Opened(200, {}))
        assert (relay.keeps_said, relay.continues) == (keeps, False)
        flow.send(Streamed(Failed("broken", True, "cut"), 5, delivered=(b"seen",)))
        flow.send(Ended("call.0"))
        assert [failure.shown for failure in route.failed] == [(b"seen",) if keeps else ()]


def test_a_plan_that_goes_on_joins_its_stream_to_the_one_before() -> None:
    plan = plan_of(STREAM, joint=Joint(Said("ho, ", 1)))
    flow = Script(plan).flow
    for outcome in (None, True, granted(plan)):
        flow.send(outcome)
    relay: Any = flow.send(Opened(200, {}))
    assert relay.continues
    started = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    assert relay.reader.feed(started) == []
    (shown,) = relay.reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":" he"}}]}\n\n')
    assert b'"content":"he"' in shown


def test_a_caller_who_saw_some_is_told_so_whatever_came_after() -> None:
    first, other = plan_of(STREAM), second(body=STREAM)
    script = Script(first, route=Ways(first, other))
    flow = script.flow
    for outcome in (None, True, granted(first)):
        flow.send(outcome)
    relay: Any = flow.send(Opened(200, {}))
    relay.reader.feed(CHUNK)
    for outcome in (Streamed(Failed("broken", True, "cut"), 5), Ended("call.0"), True, granted(other, "call.1"), DOWN):
        flow.send(outcome)
    with pytest.raises(StreamInterruptedError) as raised:
        flow.send(Ended("call.1"))
    error = raised.value
    assert isinstance(error.__cause__, ProviderUnavailableError)
    assert [one.model for one in error.earlier] == ["n"]
    assert (error.reply.receipt.attempt_id, error.attempts) == ("call.0", 2)
