"""OpenRouter's activity: sums by day as the API gives them, and call by call as the website exports them."""

from __future__ import annotations

import json
from datetime import UTC, date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from bursar.bills.lines import BillLine
from bursar.bills.reading import read_bill
from bursar.errors import InvalidRequestError

DAY = date(2026, 11, 20)
ROW = {
    "date": "2026-11-20 00:00:00",
    "model": "openai/gpt-4.1",
    "model_permaslug": "openai/gpt-4.1-2025-04-14",
    "endpoint_id": "550e8400",
    "provider_name": "OpenAI",
    "usage": 0.015,
    "byok_usage_inference": 0.012,
    "requests": 5,
    "prompt_tokens": 50,
    "completion_tokens": 125,
    "reasoning_tokens": 25,
}
SUM = BillLine(DAY, "openai/gpt-4.1-2025-04-14", Decimal("0.027"), 5, 50, 125, "openai/gpt-4.1")
HEAD = (
    "generation_id,created_at,cost_total,cost_web_search,byok_usage_inference,tokens_prompt,tokens_completion,"
    "model_permaslug,provider_name,variant,cancelled\n"
)
CALL = "gen-1,2026-11-20 20:00:00.713,0.000774,,0,8,50,anthropic/claude-4.5-sonnet-20250929,Anthropic,standard,false\n"
FREE = "gen-2,2026-11-20 03:46:57.713,,,0.0003,10389,137,openai/gpt-oss-120b,DeepInfra,free,true\n"


def test_sums_by_day() -> None:
    bill = read_bill(json.dumps({"data": [ROW]}).encode())
    assert (bill.form, bill.lines, bill.days) == ("openrouter-activity", (SUM,), frozenset({DAY}))


def test_sums_as_a_table() -> None:
    text = ",".join(ROW) + "\n" + ",".join(str(value) for value in ROW.values()) + "\n"
    assert read_bill(text.encode()).lines == (SUM,)


def test_call_by_call_with_their_variant_and_ones_own_key() -> None:
    bill = read_bill((HEAD + CALL + FREE).encode())
    assert (bill.form, bill.has_calls) == ("openrouter-activity", True)
    assert bill.lines == (
        BillLine(DAY, "anthropic/claude-4.5-sonnet-20250929", Decimal("0.000774"), 1, 8, 50, call_id="gen-1"),
        BillLine(DAY, "openai/gpt-oss-120b:free", Decimal("0.0003"), 1, 10389, 137, call_id="gen-2"),
    )


def test_a_call_stands_on_its_day_in_the_zone_that_is_asked_for() -> None:
    bill = read_bill((HEAD + CALL).encode(), zone=ZoneInfo("Asia/Kolkata"))
    assert bill.lines[0].day == date(2026, 11, 21)


def test_two_exports_in_one_file_count_once() -> None:
    bill = read_bill((HEAD + CALL + FREE + CALL).encode())
    assert len(bill.lines) == 2
    assert bill.notes == ("1 of its lines are repetitions, taken once",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + CALL + CALL.replace("0.000774", "0.1"), "line 3: gen-1 stands in the file with another cost before"),
        (HEAD + CALL.replace("gen-1", ""), "line 2: expected a generation_id"),
        (HEAD + CALL.replace("0.000774", "$3"), "line 2: expected a number, got '$3'"),
        (HEAD + CALL.replace("2026-11-20 20", "today 20"), "line 2: expected a date"),
        (HEAD + CALL.replace(",8,50,", ",8.5,50,"), "line 2: expected a count"),
        (HEAD, "it has no lines"),
    ],
)
def test_what_cannot_be_read_says_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_bill(text.encode(), "activity.csv", zone=UTC)
    assert str(raised.value).removeprefix("activity.csv").lstrip(",: ").startswith(said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"data": [ROW, {**ROW, "usage": "much"}]}, "row 2: expected a number, got 'much'"),
        ({"data": [{**ROW, "requests": -1}]}, "row 1: expected a count"),
        ({"data": [ROW, 7]}, "row 2: expected an object"),
        ({"data": [{**ROW, "date": None}]}, "row 1: expected a date"),
    ],
)
def test_a_row_that_cannot_be_read_says_which(value: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        read_bill(json.dumps(value).encode())
