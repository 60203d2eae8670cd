"""What an alert looks like: as JSON, and to Slack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.call.books import Balance
from bursar.call.events import AlertRaised
from bursar.telemetry.alerts import body_of, form_of
from tests.telemetry.test_log import logged, records

USD = 10**9
SPENT = Balance("teams", "search", "nano_usd", "month", 1_600 * USD + 1, 2 * USD, 2_000 * USD, 1_795_003_200_000)


def alert(**fields: Any) -> AlertRaised:
    values: dict[str, Any] = {
        "id": "alert_1", "kind": "budget", "severity": "warning", "at_ms": 1_795_003_199_999, "name": "teams",
        "message": "Budget 'teams' has reached 80 %.", "subject": "search", "percent": 80, "balance": SPENT, **fields,
    }  # fmt: skip
    return AlertRaised(**values)


BREAKER = AlertRaised("alert_2", "breaker_opened", "warning", 0, "openrouter/openai/gpt-4o", "It opened.")


def told(one: AlertRaised, form: str = "json") -> Any:
    return json.loads(body_of(one, form))


def test_a_budget_as_json() -> None:
    assert told(alert()) == {
        "id": "alert_1", "kind": "budget", "severity": "warning", "at": "2026-11-18T11:59:59Z",
        "message": "Budget 'teams' has reached 80 %.", "budget": "teams", "subject": "search",
        "threshold_percent": 80, "refused": False, "period": "month", "spent_percent": 80,
        "spent_usd": "1600.000000001", "held_usd": "2.000000000", "left_usd": "397.999999999",
        "limit_usd": "2000.000000000", "resets_at": "2026-11-18T12:00:00Z",
    }  # fmt: skip


def test_a_total_resets_never_and_an_overdrawn_budget_has_less_than_nothing_left() -> None:
    said = told(alert(balance=SPENT._replace(resets_at_ms=None, spent=2_001 * USD)))
    assert (said["resets_at"], said["left_usd"], said["spent_percent"]) == (None, "-3.000000000", 100)


def test_what_is_of_a_provider_names_it_and_its_model() -> None:
    assert told(BREAKER) == {
        "id": "alert_2", "kind": "breaker_opened", "severity": "warning", "at": "1970-01-01T00:00:00Z",
        "message": "It opened.", "provider": "openrouter", "model": "openai/gpt-4o",
    }  # fmt: skip


def test_slack_has_one_line() -> None:
    assert told(alert(), "slack") == {"text": "*Bursar warning*: Budget 'teams' has reached 80 %."}
    assert told(alert(severity="critical"), "slack")["text"].startswith("*Bursar alarm*: ")


@pytest.mark.parametrize("hostile", ["<!channel>", "<https://evil.example|here>", "<@U123>", "&lt;!here&gt;"])
def test_a_name_can_mention_nobody_in_slack_and_link_nowhere(hostile: str) -> None:
    text = told(alert(message=f"Budget '{hostile}' refuses"), "slack")["text"]
    assert not set("<>") & set(text)
    assert text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").endswith(f"'{hostile}' refuses")


@example("\ud800", "json")
@given(st.text(), st.sampled_from(["json", "slack"]))
def test_any_name_can_be_told(name: str, form: str) -> None:
    told(alert(name=name, message=name, subject=name), form)


@pytest.mark.parametrize(
    ("address", "given", "form"),
    [
        ("https://hooks.slack.com/services/T/B/x", None, "slack"),
        ("https://hooks.slack.com/services/T/B/x", "json", "json"),
        ("https://hooks.slack.com.evil.example/x", None, "json"),
        ("https://chat.example/hooks/x", None, "json"),
        ("https://chat.example/hooks/x", "slack", "slack"),
    ],
)
def test_the_form_is_that_of_the_host_unless_it_is_said(address: str, given: str | None, form: str) -> None:
    assert form_of(address, given) == form


@pytest.mark.parametrize(("severity", "level"), [("info", "INFO"), ("warning", "WARNING"), ("critical", "ERROR")])
def test_an_alert_of_a_budget_is_logged_by_its_severity(severity: str, level: str) -> None:
    line = (
        "alert kind=budget name=teams subject=search percent=80 spent_usd=1600.000000001 held_usd=2.000000000 "
        "limit_usd=2000.000000000 message=\"Budget 'teams' has reached 80 %.\""
    )
    assert logged(alert(severity=severity)) == [(level, line)]
    (record,) = records(alert(severity=severity))
    assert vars(record)["bursar"]["event"] == "alert"


def test_what_has_its_own_line_in_the_log_is_not_said_twice() -> None:
    assert logged(BREAKER, alert(kind="budget_overdrawn")) == []
    assert logged(alert(kind="billed_beyond_bound", balance=None, percent=0)) != []
