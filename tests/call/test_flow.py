"""The flow, driven by scripted outcomes: what it asks for, in which order, and what it makes of each ending."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.admission import GRACE_SECONDS
from bursar.call.books import Ended, Mark, Settle, Void
from bursar.call.effects import Admit, Open, Relay, Seat, Streamed
from bursar.call.events import BudgetOverdrawn, CallEnded, CallRefused, CostWarned
from bursar.call.exchange import Answer, Failed, Opened
from bursar.call.plan import Cap
from bursar.catalog.providers import Provider
from bursar.errors import (
    BudgetExceededError,
    BursarError,
    LimitExceededError,
    MalformedReplyError,
    PriceUnknownError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StoreUnavailableError,
    StreamInterruptedError,
)
from bursar.rules.allowances import Allowance, Denial
from tests.call.scripted import ELASTIC, ENDED, OK, REPLY_NANO_USD, Script, granted, plan_of

MONEY = Allowance("day", "nano_usd", 10**9, "calendar", "day")
HELD = Denial(MONEY, "", "over", "on_release", 50_000, 10, 0, 10**9 - 10, 10**9, resets_at_ms=86_400_000)
SPENT = Denial(MONEY, "", "over", "never", 50_000, 10, 10**9 - 10, 0, 10**9, resets_at_ms=86_400_000)


def test_a_call_is_seated_reserved_opened_and_settled_in_this_order() -> None:
    plan = plan_of()
    script = Script(plan)
    result = script.play([True, granted(plan), OK, ENDED])
    assert script.kinds == ["Seat", "Admit", "Open", "Settle"]
    assert result.cost.nano_usd == REPLY_NANO_USD
    assert result.cost.certain
    assert result.cost.source == "computed"
    assert result.receipt.held_nano_usd == granted(plan).nano_usd
    assert result.receipt.charged_nano_usd == REPLY_NANO_USD
    assert result.receipt.budgets == ENDED.balances
    settle = script.last(Settle)
    assert settle.fact.usage.input_tokens == 5
    assert settle.fact.request_id == "req"
    assert script.events == [CallEnded(settle.fact, True, ENDED.balances)]


def test_the_request_carries_the_attempts_id_and_never_a_changed_limit_of_the_caller() -> None:
    plan = plan_of()
    script = Script(plan)
    script.play([True, granted(plan), OK, ENDED])
    exchange = script.last(Open).exchange
    assert exchange.headers["X-Client-Request-Id"] == "call.0"
    assert b'"max_tokens":10' in exchange.body


@pytest.mark.parametrize(
    ("budgets", "observes", "sent"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_an_elastic_limit_is_sent_exactly_when_a_budget_enforces_it(budgets: bool, observes: bool, sent: bool) -> None:
    plan = plan_of(ELASTIC, observes=observes)
    script = Script(plan)
    script.play([True, granted(plan, output_tokens=33, budgets=budgets), OK, ENDED])
    assert (b'"max_tokens":33' in script.last(Open).exchange.body) is sent


def test_spent_money_is_refused_at_once_and_the_seat_given_back() -> None:
    script = Script(plan_of(wait_until_ms=10_000))
    with pytest.raises(BudgetExceededError) as raised:
        script.play([True, SPENT, None])
    assert script.kinds == ["Seat", "Admit", "Unseat"]
    assert not raised.value.retryable
    assert raised.value.resets_at_ms == 86_400_000
    assert isinstance(script.events[0], CallRefused)


def test_held_money_is_waited_for_without_a_connection() -> None:
    plan = plan_of(wait_until_ms=10_000)
    script = Script(plan)
    script.play([True, HELD, None, granted(plan, "call.1"), True, OK, Ended("call.1")])
    assert script.kinds == ["Seat", "Admit", "Unseat", "Admit", "Seat", "Open", "Settle"]
    assert [effect.until_ms for effect in script.effects if isinstance(effect, Admit)] == [0, 10_000]


def test_a_grant_that_finds_no_connection_is_voided_and_the_wait_begins_again() -> None:
    plan = plan_of(wait_until_ms=10_000)
    script = Script(plan)
    outcomes: list[Any] = [True, HELD, None, granted(plan, "call.1"), False, Ended("call.1")]
    script.play([*outcomes, True, granted(plan, "call.2"), OK, Ended("call.2")])
    assert script.last(Void).attempt_id == "call.1"
    # Whoever waits by turns with others for the only seat needs a moment for it; nobody holds money for longer.
    assert script.effects[4] == Seat("p", GRACE_SECONDS)
    ids = [effect.reserve.attempt_id for effect in script.effects if isinstance(effect, Admit)]
    assert ids == ["call.0", "call.1", "call.2"], "an id is never used for two reserves"


def test_after_a_wait_a_connection_is_not_waited_for_past_the_deadline() -> None:
    plan = plan_of(wait_until_ms=10_000, deadline_ms=20)
    script = Script(plan)
    with pytest.raises(ProviderTimeoutError):
        script.play([True, HELD, None, granted(plan, "call.1"), False, Ended("call.1"), False])
    assert script.effects[4] == Seat("p", 0.02)


def test_without_patience_held_money_is_refused_with_advice() -> None:
    script = Script(plan_of(wait_until_ms=0))
    with pytest.raises(BudgetExceededError) as raised:
        script.play([True, HELD, None])
    assert raised.value.held
    assert raised.value.retryable


def test_a_limit_refusal_says_when_to_come_back() -> None:
    rpm = Allowance("rpm", "requests", 1, "bucket", "minute")
    later = Denial(rpm, "", "over", "later", 1, 0, 1, 0, 1, wait_ms=1_500)
    with pytest.raises(LimitExceededError) as raised:
        Script(plan_of()).play([True, later, None])
    assert raised.value.retry_after_seconds == 1.5


def test_failing_books_refuse_before_anything_is_sent() -> None:
    script = Script(plan_of())
    with pytest.raises(StoreUnavailableError):
        script.play([True, StoreUnavailableError("disk full"), None])
    assert "Open" not in script.kinds


def test_no_connection_within_the_pool_timeout_holds_no_money() -> None:
    script = Script(plan_of())
    with pytest.raises(ProviderTimeoutError) as raised:
        script.play([Failed("pool", False, "no connection was free")])
    assert not raised.value.sent
    assert script.kinds == ["Seat"]


def test_a_cap_refuses_before_the_first_effect() -> None:
    script = Script(plan_of(caps=(Cap("max_cost_usd", 10),)))
    with pytest.raises(BudgetExceededError, match="max_cost_usd"):
        script.play([])


def test_a_cap_narrows_an_elastic_limit_and_is_sent_even_without_budgets() -> None:
    cap = Cap("max_cost_usd", plan_of(ELASTIC).demand.nano_usd(20))
    plan = plan_of(ELASTIC, caps=(cap,))
    assert plan.demand.output_tokens_max == 20
    script = Script(plan)
    script.play([True, granted(plan, budgets=False), OK, ENDED])
    assert b'"max_tokens":20' in script.last(Open).exchange.body


def test_an_unknown_price_under_a_budget_prints_the_lines_to_add() -> None:
    denial = Denial(MONEY, "", "price", "never", 0, 0, 0, 0, 10**9)
    with pytest.raises(PriceUnknownError, match="prices:\n  p/m:"):
        Script(plan_of(priced=False)).play([True, denial, None])


def test_an_unknown_price_without_a_budget_is_shown_as_unknown_never_as_zero() -> None:
    plan = plan_of(priced=False)
    result = Script(plan).play([True, granted(plan, budgets=False), OK, Ended("call.0")])
    assert result.cost.nano_usd is None
    assert str(result.cost) == "unknown"


def test_what_was_provably_not_sent_is_voided() -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(ProviderUnavailableError) as raised:
        script.play([True, granted(plan), Failed("connect", False, "refused"), ENDED])
    void = script.last(Void)
    assert void.fact.charged_nano_usd == 0
    assert void.fact.ending == "not_sent"
    assert raised.value.cost is None
    assert not raised.value.sent


@pytest.mark.parametrize("kind", ["broken", "timeout", "cancelled", "too_large"])
def test_what_may_have_been_sent_stays_charged_at_the_bound(kind: Any) -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(BursarError) as raised:
        script.play([True, granted(plan), Failed(kind, True, "gone"), ENDED])
    fact = script.last(Settle).fact
    assert not fact.certain
    assert fact.charged_nano_usd == granted(plan).nano_usd
    assert raised.value.cost is not None
    assert raised.value.cost.nano_usd is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, BursarError), (401, ProviderAuthError), (429, ProviderRateLimitError), (500, ProviderUnavailableError)],
)
def test_a_refusal_by_status_is_certain_and_free(status: int, error: type[BursarError]) -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(error):
        script.play([True, granted(plan), Answer(status, {}, b'{"error":{"message":"no","type":"t"}}'), ENDED])
    fact = script.last(Settle).fact
    assert fact.certain
    assert fact.charged_nano_usd == 0


@pytest.mark.parametrize(("headers", "request_id"), [({}, "req_body"), ({"request-id": "req_head"}, "req_head")])
def test_the_error_itself_names_the_request_where_its_head_does_not(headers: dict[str, str], request_id: str) -> None:
    plan = plan_of()
    script = Script(plan)
    body = b'{"type":"error","error":{"type":"api_error","message":"no"},"request_id":"req_body"}'
    with pytest.raises(ProviderUnavailableError) as raised:
        script.play([True, granted(plan), Answer(500, headers, body), ENDED])
    assert raised.value.request_id == script.last(Settle).fact.request_id == request_id


@pytest.mark.parametrize(
    ("status", "header", "retryable"),
    [(429, None, True), (429, "false", False), (400, None, False), (400, "true", True), (503, "false", False),
     (503, "perhaps", True)],
)  # fmt: skip
def test_the_providers_own_word_on_a_retry_is_on_the_error(status: int, header: str | None, retryable: bool) -> None:
    plan = plan_of()
    headers = {} if header is None else {"x-should-retry": header}
    with pytest.raises(ProviderError) as raised:
        Script(plan).play([True, granted(plan), Answer(status, headers, b'{"error":{"message":"no"}}'), ENDED])
    assert raised.value.retryable is retryable


@pytest.mark.parametrize("status", [502, 504, 524])
def test_a_gateways_failure_is_not_certain(status: int) -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(BursarError):
        script.play([True, granted(plan), Answer(status, {}, b"<html>"), ENDED])
    fact = script.last(Settle).fact
    assert not fact.certain
    assert fact.charged_nano_usd == granted(plan).nano_usd


def test_a_provider_that_bills_errors_is_not_believed_to_be_free() -> None:
    plan = plan_of(provider=Provider("p", "http://p/v1", bills_errors=True))
    script = Script(plan)
    with pytest.raises(BursarError):
        script.play([True, granted(plan), Answer(500, {}, b"{}"), ENDED])
    assert not script.last(Settle).fact.certain


def test_an_error_that_carries_usage_costs_what_it_says() -> None:
    plan = plan_of()
    script = Script(plan)
    body = b'{"error":{"message":"no"},"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}}'
    with pytest.raises(BursarError):
        script.play([True, granted(plan), Answer(400, {}, body), ENDED])
    assert script.last(Settle).fact.charged_nano_usd == 5_000


def test_a_reply_that_is_not_json_is_an_error_charged_at_the_bound() -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(MalformedReplyError):
        script.play([True, granted(plan), Answer(200, {}, b"<html>hello"), ENDED])
    fact = script.last(Settle).fact
    assert not fact.certain
    assert fact.charged_nano_usd == granted(plan).nano_usd


def test_a_reply_without_usage_is_whole_but_its_cost_is_not_known() -> None:
    plan = plan_of()
    script = Script(plan)
    body = b'{"id":"x","model":"m","choices":[{"index":0,"message":{"content":"ho"},"finish_reason":"stop"}]}'
    result = script.play([True, granted(plan), Answer(200, {}, body), ENDED])
    assert result.cost.nano_usd is None
    assert not result.cost.certain
    assert result.receipt.charged_nano_usd == granted(plan).nano_usd


def test_a_bill_beyond_the_bound_is_carried_and_raises_an_alarm() -> None:
    plan = plan_of()
    script = Script(plan)
    body = OK.body.replace(b'"completion_tokens":2,"total_tokens":7', b'"completion_tokens":9000,"total_tokens":9005')
    result = script.play([True, granted(plan), Answer(200, {}, body), Ended("call.0", overdrawn=("day",))])
    assert result.receipt.charged_nano_usd > result.receipt.held_nano_usd
    assert BudgetOverdrawn("call", ("day",)) in script.events


def test_books_that_cannot_be_written_leave_the_reply_marked_unsettled() -> None:
    plan = plan_of()
    result = Script(plan).play([True, granted(plan), OK, StoreUnavailableError("disk full")])
    assert not result.receipt.settled
    assert "not yet in the books" in str(result.receipt)


def test_a_cost_at_the_warning_threshold_is_told() -> None:
    plan = plan_of(warn_nano_usd=REPLY_NANO_USD)
    script = Script(plan)
    script.play([True, granted(plan), OK, ENDED])
    assert any(isinstance(event, CostWarned) for event in script.events)


STREAM = ELASTIC.replace(b"}]}", b'}],"stream":true}')
CHUNK = b'data: {"id":"s","model":"m","choices":[{"index":0,"delta":{"content":"ho"},"finish_reason":null}]}\n\n'
STOP = b'data: {"id":"s","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = (
    b'data: {"id":"s","model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\n'
)
DONE = b"data: [DONE]\n\n"


def stream(script: Script, plan: Any, data: bytes, streamed: Streamed, ended: Ended = ENDED) -> Any:
    """Play a stream: the reader is fed when the flow relays it."""
    flow, outcomes = script.flow, [None, True, granted(plan), Opened(200, {"x-request-id": "req"})]
    for outcome in outcomes:
        effect: Any = flow.send(outcome)
        script.effects.append(effect)
    effect.reader.feed(data)
    script.effects.append(flow.send(streamed))
    try:
        flow.send(ended)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the flow did not end")


def test_a_whole_stream_costs_what_its_usage_says() -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    result = stream(script, plan, CHUNK + STOP + USAGE + DONE, Streamed(first_token_ms=7))
    assert script.kinds == ["Seat", "Admit", "Open", "Relay", "Settle"]
    assert result.cost.nano_usd == REPLY_NANO_USD
    assert result.cost.certain
    assert script.last(Settle).fact.first_token_ms == 7


@pytest.mark.parametrize("data", [b"", CHUNK, CHUNK + STOP[:-9], CHUNK + USAGE[:-30]])
def test_a_cut_stream_is_never_shown_as_success_and_stays_at_the_bound(data: bytes) -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(StreamInterruptedError) as raised:
        stream(script, plan, data, Streamed(Failed("broken", True, "the connection broke"), 7))
    fact = script.last(Settle).fact
    assert (fact.ending, fact.error_code) == ("interrupted", "broken")
    assert not fact.certain
    assert fact.charged_nano_usd == granted(plan).nano_usd
    assert raised.value.reply.receipt.charged_nano_usd == fact.charged_nano_usd


BROKEN = Failed("broken", True, "the connection broke")
LATE = Failed("timeout", True, "nothing came for 5 s")
HUGE = Failed("too_large", True, "the reply is over 9 bytes")


@pytest.mark.parametrize(
    ("failed", "error", "code"),
    [
        (BROKEN, ProviderUnavailableError, "broken"),
        (LATE, ProviderTimeoutError, "timeout"),
        (HUGE, MalformedReplyError, "too_large"),
        (None, ProviderUnavailableError, "incomplete"),
    ],
)
def test_a_stream_that_broke_before_it_said_anything_fails_as_a_whole_reply_does(
    failed: Failed | None, error: type[BursarError], code: str
) -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(error) as raised:
        stream(script, plan, b": wait\n\n", Streamed(failed))
    fact = script.last(Settle).fact
    assert (fact.ending, fact.error_code, fact.certain) == ("interrupted", code, False)
    assert fact.charged_nano_usd == granted(plan).nano_usd
    assert not isinstance(raised.value, StreamInterruptedError)


ERROR = b'data: {"error":{"code":502,"message":"upstream","type":"bad_gateway"},"choices":[]}\n\n'


def test_an_error_inside_a_stream_is_that_error_as_long_as_nothing_was_said() -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(ProviderUnavailableError, match="upstream"):
        stream(script, plan, ERROR, Streamed())
    assert script.last(Settle).fact.ending == "error"


def test_an_error_inside_a_stream_that_had_begun_hands_over_what_came_and_says_why() -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(StreamInterruptedError, match="upstream") as raised:
        stream(script, plan, CHUNK + ERROR, Streamed(first_token_ms=7))
    assert isinstance(raised.value.__cause__, ProviderUnavailableError)
    assert (raised.value.status, raised.value.provider_code) == (502, "bad_gateway")
    assert raised.value.reply.receipt.charged_nano_usd == granted(plan).nano_usd
    assert script.last(Settle).fact.ending == "error"


def test_an_error_in_place_of_a_stream_is_that_error() -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    body = b'{"error":{"message":"no money","code":"insufficient_quota"}}'
    with pytest.raises(ProviderQuotaError, match="no money"):
        stream(script, plan, b"", Streamed(instead=body))
    fact = script.last(Settle).fact
    assert (fact.ending, fact.error_code, fact.certain) == ("error", "insufficient_quota", False)


def test_a_whole_reply_in_place_of_a_stream_is_an_error_that_costs_what_its_usage_says() -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(MalformedReplyError, match="in place of a stream") as raised:
        stream(script, plan, b"", Streamed(instead=OK.body))
    assert script.last(Settle).fact.charged_nano_usd == REPLY_NANO_USD
    assert raised.value.cost is not None
    assert raised.value.cost.nano_usd == REPLY_NANO_USD


@pytest.mark.parametrize("body", [b"\n<!DOCTYPE html><html>", b'{"id":', b"[1"])
def test_whatever_else_comes_in_place_of_a_stream_is_malformed(body: bytes) -> None:
    plan = plan_of(STREAM)
    script = Script(plan)
    with pytest.raises(MalformedReplyError):
        stream(script, plan, b"", Streamed(instead=body))
    assert script.last(Settle).fact.charged_nano_usd == granted(plan).nano_usd


def test_a_stream_whose_caller_left_and_that_was_drained_is_certain_and_marked() -> None:
    plan = plan_of(STREAM)
    script = Script(plan, gone=True)
    result = stream(script, plan, CHUNK + STOP + USAGE + DONE, Streamed())
    assert result.cost.certain
    assert script.last(Settle).fact.ending == "aborted"


def test_a_stream_that_was_left_and_cut_stays_at_the_bound() -> None:
    plan = plan_of(STREAM)
    script = Script(plan, gone=True)
    with pytest.raises(StreamInterruptedError):
        stream(script, plan, CHUNK, Streamed(Failed("cancelled", True, "the caller went away"), 7))
    fact = script.last(Settle).fact
    assert fact.ending == "aborted"
    assert fact.charged_nano_usd == granted(plan).nano_usd


RECORDING = Provider("p", "http://p/v1", records="/generation")
HEAD = {"x-request-id": "edge-7", "x-generation-id": "gen-7"}


def test_the_providers_id_goes_into_the_books_as_soon_as_a_stream_is_open() -> None:
    plan = plan_of(STREAM, provider=RECORDING)
    script = Script(plan)
    with pytest.raises(StreamInterruptedError):
        script.play([True, granted(plan), Opened(200, HEAD), None, Streamed(Failed("broken", True, "cut"), 7), ENDED])
    assert script.kinds == ["Seat", "Admit", "Open", "Mark", "Relay", "Settle"]
    assert script.last(Mark) == Mark("call.0", "gen-7")
    assert script.last(Settle).fact.request_id == "gen-7", "the id under which the record is kept"


@pytest.mark.parametrize(("provider", "head"), [(Provider("p", "http://p/v1"), HEAD), (RECORDING, {})])
def test_a_stream_that_no_record_can_be_found_of_pays_for_no_mark(provider: Provider, head: dict[str, str]) -> None:
    plan = plan_of(STREAM, provider=provider)
    script = Script(plan)
    with pytest.raises(StreamInterruptedError):
        script.play([True, granted(plan), Opened(200, head), Streamed(Failed("broken", True, "cut"), 7), ENDED])
    assert "Mark" not in script.kinds


def test_a_reply_that_broke_after_its_head_keeps_the_providers_id() -> None:
    plan = plan_of()
    script = Script(plan)
    with pytest.raises(BursarError):
        script.play([True, granted(plan), Failed("broken", True, "cut", 200, HEAD), ENDED])
    assert script.last(Settle).fact.request_id == "gen-7"


@pytest.mark.parametrize(
    ("row", "head", "on_abort"),
    [(RECORDING, HEAD, "cancel"), (RECORDING, {}, "drain"), (Provider("p", "http://p/v1"), {}, "cancel")],
)
def test_a_stream_is_closed_at_once_only_where_its_record_can_be_asked_for(
    row: Provider, head: dict[str, str], on_abort: str
) -> None:
    plan = plan_of(STREAM, provider=row, on_abort="cancel")
    script = Script(plan)
    mark = [None] if head else []
    with pytest.raises(StreamInterruptedError):
        script.play([True, granted(plan), Opened(200, head), *mark, Streamed(BROKEN, 7), ENDED])
    assert script.last(Relay).on_abort == on_abort
