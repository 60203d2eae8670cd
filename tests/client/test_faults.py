"""Every fault of a provider: one clear error, nothing held, and the books never below the bill."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bursar
from bursar.errors import (
    ContextTooLongError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderAuthError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from tests.client.colours import Teller, opened, whole
from tests.client.raw_server import answer, configured, raw_server
from tests.client.simulator import KEY, Sim


def check_books(llm: Teller, sim: Sim, *, certain: bool | None = None) -> None:
    """Held is nothing, certain rows are the bill, uncertain ones are not below it."""
    balance = llm.budgets()["client"]
    assert balance.held == 0
    assert balance.spent >= sim.billed()
    for fact in llm.facts():
        billed = sim.billed(fact.attempt_id)
        if fact.certain and fact.cost_source != "provider":
            assert fact.charged_nano_usd == billed
        # What a provider says that it charged is believed, even where it says nonsense.
        assert fact.charged_nano_usd >= billed
        assert fact.charged_nano_usd <= max(fact.bound_nano_usd, fact.cost_nano_usd or 0)
        if certain is not None:
            assert fact.certain is certain
    assert llm.seats() == 0


STATUSES: list[tuple[str, type[bursar.BursarError], bool]] = [
    ("status:400", bursar.ProviderError, True),
    ("status:401", ProviderAuthError, True),
    ("status:404,code=model_not_found", ModelNotFoundError, True),
    ("status:400,code=context_length_exceeded", ContextTooLongError, True),
    ("status:429,retry_after=2", ProviderRateLimitError, True),
    ("status:500", ProviderUnavailableError, True),
    ("status:503", ProviderUnavailableError, True),
    ("status:502", ProviderUnavailableError, False),
    ("status:504", bursar.ProviderError, False),
    ("html:503", ProviderUnavailableError, True),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("fault", "error", "certain"), STATUSES)
async def test_a_status_is_its_error_and_free_only_where_that_is_certain(
    sim: Sim, colour: str, fault: str, error: type[bursar.BursarError], certain: bool, streamed: bool
) -> None:
    with sim.faults(fault):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            with pytest.raises(error) as raised:
                await (llm.stream() if streamed else llm.chat())
            check_books(llm, sim, certain=certain)
            assert raised.value.sent
            assert raised.value.call_id == llm.facts()[0].call_id
            charged = llm.facts()[0].charged_nano_usd
            assert (charged == 0) is certain
            if "retry_after" in fault:
                assert raised.value.retry_after_seconds == 2


UNCERTAIN = ["drop", "drop:1", "truncate:2", "malformed_json", "empty", "absurd_usage:negative", "absurd_usage:strings",
             "absurd_usage:enormous", "absurd_usage:null", "absurd_usage:floats", "missing_usage", "no_done",
             "wrong_content_type", "duplicate_chunks", "error_in_stream:1", "error_body", "refuse"]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", ["openai", "openrouter", "groq"])
@pytest.mark.parametrize("fault", UNCERTAIN)
async def test_whatever_a_provider_does_the_books_are_never_below_its_bill(
    sim: Sim, colour: str, fault: str, provider: str, streamed: bool
) -> None:
    models = {"openai": "gpt-4o-mini", "openrouter": "openai/gpt-4o-mini", "groq": "llama-3.1-8b-instant"}
    model = f"{provider}/{models[provider]}"
    with sim.faults(fault):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            ask: Any = llm.stream if streamed else llm.chat
            asked = ask("[[tokens=8]]", model=model, max_tokens=50)
            outcome: Any = (await asyncio.gather(asked, return_exceptions=True))[0]
            check_books(llm, sim)
            assert len(llm.facts()) == 1
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, bursar.ProviderError)
                assert outcome.sent
                assert str(outcome)
                return
            reply = whole(outcome.reply) if streamed else outcome
            if reply.cost.certain and reply.cost.source == "computed":
                assert reply.cost.nano_usd == sim.billed()


async def test_a_connection_that_is_refused_costs_nothing_and_was_not_sent(colour: str) -> None:
    config = {"llm": {"providers": {"openai": {"base_url": "http://127.0.0.1:1/v1", "api_key": KEY}}}}
    async with opened(colour, config, budget_usd=5) as llm:
        with pytest.raises(ProviderUnavailableError, match="Nothing was sent") as raised:
            await llm.chat()
        assert not raised.value.sent
        assert raised.value.cost is None
        balance = llm.budgets()["client"]
        assert (balance.spent, balance.held) == (0, 0)
        assert llm.facts()[0].ending == "not_sent"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_deadline_ends_a_stalled_reply_at_its_bound(sim: Sim, colour: str, streamed: bool) -> None:
    with sim.faults("stall:30,after_chunks=1"):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            for seconds in (0.15, 1.5, 10):  # a busy machine needs longer to send it
                with pytest.raises((ProviderTimeoutError, bursar.StreamInterruptedError)) as raised:
                    await (llm.stream(timeout=seconds) if streamed else llm.chat(timeout=seconds))
                if raised.value.sent:
                    break
            fact = llm.facts()[0]
            assert not fact.certain
            assert fact.charged_nano_usd == fact.bound_nano_usd
            assert llm.budgets()["client"].held == 0
            assert raised.value.cost is not None


async def test_a_read_timeout_ends_a_stalled_stream(sim: Sim, colour: str) -> None:
    with sim.faults("stall:30,after_chunks=1"):
        async with opened(colour, sim.config(openai={"read_timeout": 0.75}), budget_usd=5) as llm:
            with pytest.raises(bursar.StreamInterruptedError, match=r"time|nothing came") as raised:
                await llm.stream()
            assert raised.value.reply.text
            assert raised.value.reply.receipt.charged_nano_usd == llm.facts()[0].bound_nano_usd


NOT_REPLIES = [b"", b"<html>", b"null", b"[]", b'"text"', b'{"id":', b"{}", b'{"choices":{}}', b'{"choices":null}',
               b"\xff\xfe", b'{"object":"list","data":[]}', b"[" * 100_000]  # fmt: skip


@pytest.mark.parametrize("body", NOT_REPLIES, ids=lambda body: body[:12].decode("latin-1") or "nothing")
async def test_a_reply_that_is_none_is_an_error_charged_at_the_bound(colour: str, body: bytes) -> None:
    with raw_server(answer(body)) as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            with pytest.raises(MalformedReplyError) as raised:
                await llm.chat()
            fact = llm.facts()[0]
            assert (fact.certain, fact.charged_nano_usd) == (False, fact.bound_nano_usd)
            assert llm.budgets()["client"].spent == fact.bound_nano_usd
            assert raised.value.cost is not None


async def test_an_error_names_the_provider_and_never_the_prompt_or_the_key(sim: Sim, colour: str) -> None:
    with sim.faults("status:400"):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            with pytest.raises(bursar.ProviderError) as raised:
                await llm.chat("my secret prompt")
            said = str(raised.value) + repr(raised.value) + repr(raised.value.__dict__)
            assert "openai/gpt-4o-mini" in said
            assert "secret" not in said
            assert KEY not in said
            assert (raised.value.provider, raised.value.model, raised.value.status) == ("openai", "gpt-4o-mini", 400)
            assert raised.value.request_id


async def test_a_wrong_key_is_the_providers_error(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"api_key": "wrong"}), budget_usd=5) as llm:
        with pytest.raises(ProviderAuthError):
            await llm.chat()
        check_books(llm, sim, certain=True)


# What is wrong before anything is sent


async def test_a_missing_key_is_named_with_its_variable(colour: str) -> None:
    async with opened(colour, {"llm": {"providers": {"local": {"base_url": "http://localhost:1"}}}}) as llm:
        with pytest.raises(bursar.ConfigError, match="OPENAI_API_KEY"):
            await llm.chat()


@pytest.mark.parametrize("model", ["opnai/gpt-4o", "nobody", "/", "a/", "", "two words"])
async def test_an_unknown_provider_is_refused_with_advice(sim: Sim, colour: str, model: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        with pytest.raises(bursar.ConfigError):
            await llm.chat(model=model)
        assert llm.facts() == []
    assert sim.entries() == []


async def test_an_unknown_model_is_the_providers_to_refuse(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config()) as llm:
        with pytest.raises(ModelNotFoundError):
            await llm.chat(model="openai/gpt-of-nobody")


async def test_the_yaml_that_an_unknown_price_prints_makes_the_call_work(sim: Sim, colour: str, tmp_path: Any) -> None:
    import yaml

    config = sim.config()
    model = "own/tiny-chat"
    async with opened(colour, config, budget_usd=5) as llm:
        with pytest.raises(bursar.PriceUnknownError) as raised:
            await llm.chat(model=model)
        assert raised.value.models == (model,)
        assert not raised.value.sent
        assert llm.facts() == []
        assert llm.budgets()["client"].held == 0
    printed = str(raised.value).partition("\n\n")[2].partition("\n\n")[0]
    added = yaml.safe_load(printed)
    assert added == {"prices": {model: {"input": 0.0, "output": 0.0}}}
    added["prices"][model] = {"input": 1.5, "output": 2}
    file = tmp_path / "bursar.yaml"
    file.write_text(yaml.safe_dump({**config, **added}))
    async with opened(colour, file, budget_usd=5) as llm:
        reply = await llm.chat(model=model, max_tokens=10)
        assert reply.cost.certain
        assert reply.cost.nano_usd == reply.usage.input_tokens * 1_500 + reply.usage.output_tokens * 2_000
    assert len(sim.entries()) == 1


async def test_free_is_said_and_not_guessed(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(own={"price": "free"}), budget_usd=5) as llm:
        reply = await llm.chat(model="own/tiny-chat")
        assert (reply.cost.nano_usd, reply.cost.certain) == (0, True)
        assert reply.receipt.held_nano_usd == 0
    async with opened(colour, sim.config()) as counting:
        unknown = await counting.chat(model="own/tiny-chat")
        assert unknown.cost.nano_usd is None
        assert unknown.cost.usd is None
        assert "unknown" in str(unknown.cost)


async def test_work_at_the_providers_side_without_a_bound_is_refused_under_a_budget(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        with pytest.raises(bursar.PriceUnknownError, match="web_search"):
            await llm.chat(extra_body={"web_search_options": {}})
    assert sim.entries() == []
