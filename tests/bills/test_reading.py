"""Which bill a file is."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bills import reading
from bursar.bills.reading import FORMATS, read_bill
from bursar.errors import InvalidRequestError
from tests.bills.test_openai import COSTS_TABLE, FRIDAY, USAGE_TABLE, bucket, cost, page
from tests.bills.test_openrouter import CALL, HEAD, ROW

COSTS = json.dumps(page(bucket(FRIDAY), bucket(FRIDAY, cost(1)))).encode()


def test_a_format_that_is_named_is_believed_where_the_file_does_not_contradict() -> None:
    empty = json.dumps(page(bucket(FRIDAY))).encode()
    assert read_bill(empty, form="openai-costs").lines == ()
    assert read_bill(COSTS, form="openai-costs").form == "openai-costs"


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"", {}, "the bill: the file is empty"),
        (b'{"data": [', {}, "the bill, line 1: this is no JSON"),
        (b'{\n"a": 1,\n}', {}, "the bill, line 3: this is no JSON"),
        (b'{"a": NaN}', {}, "NaN is no number"),
        (b"[" * 100_000, {}, "this is no JSON"),
        (b'{"data": []}', {}, "say --format"),
        (b"[]", {}, "say --format"),
        (json.dumps(page(bucket(FRIDAY))).encode(), {}, "say --format"),
        (COSTS, {"form": "openai-usage"}, "it looks like openai-costs, not like openai-usage"),
        (COSTS, {"form": "csv"}, "not like csv"),
        (b"day,model,usd\n2026-11-20,m,1\n", {}, "line 1: which columns are these?"),
        (
            b"day,usd\n1,1\n",
            {"form": "openai-costs"},
            "line 1: a table of openai-costs has the columns start_time, amount_value; this one has day, usd",
        ),
        (USAGE_TABLE.encode(), {"form": "openai-costs"}, "line 1: a table of openai-costs has the columns"),
        (b"date,cost\n2026-11-20,1\n\xff\n", {"form": "csv"}, "the bill, line 3: this is no text in UTF-8"),
        (b"date,cost\n", {"form": "csv"}, "it has no lines"),
    ],
)
def test_a_file_that_is_no_bill(data: bytes, options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_bill(data, **options)  # type: ignore[arg-type]
    assert said in str(raised.value)


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BILL_BYTES_MAX", 2**20)
    with pytest.raises(InvalidRequestError, match="larger than 1 MB"):
        read_bill(b"x" * (2**20 + 1))


@pytest.mark.parametrize("data", [COSTS, COSTS_TABLE.encode(), json.dumps({"data": [ROW]}).encode()])
def test_days_that_are_utc_are_of_no_other_zone(data: bytes) -> None:
    from zoneinfo import ZoneInfo

    with pytest.raises(InvalidRequestError, match="its days are UTC; compare it without --day-zone"):
        read_bill(data, zone=ZoneInfo("Asia/Kolkata"))


GOOD = [COSTS, COSTS_TABLE.encode(), USAGE_TABLE.encode(), (HEAD + CALL).encode(), json.dumps({"data": [ROW]}).encode()]


@given(st.sampled_from(GOOD), st.integers(0, 400), st.binary(max_size=4), st.sampled_from(["", *FORMATS]))
def test_a_damaged_bill_is_read_or_refused_and_nothing_else(good: bytes, place: int, damage: bytes, form: str) -> None:
    data = good[:place] + damage + good[place + len(damage) :]
    with contextlib.suppress(InvalidRequestError):
        assert read_bill(data, form=form).days
