"""OpenAI's exports: costs and usage, as pages of JSON and as tables of the dashboard."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bursar.bills.lines import BillLine
from bursar.bills.reading import read_bill
from bursar.errors import InvalidRequestError

# 2026-11-20 and 2026-11-21, UTC
FRIDAY, SATURDAY = 1_795_132_800, 1_795_219_200
DAY = date(2026, 11, 20)
MINI = "gpt-4o-mini-2024-07-18"


def page(*buckets: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None, **fields}


def bucket(start: int, *results: dict[str, Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}


def cost(value: Any, line_item: str | None = None, currency: str = "usd") -> dict[str, Any]:
    kind = "organization.costs.result"
    return {
        "object": kind,
        "amount": {"value": value, "currency": currency},
        "line_item": line_item,
        "project_id": None,
    }


def used(model: str | None = MINI, **counts: Any) -> dict[str, Any]:
    counts = {"input_tokens": 100, "output_tokens": 20, "input_cached_tokens": 40, "num_model_requests": 3, **counts}
    return {"object": "organization.usage.completions.result", **counts, "model": model, "batch": None}


def read(value: Any, **options: Any) -> Any:
    return read_bill(json.dumps(value).encode(), "costs.json", **options)


def test_line_items_name_the_model_before_their_comma() -> None:
    items = [cost(0.5, f"{MINI}, input"), cost(0.25, f"{MINI}, cached input"), cost("1.0", "web search tool calls")]
    bill = read(page(bucket(FRIDAY, *items), bucket(SATURDAY)))
    assert (bill.form, bill.has_money, bill.has_models, bill.notes) == ("openai-costs", True, True, ())
    assert [(line.model, line.usd) for line in bill.lines] == [
        (MINI, Decimal("0.5")),
        (MINI, Decimal("0.25")),
        ("web search tool calls", Decimal("1.0")),
    ]
    assert bill.days == {DAY, date(2026, 11, 21)}, "a day on which nothing was charged is one of the bill's too"


def test_amounts_are_exact_to_the_last_digit_they_are_written_with() -> None:
    bill = read_bill(
        json.dumps(page(bucket(FRIDAY, cost(1)))).replace('"value": 1', '"value": 0.06000000000000001').encode()
    )
    assert bill.lines[0].usd == Decimal("0.06000000000000001")


def test_costs_of_the_whole_organization_tell_no_models_apart() -> None:
    bill = read(page(bucket(FRIDAY, cost(0.06))))
    assert (bill.has_models, bill.lines) == (False, (BillLine(DAY, "", Decimal("0.06")),))


def test_several_pages_in_a_list_and_buckets_alone() -> None:
    pages = [page(bucket(FRIDAY, cost(1)), has_more=True), page(bucket(SATURDAY, cost(2)))]
    assert [line.usd for line in read(pages).lines] == [1, 2]
    assert read(pages).notes == ()
    assert [line.usd for line in read([bucket(FRIDAY, cost(1))]).lines] == [1]


def test_a_page_of_several_is_said_to_be_one() -> None:
    assert "the rest is missing" in read(page(bucket(FRIDAY, cost(1)), has_more=True)).notes[0]


def test_usage_has_tokens_and_no_money() -> None:
    bill = read(page(bucket(FRIDAY, used(), used(None, output_tokens=None))))
    assert (bill.form, bill.has_money) == ("openai-usage", False)
    assert bill.lines == (BillLine(DAY, MINI, None, 3, 100, 20), BillLine(DAY, "", None, 3, 100, 0))


def test_embeddings_are_usage_too() -> None:
    result = {
        "object": "organization.usage.embeddings.result",
        "input_tokens": 16,
        "num_model_requests": 2,
        "model": "e",
    }
    assert read(page(bucket(FRIDAY, result))).lines == (BillLine(DAY, "e", None, 2, 16, 0),)


COSTS_TABLE = f"""\
start_time\tend_time\tstart_time_iso\tend_time_iso\tamount_value\tamount_currency\tline_item\tproject_id
1795132800\t1795219200\t2026-11-20T00:00:00+00:00\t2026-11-21T00:00:00+00:00\t0.3409000000000000\tusd\t{MINI}, output\t
1795219200\t1795305600\t2026-11-21T00:00:00+00:00\t2026-11-22T00:00:00+00:00\t\t\t\t
"""
USAGE_TABLE = """\
start_time,end_time,project_id,num_model_requests,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens
1795132800,1795219200,proj_1,10.0,gpt-4o-2024-08-06,FALSE,default,59200.0,10646.0,5760.0
1795219200,1795305600,,,,,,,,
"""


def test_the_dashboards_tables() -> None:
    costs = read_bill(COSTS_TABLE.encode())
    assert (costs.form, costs.lines) == ("openai-costs", (BillLine(DAY, MINI, Decimal("0.3409")),))
    usage = read_bill(USAGE_TABLE.encode())
    assert (usage.form, usage.lines) == ("openai-usage", (BillLine(DAY, "gpt-4o-2024-08-06", None, 10, 59200, 10646),))
    assert costs.days == usage.days == {DAY, date(2026, 11, 21)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (page(bucket(FRIDAY, cost(1), cost(1, None, "eur"))), "bucket 1, result 2: expected US dollars, got 'eur'"),
        (page(bucket(FRIDAY, cost("much"))), "bucket 1, result 1: expected a number, got 'much'"),
        (page(bucket(FRIDAY, cost(None))), "bucket 1, result 1: expected a number, got 'None'"),
        (
            page(bucket(FRIDAY), bucket(SATURDAY, {**cost(1), "amount": 3})),
            "bucket 2, result 1: expected an object for amount",
        ),
        (page(bucket(FRIDAY, used(num_model_requests=-1))), "bucket 1, result 1: expected a count, got '-1'"),
        (page({**bucket(FRIDAY, cost(1)), "start_time": "soon"}), "bucket 1: expected a date"),
        (page(bucket(FRIDAY, cost(1)), {**bucket(FRIDAY), "results": 7}), "bucket 2: expected a list of results"),
        (page(bucket(FRIDAY, cost(1)), bucket(FRIDAY, 7)), "bucket 2: expected an object for result 1"),  # type: ignore[arg-type]
        ({"object": "organization.costs", "items": []}, "expected a page of buckets"),
    ],
)
def test_what_cannot_be_read_says_where(value: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"costs\.json") as raised:
        read(value)
    assert f"costs.json, {said}" in str(raised.value) or f"costs.json: {said}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COSTS_TABLE.replace("0.3409000000000000", "much"), "line 2: expected an amount of US dollars, got 'much'"),
        (COSTS_TABLE.replace("\tusd", "\teur"), "line 2: expected US dollars, got 'eur'"),
        (USAGE_TABLE.replace("10646.0", "-3"), "line 2: expected a count, got '-3'"),
        (USAGE_TABLE.replace("1795219200,1795305600", "soon,"), "line 3: expected a date"),
    ],
)
def test_what_cannot_be_read_in_a_table_says_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_bill(text.encode(), "costs.csv")
    assert str(raised.value).startswith(f"costs.csv, {said}")
