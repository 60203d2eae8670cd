"""Effort for the models that take it, a budget for those before."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from tests.wire.translation.material import parsed, sent

BUDGETED = (
    "claude-3-7-sonnet-20250219",
    "claude-sonnet-4-20250514",
    "claude-opus-4-0",
    "claude-opus-4",
    "claude-opus-4-1-20250805",
    "claude-sonnet-4-5",
    "anthropic/claude-haiku-4-5-20251001",
    "claude-opus-4-5@20251101",
    "claude-sonnet-4.5",
)
ADAPTIVE = (
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-5",
    "glm-5",
    "claude-30",
    "claude-opus-4-10",
)


@pytest.mark.parametrize("model", ADAPTIVE)
def test_models_that_take_an_effort(model: str) -> None:
    body = sent(model, reasoning_effort="xhigh")
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "xhigh"})
    assert sent(model, reasoning_effort="minimal")["output_config"] == {"effort": "low"}


@pytest.mark.parametrize("model", BUDGETED)
def test_models_that_take_a_budget(model: str) -> None:
    body = sent(model, reasoning_effort="medium", max_tokens=10_000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 5_000}
    assert "output_config" not in body
    least = sent(model, reasoning_effort="low", max_tokens=2_000)
    assert least["thinking"] == {"type": "enabled", "budget_tokens": 1_024}


@pytest.mark.parametrize("model", [*BUDGETED, *ADAPTIVE])
def test_none_means_none(model: str) -> None:
    body = sent(model, reasoning_effort="none")
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


def test_thinking_of_the_callers_own_stays() -> None:
    own = {"type": "adaptive", "display": "omitted"}
    body = sent(thinking=own, reasoning_effort="high")
    assert (body["thinking"], body["output_config"]) == (own, {"effort": "high"})
    assert sent(output_config={"effort": "max"})["output_config"] == {"effort": "max"}


@pytest.mark.parametrize(
    "fields", [{"reasoning_effort": "enormous"}, {"reasoning_effort": 3}, {"reasoning": {"effort": "low"}}]
)
def test_other_efforts_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"^reasoning"):
        parsed(**fields)
