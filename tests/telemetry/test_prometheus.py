"""The page that Prometheus scrapes, read by a reader that knows nothing of its writer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.telemetry.families import LABEL_CHARACTERS_MAX, Family, label_of
from bursar.telemetry.prometheus import text_of
from tests.telemetry.exposition import read, value_of

NUMBERS = st.integers(0, 10**24)


def test_a_page_word_for_word() -> None:
    families = [
        Family("a_total", "counter", "First.", ("x", "y"), [(("1", "2"), 3), (("1", ""), 4)]),
        Family("none", "gauge", "Nothing of it."),
        Family("b", "gauge", "Second\nline \\ end.", (), [((), -1.5)]),
        Family("c_seconds", "histogram", "Third.", ("x",), [(("1",), [1, 0, 2, 4_250])], 1_000, (500, 2_000)),
    ]
    assert text_of(families) == (
        "# HELP a_total First.\n# TYPE a_total counter\n"
        'a_total{x="1",y="2"} 3\na_total{x="1",y=""} 4\n'
        "# HELP b Second\\nline \\\\ end.\n# TYPE b gauge\nb -1.5\n"
        "# HELP c_seconds Third.\n# TYPE c_seconds histogram\n"
        'c_seconds_bucket{x="1",le="0.5"} 1\nc_seconds_bucket{x="1",le="2"} 1\nc_seconds_bucket{x="1",le="+Inf"} 3\n'
        'c_seconds_sum{x="1"} 4.25\nc_seconds_count{x="1"} 3\n'
    )
    assert len(read(text_of(families))) == 8


def test_nothing_is_an_empty_page() -> None:
    assert text_of([]) == ""


@example("\ud800")
@given(st.text())
def test_any_name_can_be_a_label(name: str) -> None:
    value = label_of(name)
    page = text_of([Family("a_total", "counter", "A.", ("model",), [((value,), 1)])])
    page.encode()
    assert len(page.split("\n")) == 4
    assert value_of(page, "a_total", model=value) == 1


@pytest.mark.parametrize("name", ['"} 1\nevil_total 666', "\\", '\\"', "a\r\nb", "\x00\x85\u2028", "\ud800"])
def test_no_name_breaks_out_of_its_line(name: str) -> None:
    page = text_of([Family("a_total", "counter", "A.", ("model",), [((label_of(name),), 1)])])
    assert [series for series, _ in read(page)] == ["a_total"]
    assert len(page.splitlines()) == 3


def test_a_label_ends() -> None:
    assert len(label_of("x" * 10_000)) == LABEL_CHARACTERS_MAX


@given(NUMBERS, st.sampled_from([1, 1_000, 10**9]))
def test_no_digit_of_a_number_is_lost(number: int, scale: int) -> None:
    page = text_of([Family("a_total", "counter", "A.", (), [((), number)], scale)])
    assert value_of(page, "a_total") * scale == number


def test_a_negative_amount_keeps_its_sign() -> None:
    page = text_of([Family("left_usd", "gauge", "A.", (), [((), -500_000_000)], 10**9)])
    assert value_of(page, "left_usd") == Decimal("-0.5")


@pytest.mark.parametrize(
    "page",
    [
        "a 1",
        "a 1\n",
        "# TYPE a counter\na_total 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total -1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total 1\na_total 1\n",
        '# HELP a_total x\n# TYPE a_total counter\na_total{x="1" 1\n',
        '# HELP a_total x\n# TYPE a_total counter\na_total{x="\\z"} 1\n',
        "# HELP a x\n# TYPE a gauge\n# HELP b x\n# TYPE b gauge\nb 1\na 1\n",
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 0\na_count 1\n',
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 2\na_sum 0\na_count 1\n',
    ],
)
def test_the_reader_refuses_what_is_no_page(page: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(page)
