"""Log records as lines of JSON: what a line holds, and what never comes into one."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.call.events import AttemptFailed, BreakerChanged, CallEnded, CallRefused, CostWarned, Event
from bursar.errors import QueueFullError
from bursar.telemetry.jsonlog import TEXT_CHARACTERS_MAX, JsonLines
from bursar.telemetry.log import CallLog
from tests.telemetry.facts import fact_of
from tests.telemetry.test_log import records

CANARY = "canary-7f3a9c"


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines().format(record)
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def told(event: Event, **settings: Any) -> dict[str, Any]:
    (record,) = records(event, **settings)
    return line_of(record)


def record(message: str = "said", *args: object, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("bursar", logging.INFO, __file__, 1, message, args, fields.pop("exc_info", None))
    made.created = 1_795_003_200.25
    vars(made).update(fields)
    return made


def test_a_call_is_one_object_with_its_ids_and_its_cost() -> None:
    line = told(CallEnded(fact_of()), costs={"openai"}, token_usage={"openai"})
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO", "logger": "tests.telemetry", "message": "call ended", "event": "call_ended",
        "call_id": "call", "attempt_id": "call.0", "provider": "openai", "model": "gpt-4o",
        "served_model": "gpt-4o-2024-08-06", "ending": "ok", "status": 200, "duration_ms": 1_500,
        "first_token_ms": 300, "cost_usd": 0.000042, "cost_source": "computed", "certain": True,
        "charged_usd": 0.000042, "input_tokens": 100, "output_tokens": 20, "cached_input": 40,
    }  # fmt: skip


def test_an_amount_is_a_plain_number_and_one_that_is_not_known_is_null() -> None:
    (made,) = records(CallEnded(fact_of(cost_nano_usd=1, charged_nano_usd=12_000_000_001)), costs={"openai"})
    line = JsonLines().format(made)
    assert '"cost_usd":0.000000001,' in line
    assert '"charged_usd":12.000000001,' in line
    assert told(CallEnded(fact_of(cost_nano_usd=None)), costs={"openai"})["cost_usd"] is None


@pytest.mark.parametrize(
    ("event", "call_id"),
    [
        (AttemptFailed(fact_of(ending="error", error_code="server"), "openai", "o3", 40), "call"),
        (CallRefused("call-2", "openai", "gpt-4o", QueueFullError("full"), 0), "call-2"),
        (CostWarned(fact_of(call_id="call-3"), 1), "call-3"),
        (CallEnded(fact_of(call_id="call-4"), settled=False), "call-4"),
    ],
)
def test_whatever_is_said_of_a_call_names_it(event: Event, call_id: str) -> None:
    assert told(event)["call_id"] == call_id


def test_an_attempt_says_which_callers_key_it_was_for_and_no_more_of_its_scopes() -> None:
    scopes = {"key": "web", "provider_key": f"openai:{CANARY}", "user": CANARY, "tag": CANARY}
    line = told(AttemptFailed(fact_of(scopes=scopes), "openai", "o3", 0))
    assert (line["attempt_id"], line["key"]) == ("call.0", "web")
    assert CANARY not in str(line)


def test_what_is_of_no_call_is_a_line_too() -> None:
    line = told(BreakerChanged("openai", "gpt-4o", "open", 1_795_003_260_000, why="5 failures in a row"))
    assert (line["event"], line["level"], line["why"]) == ("breaker_opened", "WARNING", "5 failures in a row")


def test_other_records_have_their_message_and_nothing_that_was_hung_onto_them() -> None:
    line = line_of(record("%s took %d ms", "look", 3, headers={"authorization": CANARY}))
    assert line == {
        "time": "2026-11-18T12:00:00.250Z", "level": "INFO", "logger": "bursar", "message": "look took 3 ms",
    }  # fmt: skip


def test_an_exception_stays_within_its_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        line = line_of(record("failed", exc_info=sys.exc_info()))
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: two\nlines")


def test_a_text_without_end_is_cut() -> None:
    assert len(line_of(record("x" * 1_000_000))["message"]) == TEXT_CHARACTERS_MAX + 3


@example("\ud800", "\udfff")
@given(st.text(), st.text())
def test_any_text_is_one_line(message: str, value: str) -> None:
    line = JsonLines().format(record("%s", message, bursar={"event": "e", "why": value}))
    assert "\n" not in line
    assert json.loads(line)["event"] == "e"


def test_a_log_of_calls_costs_nothing_where_it_is_off() -> None:
    logger = logging.getLogger("tests.telemetry.off")
    logger.setLevel(logging.ERROR)
    CallLog(costs={"openai"}, logger=logger)(CallEnded(fact_of()))
