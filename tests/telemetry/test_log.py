"""Log lines: who is logged at which level, what a line says, and that nothing breaks out of one."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.call.events import (
    AttemptFailed,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallFailed,
    CallRefused,
    CostWarned,
    Event,
    HoldsExpired,
    LimitBeyondProvider,
)
from bursar.errors import LimitExceededError, PriceUnknownError, ProviderUnavailableError
from bursar.telemetry.log import SAID_MAX, VALUE_CHARACTERS_MAX, CallLog, record_line
from tests.telemetry.facts import fact_of


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def logged(*events: Event, level: int = logging.INFO, **settings: Any) -> list[tuple[str, str]]:
    """The level and line of every record that these events make."""
    return [(record.levelname, record.getMessage()) for record in records(*events, level=level, **settings)]


def records(*events: Event, level: int = logging.INFO, **settings: Any) -> list[logging.LogRecord]:
    logger, kept = logging.getLogger("tests.telemetry"), Kept()
    logger.handlers, logger.propagate = [kept], False
    logger.setLevel(level)
    log = CallLog(logger=logger, **settings)
    for event in events:
        log(event)
    return kept.records


CALL = (
    "call_ended call=call provider=openai model=gpt-4o served_model=gpt-4o-2024-08-06 ending=ok status=200 "
    "duration_ms=1500 first_token_ms=300"
)
COST = "cost_usd=0.000042000 cost_source=computed certain=yes charged_usd=0.000042000"
TOKENS = "input_tokens=100 output_tokens=20 cached_input=40"


def test_nothing_is_said_of_calls_unless_it_is_asked_for() -> None:
    assert logged(CallEnded(fact_of())) == []
    assert logged(CallEnded(fact_of()), costs={"groq"}, token_usage=["groq"]) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"costs": {"openai"}}, f"{CALL} {COST}"),
        ({"token_usage": {"openai"}}, f"{CALL} {TOKENS}"),
        ({"costs": {"openai"}, "token_usage": {"openai"}}, f"{CALL} {COST} {TOKENS}"),
    ],
)
def test_costs_and_tokens_are_logged_where_the_provider_asks_for_them(settings: dict[str, Any], line: str) -> None:
    assert logged(CallEnded(fact_of()), **settings) == [("INFO", line)]


def test_an_unknown_cost_is_not_nothing_and_a_bound_is_shown() -> None:
    fact = fact_of(cost_nano_usd=None, cost_source="unknown", certain=False, charged_nano_usd=90_000, ending="error")
    ((_, line),) = logged(CallEnded(fact), costs={"openai"})
    assert "cost_usd=unknown cost_source=unknown certain=no charged_usd=0.000090000" in line


def test_nobodys_key_user_or_tag_is_logged() -> None:
    events = (CallEnded(fact_of(), settled=False), CostWarned(fact_of(), 1))
    for record in records(*events, costs={"openai"}, token_usage={"openai"}):
        for private in ("deadbeef", "ann"):
            assert private not in record.getMessage()
            assert private not in str(vars(record))


def test_the_default_logger_is_bursars(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="bursar"):
        CallLog(costs={"openai"})(CallEnded(fact_of()))
    assert [record.name for record in caplog.records] == ["bursar"]


def test_a_handler_finds_the_fields_on_the_record() -> None:
    (record,) = records(CallEnded(fact_of()), costs={"openai"})
    fields = vars(record)["bursar"]
    assert (fields["event"], fields["cost_nano_usd"], fields["certain"]) == ("call_ended", 42_000, True)


def test_a_level_that_is_off_costs_no_line() -> None:
    class Unspeakable(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise AssertionError("a line was made for nobody")

    fact = fact_of(model=Unspeakable("m"))
    assert logged(CallEnded(fact), level=logging.WARNING, costs={"openai"}) == []


def test_a_call_that_the_books_do_not_have_is_a_warning_whoever_the_provider_is() -> None:
    ((level, line),) = logged(CallEnded(fact_of(), settled=False))
    assert level == "WARNING"
    assert line.startswith("call_unsettled call=call provider=openai")
    assert "bursar doctor" in line


def test_a_call_that_failed_says_where_and_nothing_in_the_providers_words() -> None:
    error = ProviderUnavailableError(
        "openai/gpt-4o (503): no room for 'my prompt'", provider="openai", model="gpt-4o", status=503,
        request_id="req_1", attempts=2,
    )  # fmt: skip
    ((level, line),) = logged(CallFailed("call", "openai", "gpt-4o", error))
    assert level == "INFO"
    assert line == (
        "call_failed call=call provider=openai model=gpt-4o error=provider_unavailable status=503 "
        "request_id=req_1 attempts=2"
    )


def test_a_refusal_says_why_and_when_to_come_back() -> None:
    error = LimitExceededError(
        "Limit 'rpm': needs 1, 0 free.", limit="rpm", meter="requests", needed=1, capacity=9, retry_after_seconds=2.5
    )
    ((level, line),) = logged(CallRefused("call", "openai", "gpt-4o", error, 40))
    assert level == "INFO"
    assert line == (
        "call_refused call=call provider=openai model=gpt-4o code=rate_limit_exceeded wait_ms=40 "
        "retry_after_seconds=2.5 why=\"Limit 'rpm': needs 1, 0 free.\""
    )


def test_a_refusal_of_several_lines_is_one_line() -> None:
    error = PriceUnknownError("Not known.\n\nprices:\n  a/b: {}", models=("a/b",))
    ((_, line),) = logged(CallRefused("call", "a", "b", error, 0))
    assert line.endswith('why="Not known.\\n\\nprices:\\n  a/b: {}"')


def test_a_dear_call_is_a_warning() -> None:
    ((level, line),) = logged(CostWarned(fact_of(), 40_000))
    assert level == "WARNING"
    assert line.startswith("cost_warned call=call provider=openai model=gpt-4o")
    assert line.endswith(f"{COST} threshold_usd=0.000040000")


def test_a_budget_above_its_limit_is_an_error_that_says_what_to_do() -> None:
    ((level, line),) = logged(BudgetOverdrawn("call", ("company", "teams")))
    assert level == "ERROR"
    assert line.startswith('budget_overdrawn call=call budgets="company,teams" meaning="These budgets stand above')
    assert "bursar budget top-up" in line


def test_expired_holds_are_a_warning_with_their_number_and_money() -> None:
    attempts = tuple((f"a.{number}", 1_000_000_000) for number in range(7))
    ((level, line),) = logged(HoldsExpired(attempts))
    assert level == "WARNING"
    assert 'holds_expired holds=7 charged_usd=7.000000000 attempts="a.0, a.1, a.2, a.3, a.4, and 2 more"' in line
    assert "bursar usage" in line


@given(st.text(), st.text())
def test_no_value_breaks_out_of_its_line(model: str, code: str) -> None:
    fact = fact_of(model=model, error_code=code, served_model=code)
    ((_, line),) = logged(CallEnded(fact), costs={"openai"})
    assert line.isprintable()
    assert line.isascii()
    assert line.endswith(COST)


@pytest.mark.parametrize("bad", ["a b", 'a"b', "a=b", "a\nb", "\x1b[31m", "\x7f", "\u2028", "\u202e", "é", "\ud800"])
def test_what_is_not_a_plain_word_is_quoted(bad: str) -> None:
    line = record_line("event", {"name": bad})
    assert line.isascii()
    assert line.isprintable()
    assert line.startswith('event name="')
    assert line.endswith('"')


def test_a_long_value_is_cut() -> None:
    assert record_line("event", {"name": "x" * 10_000}) == f"event name={'x' * VALUE_CHARACTERS_MAX}..."


@pytest.mark.parametrize(
    ("nano_usd", "shown"),
    [(0, "0.000000000"), (1, "0.000000001"), (-1, "-0.000000001"), (10**18, "1000000000.000000000"), (None, "unknown")],
)
def test_money_has_every_digit(nano_usd: int | None, shown: str) -> None:
    assert record_line("event", {"cost_nano_usd": nano_usd}) == f"event cost_usd={shown}"


def beyond(allowed: int) -> LimitBeyondProvider:
    return LimitBeyondProvider("call", "openai", "openai.requests_per_minute", allowed)


def test_a_limit_beyond_the_providers_is_said_once_for_each_that_it_says() -> None:
    told = logged(beyond(500), beyond(500), beyond(500), beyond(60), level=logging.WARNING)
    assert [level for level, _ in told] == ["WARNING", "WARNING"]
    assert told[0][1].startswith(
        "limit_beyond_provider provider=openai limit=openai.requests_per_minute allowed=500 meaning="
    )
    assert "allowed=60" in told[1][1]


def test_a_provider_that_says_another_limit_each_time_is_not_followed_for_ever() -> None:
    assert len(logged(*map(beyond, range(SAID_MAX + 50)))) == SAID_MAX


BROKEN = BreakerChanged("openai", "gpt-4o", "open", 1_795_176_060_000, 1_795_176_000_000, "5 failures in a row", 1)


def test_a_breaker_that_opens_is_a_warning_with_why_and_until_when() -> None:
    [(level, line)] = logged(BROKEN)
    assert level == "WARNING"
    assert line.startswith(
        "breaker_opened provider=openai model=gpt-4o until=2026-11-20T12:01:00Z "
        'why="5 failures in a row" meaning="Calls to this model are refused'
    )


def test_a_breaker_that_closes_is_said_and_a_probe_only_when_asked() -> None:
    probing, closed = replace(BROKEN, state="half_open", until_ms=0), replace(BROKEN, state="closed", why="")
    assert logged(probing, closed) == [("INFO", "breaker_closed provider=openai model=gpt-4o")]
    assert logged(probing, level=logging.DEBUG) == [
        ("DEBUG", 'breaker_probing provider=openai model=gpt-4o why="5 failures in a row"')
    ]


def test_an_attempt_that_failed_says_what_comes_next() -> None:
    failed = fact_of(ending="error", status=503, error_code="server_is_overloaded", charged_nano_usd=0, duration_ms=40)
    told = logged(
        AttemptFailed(failed, "groq", "llama-3.1-8b-instant", 0), AttemptFailed(failed, "openai", "gpt-4o", 500)
    )
    line = "attempt_failed call=call provider=openai model=gpt-4o status=503 error=server_is_overloaded duration_ms=40"
    assert told == [
        ("WARNING", f"{line} charged_usd=0.000000000 next=groq/llama-3.1-8b-instant wait_ms=0"),
        ("WARNING", f"{line} charged_usd=0.000000000 next=openai/gpt-4o wait_ms=500"),
    ]


def test_what_a_provider_calls_its_error_cannot_break_out_of_its_line() -> None:
    [(_, line)] = logged(AttemptFailed(fact_of(error_code="a\nb c=d"), "groq", "m", 0))
    assert 'error="a\\nb c=d"' in line
