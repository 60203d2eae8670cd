"""What a key of OpenRouter may still spend."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bursar.call.exchange import Answer, Failed
from bursar.catalog.providers import provider_row
from bursar.cli.doctor_account import account
from bursar.cli.symptoms import Symptom
from bursar.sim.process import SimProcess
from tests.cli.conftest import Bursar
from tests.cli.doctors import answer, configure, healthy

ROW = provider_row("openrouter")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CREDITS = answer({"data": {"total_credits": 25, "total_usage": 5.5}})
DENIED = answer({"error": {"code": 403, "message": "Only management keys"}}, 403)


def said(key: Answer | Failed, credit: Answer | Failed = DENIED) -> list[Symptom]:
    pages = {"/key": key, "/credits": credit}
    return list(account(ROW, pages.__getitem__, "k", NOW))


def key(**data: Any) -> Answer:
    return answer({"data": {"usage": 1.2345678, "limit": None, "limit_remaining": None, **data}})


def test_the_simulators_key_and_a_management_key(bursar: Bursar, folder: Path, sim: SimProcess) -> None:
    row = {"base_url": f"{sim.url}/openrouter/api/v1", "api_key": "sk-sim-a"}
    configure(folder, openrouter=row)
    well, rows = healthy(bursar)
    assert well
    assert ("ok", "account", "the key of openrouter has used $0.00; it has no limit of its own") in rows
    assert rows[-1][:2] == ("note", "account")
    assert "only told to a management key" in rows[-1][2]
    configure(folder, openrouter=row | {"api_key": "sk-sim-mgmt-a"})
    assert healthy(bursar)[1][-1] == ("ok", "account", "$1000.00 of $1000.00 credits are left at openrouter")


@pytest.mark.parametrize(
    ("data", "level", "words"),
    [
        ({}, "ok", "has used $1.23; it has no limit of its own"),
        ({"limit": 10, "limit_remaining": 8.5, "limit_reset": "monthly"}, "ok", "$8.50 of its $10.00 are left, reset"),
        ({"limit": 10, "limit_remaining": 0}, "error", "nothing of its $10.00 is left: calls will fail"),
        ({"limit": 10, "limit_remaining": -0.5}, "error", "nothing of its $10.00"),
        ({"limit": 10}, "error", "nothing of its $10.00"),
        ({"usage": None}, "ok", "an unknown amount"),
        ({"usage": "much"}, "ok", "has used $0.00"),
        ({"usage": True}, "ok", "has used $0.00"),
    ],
)  # fmt: skip
def test_a_key(data: dict[str, Any], level: str, words: str) -> None:
    first = said(key(**data))[0]
    assert (first.level, words in first.found) == (level, True)


@pytest.mark.parametrize(
    ("expires_at", "level"),
    [
        ("2026-11-21T00:00:00Z", "error"),
        ("2026-11-22T00:00:00", "error"),
        ("2026-11-25T00:00:00Z", "warning"),
        ("2027-01-01T00:00:00Z", None),
        ("soon", None),
        (5, None),
    ],
)
def test_a_key_that_ends(expires_at: Any, level: str | None) -> None:
    ends = [one.level for one in said(key(expires_at=expires_at)) if "end" in one.found]
    assert ends == ([level] if level else [])


def test_a_free_account() -> None:
    assert [one.level for one in said(key(is_free_tier=True)) if "never bought credits" in one.found] == ["note"]
    assert not any("never bought" in one.found for one in said(key(is_free_tier=False)))


@pytest.mark.parametrize(
    ("credit", "level", "words"),
    [
        (CREDITS, "ok", "$19.50 of $25.00 credits are left"),
        (answer({"data": {"total_credits": 5, "total_usage": 5.001}}), "error", "calls will fail with status 402"),
        (DENIED, "note", "only told to a management key, which this is not"),
        (answer({}, 401), "note", "only told to a management key"),
        (answer({}, 500), "note", "does not say how much credit"),
        (answer({"data": {}}), "note", "does not say how much credit"),
        (Failed("timeout", True, "slow"), "note", "does not say how much credit"),
    ],
)
def test_credits(credit: Answer | Failed, level: str, words: str) -> None:
    last = said(key(), credit)[-1]
    assert (last.level, words in last.found) == (level, True)


@pytest.mark.parametrize(
    ("page", "level", "words"),
    [
        (answer({"error": {"message": "User not found."}}, 401), "error", "with status 401"),
        (answer(b"<html>", content_type="text/html"), "warning", "status 200, text/html: <html>"),
        (answer({"data": [1]}), "warning", "status 200"),
        (Failed("timeout", True, "it took too long"), "warning", "it took too long"),
    ],
)
def test_a_page_that_is_none(page: Answer | Failed, level: str, words: str) -> None:
    (only,) = said(page)
    assert (only.level, words in only.found) == (level, True)
