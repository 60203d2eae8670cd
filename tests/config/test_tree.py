"""What is made of the plain values of a provider: how it is asked again, and when it is left alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bursar.config import ProviderSettings, load
from bursar.rules.breaker import BreakerPolicy
from bursar.rules.retries import RetryPolicy


def openai(**said: Any) -> ProviderSettings:
    return load({"llm": {"providers": {"openai": said}}}, environ={}, books="memory:").providers["openai"]


def test_a_provider_is_asked_again_as_the_rule_has_it_unless_said_otherwise() -> None:
    assert openai().retry_policy == RetryPolicy()
    said = openai(max_retries=7, retry_base_seconds=0.25, retry_cap_seconds=30, retry_jitter="50%")
    assert said.retry_policy == RetryPolicy(max_retries=7, base_seconds=0.25, cap_seconds=30.0, jitter=0.5)


def test_a_provider_is_left_alone_as_the_rule_has_it_and_no_call_is_slow_unless_said_otherwise() -> None:
    assert openai().breaker_policy == replace(BreakerPolicy(), slow_seconds=math.inf)
    assert openai(circuit_breaker_threshold=0).breaker_policy.open_seconds == 60
    said = openai(
        circuit_breaker_threshold=3,
        circuit_breaker_timeout=5,
        circuit_breaker_failure_share=0.25,
        circuit_breaker_slow_share=1,
        slow_call_seconds=90,
    )
    assert said.breaker_policy == BreakerPolicy(
        consecutive_failures=3, open_seconds=5.0, failure_share=0.25, slow_share=1.0, slow_seconds=90.0
    )
