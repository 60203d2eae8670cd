"""What a call claims: when its input may be bounded by tokens, and what calls like it have taught of its use."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from bursar.call.books import Fact
from bursar.call.plan import Plan
from bursar.config import load
from bursar.engine import Asked, Engine, open_engine
from bursar.engine.bounding import Lessons
from bursar.rules.calibration import Series
from bursar.rules.estimate import LIKELY_OUTPUT_TOKENS, Size
from bursar.rules.usage import EMPTY_USAGE, Usage
from bursar.testing import ManualClock
from bursar.wire.openai_chat import OpenAIChat

CHAT = OpenAIChat()
SERIES = Series("p", "m", tools=False)
SIZE = Size(1_000, 100, None, 1_024, 4_096)


def engine_of(providers: Mapping[str, Any] | None = None) -> Engine:
    given = {"openai": {"api_key": "k"}, "openrouter": {"api_key": "k"}, "groq": {"api_key": "k"}, **(providers or {})}
    return open_engine(load({"llm": {"providers": given}}, books="memory:", environ={}), clock=ManualClock())


def plan_of(engine: Engine, model: str, content: str = "river " * 500, **fields: Any) -> Plan:
    body = {"model": "-", "messages": [{"role": "user", "content": content}], "max_tokens": 100, **fields}
    return engine.plan(CHAT, json.dumps(body).encode(), Asked(model=model))


def fact_of(plan: Plan, usage: Usage = EMPTY_USAGE, ending: Any = "ok") -> Fact:
    return Fact(
        "a", "c", plan.provider.name, plan.model, {}, ending, 0, 0, 0, "computed", True, 0, 1, usage=usage
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai/gpt-4o-mini", True), ("openrouter/openai/gpt-4o", True), ("own/gpt-4o", False),
        ("openrouter/anthropic/claude-sonnet-4.5", False), ("groq/llama-3.1-8b-instant", False),
        ("azure/mine", True), ("azure/other", False), ("openai/gpt-4o-search-preview", False),
    ],
)  # fmt: skip
def test_the_input_of_known_vocabularies_can_be_counted(model: str, known: bool) -> None:
    providers = {
        "own": {"base_url": "http://gpu/v1", "api_key": "k"},
        "azure": {"base_url": "http://azure/v1", "api_key": "k", "deployments": {"mine": "gpt-4o"}},
    }
    engine = engine_of(providers)
    assert (plan_of(engine, model).tightening is not None) is known
    engine.close()


def test_a_tighter_claim_differs_in_the_money_of_its_input_alone() -> None:
    engine = engine_of()
    plan = plan_of(engine, "openai/gpt-4o-mini")
    assert plan.tightening is not None
    tight = plan.tightening.demand()
    assert tight is not None
    assert tight.base_pico_usd is not None
    assert plan.demand.base_pico_usd is not None
    assert tight.base_pico_usd < plan.demand.base_pico_usd / 2
    assert (tight.output_pico_usd, tight.output_tokens_max) == (plan.demand.output_pico_usd, 100)
    assert tight.rate_input_tokens <= plan.demand.rate_input_tokens, "an estimate is never above its bound"
    assert tight.rate_output_tokens == 100
    attached = [{"type": "file", "file": {"file_id": "f"}}]
    plan = plan_of(engine, "openai/gpt-4o-mini", attached)  # type: ignore[arg-type]
    assert plan.tightening is not None
    assert plan.tightening.demand() is None, "what is not in the body cannot be counted"
    engine.close()


def test_a_fallback_in_the_body_must_be_known_too() -> None:
    engine = engine_of()
    assert plan_of(engine, "openrouter/openai/gpt-4o", models=["openai/gpt-4o", "openai/gpt-4"]).tightening is not None
    assert plan_of(engine, "openrouter/openai/gpt-4o", models=["openai/gpt-4o", "x-ai/grok-4"]).tightening is None
    engine.close()


def test_facts_teach_the_rates_of_the_next_call_and_never_its_money() -> None:
    engine = engine_of()
    first = plan_of(engine, "groq/llama-3.1-8b-instant")
    estimated = first.demand.rate_input_tokens
    first.learn(fact_of(first, Usage.of(2 * estimated, 30)))
    second = plan_of(engine, "groq/llama-3.1-8b-instant")
    assert (second.demand.rate_input_tokens, second.demand.rate_output_tokens) == (2 * estimated, 30)
    assert second.demand.nano_usd(100) == first.demand.nano_usd(100)
    # With tools, or of another model, a call is another kind of call.
    for other in (
        plan_of(engine, "groq/llama-3.1-8b-instant", tools=[]),
        plan_of(engine, "groq/llama-3.3-70b-versatile"),
        plan_of(engine, "openai/gpt-4o-mini"),
    ):
        assert other.demand.rate_output_tokens == 100
    engine.close()


def test_a_provider_that_reserves_counts_the_limit_whatever_was_learnt() -> None:
    engine = engine_of()
    for model, rate in (("openai/gpt-4o-mini", 100), ("groq/llama-3.1-8b-instant", 30)):
        plan = plan_of(engine, model)
        plan.learn(fact_of(plan, Usage.of(500, 30)))
        assert plan_of(engine, model).demand.rate_output_tokens == rate
    engine.close()


def test_the_output_of_each_choice_is_learnt() -> None:
    engine = engine_of()
    plan = plan_of(engine, "groq/llama-3.1-8b-instant", n=3)
    plan.learn(fact_of(plan, Usage.of(500, 90)))
    assert plan_of(engine, "groq/llama-3.1-8b-instant", n=3).demand.rate_output_tokens == 90
    assert plan_of(engine, "groq/llama-3.1-8b-instant").demand.rate_output_tokens == 30
    engine.close()


@pytest.mark.parametrize(
    ("ending", "usage"),
    [
        ("interrupted", Usage.of(500, 1)),
        ("error", Usage.of(500, 1)),
        ("aborted", Usage.of(500, 1)),
        ("ok", EMPTY_USAGE),
        ("ok", Usage.of(10, 1, {"cached_input": 500})),
    ],
)
def test_what_did_not_end_well_teaches_nothing(ending: str, usage: Usage) -> None:
    lessons = Lessons()
    engine = engine_of()
    lessons.learn(SERIES, SIZE, fact_of(plan_of(engine, "openai/gpt-4o-mini"), usage, ending))
    assert lessons.likely(SERIES, SIZE) == (100, LIKELY_OUTPUT_TOKENS)
    engine.close()


def test_lessons_may_come_from_any_thread() -> None:
    lessons = Lessons()
    engine = engine_of()
    fact = fact_of(plan_of(engine, "openai/gpt-4o-mini"), Usage.of(150, 20))

    def learn(number: int) -> None:
        for turn in range(300):
            lessons.learn(Series("p", f"m{(number + turn) % 5}", tools=False), SIZE, fact)
            lessons.likely(SERIES, SIZE)

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(lessons.likely(Series("p", f"m{one}", tools=False), SIZE) == (150, 20) for one in range(5))
    engine.close()
