"""When to ask again, in every form that a provider says it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.advice import RETRY_AFTER_SECONDS_MAX, retry_after_seconds, should_retry

SENT = {"date": "Sun, 22 Nov 2026 18:00:00 GMT"}
SENT_SECONDS = 1_795_370_400
LATER = "Sun, 22 Nov 2026 18:00:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "1500.5"}, 1.5005),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1e30"}, RETRY_AFTER_SECONDS_MAX),
        ({"retry-after-ms": "86400000"}, RETRY_AFTER_SECONDS_MAX),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, RETRY_AFTER_SECONDS_MAX),
        ({"retry-after": "1e30"}, RETRY_AFTER_SECONDS_MAX),
        ({"retry-after": ""}, None),
        ({"retry-after": LATER} | SENT, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 18:00:30 GMT"} | SENT, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 18:00:30"} | SENT, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 17:00:00 GMT"} | SENT, 0.0),
        ({"retry-after": "Sun, 22 Nov 9999 18:00:00 GMT"} | SENT, RETRY_AFTER_SECONDS_MAX),
        ({"retry-after": LATER}, None),
        ({"retry-after": LATER, "date": "today"}, None),
        ({"retry-after": "soon"} | SENT, None),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}], 37.0),
        ([{"quotaId": "x"}, 3, {"retryDelay": "0.847655010s"}], 0.84765501),
        ([{"retryDelay": {"seconds": 3, "nanos": 500_000_000}}], 3.5),
        ([{"retryDelay": {"seconds": "3"}}], 3.0),
        ([{"retryDelay": {"seconds": 1e30}}], RETRY_AFTER_SECONDS_MAX),
        ([{"retryDelay": {"seconds": 86_400, "nanos": 999_999_999}}], RETRY_AFTER_SECONDS_MAX),
        ([{"retryDelay": {"seconds": "x"}}], None),
        ([{"retryDelay": {"nanos": -1}}], None),
        ([{"retryDelay": "37"}], None),
        ([{"retryDelay": "-1s"}], None),
        ([{"retryDelay": 37}], None),
        ({"retryDelay": "37s"}, None),
    ],
)
def test_google(details: Any, seconds: float | None) -> None:
    assert retry_after_seconds({}, {"details": details}) == seconds


def test_headers_win_over_the_body() -> None:
    error = {"details": [{"retryDelay": "37s"}]}
    assert retry_after_seconds({"retry-after": "7"}, error) == 7.0
    assert retry_after_seconds({"retry-after": "soon"}, error) == 37.0
    assert retry_after_seconds({"x-ratelimit-reset": "60"}, error, 429) == 37.0


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (f"{SENT_SECONDS}000", 0.0),
        (f"{SENT_SECONDS}500", 0.5),
        (f"{SENT_SECONDS + 60}000", 60.0),
        (f"{SENT_SECONDS + 60}", 60.0),
        (f"{SENT_SECONDS - 60}", 0.0),
        ("17.5", 17.5),
        ("100000", RETRY_AFTER_SECONDS_MAX),
        ("1e300", RETRY_AFTER_SECONDS_MAX),
        ("-1", None),
        ("nan", None),
        ("6m0s", None),
        ("", None),
    ],
)
def test_the_end_of_a_window(reset: str, seconds: float | None) -> None:
    quoted = {"metadata": {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Reset": reset}}}
    assert retry_after_seconds(SENT | {"x-ratelimit-reset": reset}, {}, 429) == seconds
    assert retry_after_seconds(SENT, quoted, 429) == seconds
    assert retry_after_seconds(SENT | {"x-ratelimit-reset": reset, "retry-after": "7"}, quoted, 429) == 7.0
    assert retry_after_seconds(SENT | {"x-ratelimit-reset": reset}, quoted, 500) is None


def test_an_instant_needs_the_date_of_the_reply() -> None:
    assert retry_after_seconds({"x-ratelimit-reset": f"{SENT_SECONDS}000"}, {}, 429) is None


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), (" False", False), ("TRUE", True), ("", None), ("1", None), ("maybe", None)]
)
def test_should_retry(text: str, meant: bool | None) -> None:
    assert should_retry({"x-should-retry": text}) is meant
    assert should_retry({}) is None


TEXTS = st.text() | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str)
NAMES = st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "date", "x-should-retry"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.floats().map(lambda one: f"{one}s")
ERRORS = st.fixed_dictionaries(
    {},
    optional={
        "details": VALUES | st.lists(VALUES | st.fixed_dictionaries(
            {"retryDelay": VALUES | st.fixed_dictionaries({}, optional={"seconds": VALUES, "nanos": VALUES})}
        )),
        "metadata": VALUES | st.fixed_dictionaries({"headers": VALUES | st.dictionaries(st.text(), VALUES)}),
    },
)  # fmt: skip


@given(st.dictionaries(NAMES, TEXTS), ERRORS, st.sampled_from([None, 429, 503]))
def test_nothing_raises_and_no_advice_is_absurd(headers: dict[str, str], error: Any, status: int | None) -> None:
    seconds = retry_after_seconds(headers, error, status)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_SECONDS_MAX
    assert should_retry(headers) in {True, False, None}
