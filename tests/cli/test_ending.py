"""Every error has its exit code and one line, and JSON where that was asked for."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bursar.cli.ending import EndedError, exit_code_of
from bursar.cli.group import Root
from bursar.cli.options import json_option
from bursar.errors import (
    BudgetExceededError,
    BursarError,
    CircuitBreakerError,
    ConfigError,
    InvalidRequestError,
    LimitExceededError,
    PriceUnknownError,
    ProviderTimeoutError,
    QueueFullError,
    StoreUnavailableError,
    StreamInterruptedError,
)

BUDGET = BudgetExceededError(
    "the budget is spent", budget="team", window="day", needed_nano_usd=5, left_nano_usd=1, spent_nano_usd=9,
    held_nano_usd=0, limit_nano_usd=10,
)  # fmt: skip


def ended(error: BaseException, *arguments: str) -> Result:
    @click.group(cls=Root, lazy={})
    def root() -> None:
        """A group whose only command fails."""

    @root.command()
    @json_option
    def fail(as_json: bool) -> None:
        raise error

    return CliRunner().invoke(root, ["fail", *arguments])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 1),
        (StoreUnavailableError("x"), 1),
        (InvalidRequestError("x"), 2),
        (BUDGET, 3),
        (LimitExceededError("x", limit="a", meter="requests", needed=1, capacity=1, retry_after_seconds=None), 3),
        (PriceUnknownError("x", models=("a",)), 3),
        (QueueFullError("x"), 3),
        (CircuitBreakerError("x"), 4),
        (ProviderTimeoutError("x", provider="openai", model="a"), 4),
        (StreamInterruptedError("x", provider="openai", model="a"), 4),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(error: BursarError, code: int) -> None:
    assert exit_code_of(error) == code
    shown = ended(error)
    assert (shown.exit_code, shown.stdout, shown.stderr) == (code, "", f"Error: {error}\n")


def test_json_has_the_figures_of_the_refusal() -> None:
    shown = ended(BUDGET, "--json")
    assert shown.exit_code == 3
    error: dict[str, Any] = json.loads(shown.stdout)["error"]
    assert error["code"] == "budget_exhausted"
    assert error["exit_code"] == 3
    assert (error["needed_nano_usd"], error["left_nano_usd"], error["budget"]) == (5, 1, "team")
    assert shown.stderr == "Error: the budget is spent\n"


def test_a_place_in_a_file_is_said_once() -> None:
    assert ended(ConfigError("unknown key", file="bursar.yaml", line=3)).stderr == "Error: bursar.yaml:3: unknown key\n"


def test_the_system_s_errors_are_a_line() -> None:
    assert ended(PermissionError(13, "Permission denied", "b.db")).stderr == "Error: b.db: Permission denied\n"


def test_an_interrupt_and_a_closed_pipe_have_their_own_codes() -> None:
    assert ended(KeyboardInterrupt()).exit_code == 130
    assert ended(BrokenPipeError()).exit_code == 141


def test_what_nobody_expected_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ended(ZeroDivisionError("division by zero"))
    assert shown.exit_code == 1
    assert "an unexpected ZeroDivisionError: division by zero" in shown.stderr
    monkeypatch.setenv("BURSAR_TRACEBACK", "1")
    assert isinstance(ended(ZeroDivisionError()).exception, ZeroDivisionError)


def test_a_command_s_own_ending_keeps_its_code() -> None:
    shown = ended(EndedError("no", 2, code="mine", books="b.db"), "--json")
    assert shown.exit_code == 2
    assert json.loads(shown.stdout)["error"] == {"code": "mine", "message": "no", "exit_code": 2, "books": "b.db"}
