"""What may be entered in the books by hand, and where an allowance is said to be defined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.config import Settings, load
from bursar.config.by_hand import SOURCE, Given, by_hand, entered, place_of
from bursar.errors import InvalidRequestError
from bursar.rules.allowances import Allowance

FILE = "time_zone: Europe/Berlin\nbudgets:\n  company: {usd: 9, per: month}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "bursar.yaml"
    path.write_text(FILE)
    return load(path, environ={"OPENAI_API_KEY": "sk-test"})


def limit(settings: Settings, before: Allowance | None = None, **given: Any) -> Allowance:
    return entered(before, settings, "mine", Given(**{"meter": "requests", **given}))


def test_a_new_budget_is_a_days_in_the_zone_of_the_file(settings: Settings) -> None:
    made = entered(None, settings, "mine", Given(5))
    assert made == Allowance("mine", "nano_usd", 5, "calendar", "day", time_zone="Europe/Berlin", source=SOURCE)


def test_what_is_not_given_stays_and_what_is_empty_goes(settings: Settings) -> None:
    made = entered(None, settings, "mine", Given(5, each="user", only=(("team", "ads"),), missing="refuse"))
    assert entered(made, settings, "mine", Given(7)).each == "user"
    after = entered(made, settings, "mine", Given(each="", only=(), missing="pool"))
    assert (after.each, after.only, after.missing, after.capacity) == (None, (), "pool", 5)


def test_what_a_key_has_of_its_own_stays_its_own(settings: Settings) -> None:
    own = Allowance("key:ci", "nano_usd", 5, "calendar", "day", only=(("key", "ci"),), source="key:ci")
    assert entered(own, settings, "key:ci", Given(7)).source == "key:ci"


def test_a_limit_refills_unless_it_counts_in_windows_or_in_flight(settings: Settings) -> None:
    made = limit(settings, capacity=5)
    assert (made.shape, made.period) == ("bucket", "minute")
    window = limit(settings, made, shape="calendar", period="month")
    assert (window.shape, window.period, window.capacity) == ("calendar", "month", 5)
    gauge = limit(settings, window, meter="in_flight")
    assert (gauge.shape, gauge.period, gauge.meter) == ("gauge", None, "in_flight")
    again = limit(settings, gauge, capacity=8)
    assert (again.shape, again.period, again.meter, again.capacity) == ("bucket", "minute", "requests", 8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Given(), "needs usd"),
        (Given(meter="tokens"), "needs amount"),
        (Given(option="--"), "needs --usd"),
        (Given(1, missing="refuse"), "needs each"),
        (Given(1, each="a b"), "is no name"),
        (Given(1, only=(("model", "gpt-4o"),)), "takes provider/model"),
        (Given(1, only=(("provider", "opnai"),)), "did you mean openai?"),
        (Given(1, meter="requests", period="month"), "a limit per month needs window"),
    ],
)
def test_what_cannot_be_is_refused(settings: Settings, given: Given, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said.replace("?", r"\?")):
        entered(None, settings, "mine", given)


def test_a_budget_does_not_become_a_limit(settings: Settings) -> None:
    made = entered(None, settings, "mine", Given(5))
    with pytest.raises(InvalidRequestError, match="is a budget, not a limit"):
        limit(settings, made, capacity=5)
    with pytest.raises(InvalidRequestError, match="is a limit on requests, not a budget"):
        entered(limit(settings, capacity=5), settings, "mine", Given(5))


def test_where_it_is_defined_and_whether_it_can_be_changed_here(settings: Settings) -> None:
    (company,) = settings.budgets
    assert place_of(settings, company) == f"{settings.file}:3 (budgets.company)"
    assert not by_hand(company.source)
    assert not by_hand("arguments")
    assert not by_hand("program:abc")
    for source in (SOURCE, "session", "key:ci", "user:ann"):
        assert by_hand(source)
