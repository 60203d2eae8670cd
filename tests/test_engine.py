"""The engine: what a plan is made of, before anything is held or sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bursar.call.admission import admit
from bursar.call.books import Expired
from bursar.call.effects import Admit, Seat
from bursar.call.events import CallRefused, Event, HoldsExpired
from bursar.call.plan import Plan
from bursar.call.route import Failure
from bursar.config import load
from bursar.edges.stores.memory import MemoryStore
from bursar.engine import Asked, Engine, open_engine
from bursar.errors import ConfigError, InvalidRequestError, ProviderUnavailableError, StoreUnavailableError
from bursar.rules.retries import Problem
from bursar.testing import ManualClock
from bursar.wire.embeddings import Embeddings
from bursar.wire.openai_chat import OpenAIChat

CHAT = OpenAIChat()
BODY = b'{"model":"-","messages":[{"role":"user","content":"hello"}]}'
LIMITED = BODY[:-1] + b',"max_tokens":100}'


def engine_of(config: Mapping[str, Any] | None = None, **options: Any) -> Engine:
    given = {"llm": {"providers": {"openai": {"api_key": "sk-x"}}}, **(config or {})}
    return open_engine(load(given, books="memory:", environ={}, **options), clock=ManualClock())


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = engine_of(budget_usd=5)
    yield made
    made.close()


def asked(**options: Any) -> Asked:
    return Asked(**{"model": "openai/gpt-4o-mini", **options})


def test_a_plan_names_its_provider_its_scopes_and_its_way(engine: Engine) -> None:
    plan = engine.plan(CHAT, LIMITED, asked(user="ann", session="s", tags={"team": "t"}))
    assert plan.url == "https://api.openai.com/v1/chat/completions"
    assert plan.headers["Authorization"] == "Bearer sk-x"
    assert plan.model == "gpt-4o-mini"
    assert dict(plan.scopes) == {
        "provider": "openai",
        "model": "openai/gpt-4o-mini",
        "key": plan.scopes["key"],
        "user": "ann",
        "session": "s",
        "team": "t",
    }
    assert plan.scopes["key"].startswith("openai:")
    assert "sk-x" not in plan.scopes["key"]
    assert plan.demand.output_tokens_max == 100
    assert plan.demand.base_pico_usd is not None


def test_every_call_has_an_id_of_its_own_that_sorts_by_time(engine: Engine) -> None:
    ids = [engine.plan(CHAT, BODY, asked()).call_id for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert ids == sorted(ids)
    engine.clock.advance(1)  # type: ignore[attr-defined]
    assert engine.plan(CHAT, BODY, asked()).call_id > ids[-1]
    other = engine_of()
    assert other.plan(CHAT, BODY, asked()).call_id not in ids
    other.close()


def test_every_attempt_of_a_call_stands_where_the_call_began(engine: Engine) -> None:
    route = engine.route(CHAT, BODY, asked(fallbacks=["openai/gpt-4o"]))
    plan: Plan | None = route.first()
    begun_ms = engine.clock()
    numbers = []
    while plan is not None:
        admission = admit(plan, engine.clock)
        assert isinstance(next(admission), Seat)
        admitted = admission.send(True)
        assert isinstance(admitted, Admit)
        assert admitted.reserve.begun_ms == begun_ms
        numbers.append((plan.model, plan.start_ms - begun_ms))
        engine.clock.advance(60)  # type: ignore[attr-defined]
        error = ProviderUnavailableError("down", provider="openai", model=plan.model)
        step = route.after(Failure(plan, error, Problem("unavailable", 503)), 0)
        plan = None if step is None else step.plan
    assert [waited_ms for _, waited_ms in numbers] == [60_000 * number for number in range(len(numbers))]
    assert {model for model, _ in numbers} == {"gpt-4o-mini", "gpt-4o"}


def test_waiting_ends_with_patience_or_the_deadline_whichever_is_first(engine: Engine) -> None:
    now_ms = engine.clock()
    assert engine.plan(CHAT, BODY, asked()).wait_until_ms == now_ms + 10_000
    assert engine.plan(CHAT, BODY, asked(max_wait_seconds=0)).wait_until_ms == now_ms
    hurried = engine.plan(CHAT, BODY, asked(timeout=2.5))
    assert (hurried.wait_until_ms, hurried.deadline_ms) == (now_ms + 2_500, now_ms + 2_500)


def test_an_elastic_range_is_that_of_the_model(engine: Engine) -> None:
    plain = engine.plan(CHAT, BODY, asked()).demand
    assert (plain.output_tokens_min, plain.output_tokens_max) == (1_024, 16_384)
    reasoning = engine.plan(CHAT, BODY, asked(model="openai/gpt-5-mini")).demand
    assert reasoning.output_tokens_min == 8_192
    embedding = engine.plan(Embeddings(), b'{"model":"-","input":"a"}', asked(model="openai/text-embedding-3-small"))
    assert embedding.demand.output_tokens_max == 0


def test_the_bound_covers_the_tier_that_was_asked_for_and_the_plain_one(engine: Engine) -> None:
    def base(tier: str) -> int:
        body = LIMITED[:-1] + b',"service_tier":"%b"}' % tier.encode()
        found = engine.plan(CHAT, body, asked(model="openai/gpt-4o")).demand.base_pico_usd
        assert found is not None
        return found

    assert base("flex") >= base("auto")


def test_the_tightest_cap_narrows() -> None:
    engine = engine_of({"llm": {"providers": {"openai": {"api_key": "sk-x", "max_cost_per_request": 0.01}}}})
    plan = engine.plan(CHAT, BODY, asked(max_cost_usd="0.005"))
    assert [(cap.name, cap.nano_usd) for cap in plan.caps] == [
        ("openai.max_cost_per_request", 10_000_000),
        ("max_cost_usd", 5_000_000),
    ]
    assert plan.demand.capped_by == "max_cost_usd"
    assert plan.demand.nano_usd(plan.demand.output_tokens_max) <= 5_000_000
    engine.close()


@pytest.mark.parametrize(
    "options",
    [
        {"user": ""}, {"session": ""}, {"user": 5}, {"user": "x" * 257}, {"tags": {"user": "ann"}},
        {"tags": {"key": "k"}}, {"max_cost_usd": "lots"}, {"timeout": float("nan")}, {"timeout": True},
        {"timeout": 86_401}, {"max_wait_seconds": -0.1}, {"extra_headers": {"X": 5}}, {"extra_headers": {"X": "a\nb"}},
    ],
)  # fmt: skip
def test_what_governs_a_call_is_checked(engine: Engine, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        engine.plan(CHAT, BODY, asked(**options))


def test_a_missing_key_is_asked_for_when_it_is_needed() -> None:
    engine = open_engine(load({"llm": {"active": "openai"}}, books="memory:", environ={}), clock=ManualClock())
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        engine.plan(CHAT, BODY, asked())
    engine.close()


def test_prices_are_those_of_the_day() -> None:
    config = {"prices": {"openai/mine": {"from": "2026-06-01", "input": 1, "output": 1}}}
    engine = engine_of(config)
    assert engine.plan(CHAT, BODY, asked(model="openai/mine")).unpriced == ("openai/mine",)
    june = datetime(2026, 6, 1, tzinfo=UTC).timestamp() - engine.clock() / 1000
    engine.clock.advance(june)  # type: ignore[attr-defined]
    assert engine.plan(CHAT, BODY, asked(model="openai/mine")).unpriced == ()
    engine.close()


def test_tags_of_the_client_go_with_every_call_and_those_of_the_call_win() -> None:
    engine = engine_of(tags={"team": "a", "app": "x"})
    scopes = engine.plan(CHAT, BODY, asked(tags={"team": "b"})).scopes
    assert (scopes["team"], scopes["app"]) == ("b", "x")
    engine.close()


def test_a_session_only_counts_where_everything_only_counts() -> None:
    for mode in ("enforce", "observe"):
        engine = engine_of({"mode": mode})
        engine.open_session("s", "0.5")
        (allowance,) = [one for one in engine.store.allowances() if one.name == "session:s"]
        assert (allowance.mode, allowance.capacity, allowance.period) == (mode, 500_000_000, "total")
        engine.close()


def test_an_observer_that_fails_is_logged_and_stops_nobody(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    engine.watch(broken)
    engine.watch(seen.append)
    event = CallRefused("c", "p", "m", InvalidRequestError("no"), 0)
    with caplog.at_level(logging.ERROR, "bursar"):
        engine.observe(event)
        engine._expired(Expired((("a", 5),)))
    assert seen == [event, HoldsExpired((("a", 5),))]
    assert "an observer failed" in caplog.text


def test_books_are_closed_again_when_no_engine_can_stand_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[MemoryStore] = []

    def refuse(self: MemoryStore, *_: object) -> None:
        raise ConfigError("another process says otherwise")

    def close(self: MemoryStore) -> None:
        closed.append(self)

    monkeypatch.setattr(MemoryStore, "define", refuse)
    monkeypatch.setattr(MemoryStore, "close", close)
    with pytest.raises(ConfigError, match="otherwise"):
        engine_of(budget_usd=5)
    assert len(closed) == 1


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        engine.balances()


def test_a_call_keeps_the_price_of_the_minute_in_which_it_began() -> None:
    config = {
        "prices": {"openai/gpt-4o-mini": [{"input": 1, "output": 1}, {"from": "2026-11-24", "input": 2, "output": 2}]},
        "llm": {"providers": {"openai": {"api_key": "k"}, "deepseek": {"api_key": "k"}}},
    }
    made = engine_of(config)

    def card(model: str, moment: datetime) -> Any:
        made.clock.now_ms = int(moment.timestamp() * 1000)  # type: ignore[attr-defined]
        return made.plan(CHAT, LIMITED, asked(model=model)).price

    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    before = card("openai/gpt-4o-mini", midnight - timedelta(milliseconds=1))
    after = card("openai/gpt-4o-mini", midnight)
    # Settled after midnight, the call of before has the price of before.
    assert (before("gpt-4o-mini").pico_usd["input"], after("gpt-4o-mini").pico_usd["input"]) == (10**6, 2 * 10**6)
    off, peak = (card("deepseek/deepseek-v4-pro", midnight.replace(hour=hour)) for hour in (0, 1))
    assert peak("deepseek-v4-pro").pico_usd["output"] > off("deepseek-v4-pro").pico_usd["output"]
    made.close()


def test_a_model_without_a_price_knows_those_like_it(engine: Engine) -> None:
    plan = engine.plan(CHAT, LIMITED, asked(model="openai/gpt-4o-mni"))
    assert plan.unpriced == ("openai/gpt-4o-mni",)
    assert "gpt-4o-mini" in plan.nearest("gpt-4o-mni")
