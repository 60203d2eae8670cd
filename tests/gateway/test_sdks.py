"""The official SDKs of OpenAI and Anthropic, as strangers, against a gateway with the simulator behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import ADMIN_KEY, Running

MINI = "gpt-4o-mini"
HAIKU = "claude-haiku-4-5"
ASK: Any = [{"role": "user", "content": "Name three rivers."}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "depth",
        "description": "How deep a river is.",
        "parameters": {"type": "object", "properties": {"river": {"type": "string"}}, "required": ["river"]},
    },
}


@pytest.fixture(scope="module")
def oai(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ADMIN_KEY, max_retries=2, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def ant(gateway: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=ADMIN_KEY, max_retries=2, timeout=30) as client:
        yield client


@pytest.mark.parametrize("model", [MINI, f"openai/{MINI}", "groq/llama-3.1-8b-instant", f"anthropic/{HAIKU}", HAIKU])
def test_a_chat(oai: openai.OpenAI, sim: Sim, model: str) -> None:
    reply = oai.chat.completions.create(model=model, messages=ASK, max_tokens=20)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0
    assert len(sim.entries()) == 1


@pytest.mark.parametrize("model", [MINI, f"anthropic/{HAIKU}"])
def test_a_streamed_chat_with_its_usage(oai: openai.OpenAI, sim: Sim, model: str) -> None:
    options: Any = {"include_usage": True}
    stream = oai.chat.completions.create(model=model, messages=ASK, max_tokens=20, stream=True, stream_options=options)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("model", [MINI, f"anthropic/{HAIKU}"])
def test_tools_and_what_they_answered(oai: openai.OpenAI, sim: Sim, model: str) -> None:
    asked: Any = {"type": "function", "function": {"name": "depth"}}
    first = oai.chat.completions.create(model=model, messages=ASK, tools=[TOOL], tool_choice=asked, max_tokens=50)
    (call,) = first.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "depth"
    answer: Any = {"role": "tool", "tool_call_id": call.id, "content": "12 m"}
    messages = [*ASK, first.choices[0].message.model_dump(exclude_none=True), answer]
    second = oai.chat.completions.create(model=model, messages=messages, tools=[TOOL], max_tokens=20)
    assert second.choices[0].message.content


def test_a_response_and_its_stream(oai: openai.OpenAI, sim: Sim) -> None:
    reply = oai.responses.create(model=MINI, input="Name three rivers.", max_output_tokens=32)
    assert reply.output_text
    assert reply.usage is not None
    with oai.responses.stream(model=MINI, input="Name three rivers.", max_output_tokens=32) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text
    assert final.usage is not None


def test_embeddings(oai: openai.OpenAI, sim: Sim) -> None:
    reply = oai.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(reply.data) == 2
    assert len(reply.data[0].embedding) > 8


def test_models(oai: openai.OpenAI, ant: anthropic.Anthropic) -> None:
    names = [model.id for model in oai.models.list()]
    assert f"openai/{MINI}" in names
    assert oai.models.retrieve(f"openai/{MINI}").owned_by == "openai"
    assert oai.models.retrieve(MINI).id == MINI
    listed = [model.id for model in ant.models.list(limit=1000)]
    assert listed == names
    assert ant.models.retrieve(HAIKU).id == HAIKU


def test_a_message_and_its_stream(ant: anthropic.Anthropic, sim: Sim) -> None:
    reply = ant.messages.create(model=HAIKU, max_tokens=20, messages=ASK)
    assert reply.content[0].type == "text"
    assert reply.usage.output_tokens > 0
    assert reply._request_id
    with ant.messages.stream(model=HAIKU, max_tokens=20, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text
    assert final.usage.output_tokens > 0
    assert len(sim.entries()) == 2


def test_a_messages_tool(ant: anthropic.Anthropic, sim: Sim) -> None:
    tool: Any = {"name": "depth", "description": "d", "input_schema": TOOL["function"]["parameters"]}
    choice: Any = {"type": "tool", "name": "depth"}
    reply = ant.messages.create(model=HAIKU, max_tokens=50, messages=ASK, tools=[tool], tool_choice=choice)
    assert [block.type for block in reply.content] == ["tool_use"]


def test_tokens_are_counted_and_nobody_is_asked(ant: anthropic.Anthropic, sim: Sim) -> None:
    counted = ant.messages.count_tokens(model=HAIKU, messages=ASK, system="Be brief.")
    longer = ant.messages.count_tokens(model=HAIKU, messages=[{"role": "user", "content": "rivers " * 400}])
    assert 0 < counted.input_tokens < longer.input_tokens
    assert sim.entries() == []


def spent_key(gateway: Running) -> str:
    """A key whose budget admits no call."""
    return key_of(gateway, usd=0.000000001)


class TestErrors:
    """Each becomes the SDK's own exception, and no SDK asks again where that is of no use."""

    @pytest.fixture
    def counted(self, gateway: Running, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The paths that the gateway was asked for."""
        asked: list[str] = []
        find = gateway.worker.gateway.table.find

        def counting(incoming: Any) -> Any:
            asked.append(incoming.path)
            return find(incoming)

        monkeypatch.setattr(gateway.worker.gateway.table, "find", counting)
        return asked

    def chat(self, gateway: Running, key: str = ADMIN_KEY, model: str = MINI, **fields: Any) -> Any:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=2, timeout=30) as client:
            return client.chat.completions.create(model=model, messages=ASK, **{"max_tokens": 20, **fields})

    def message(self, gateway: Running, key: str = ADMIN_KEY, model: str = HAIKU) -> Any:
        with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=2, timeout=30) as client:
            return client.messages.create(model=model, messages=ASK, max_tokens=20)

    def test_a_wrong_key(self, gateway: Running, counted: list[str]) -> None:
        with pytest.raises(openai.AuthenticationError):
            self.chat(gateway, key="sk-bursar-" + "C" * 43)
        with pytest.raises(anthropic.AuthenticationError):
            self.message(gateway, key="sk-bursar-" + "C" * 43)
        assert len(counted) == 2

    def test_a_model_that_nobody_knows(self, gateway: Running, counted: list[str]) -> None:
        with pytest.raises(openai.NotFoundError) as raised:
            self.chat(gateway, model="nowhere/gpt-4o-mini")
        assert raised.value.code == "model_not_found"
        with pytest.raises(anthropic.NotFoundError) as told:
            self.message(gateway, model="nowhere/haiku")
        assert told.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
        assert len(counted) == 2

    def test_a_model_that_the_key_may_not_use(self, gateway: Running, counted: list[str]) -> None:
        key = key_of(gateway, models=("openai/gpt-4o-mini",))
        assert self.chat(gateway, key).choices
        with pytest.raises(openai.PermissionDeniedError):
            self.chat(gateway, key, model="gpt-4o")
        with pytest.raises(anthropic.PermissionDeniedError):
            self.message(gateway, key)
        assert len(counted) == 3

    def test_a_budget_that_is_spent_is_asked_once(self, gateway: Running, sim: Sim, counted: list[str]) -> None:
        with pytest.raises(openai.APIStatusError) as raised:
            self.chat(gateway, spent_key(gateway))
        assert raised.value.status_code == 402
        assert raised.value.type == "insufficient_quota"
        assert raised.value.code == "budget_exhausted"
        assert raised.value.request_id
        with pytest.raises(anthropic.APIStatusError) as told:
            self.message(gateway, spent_key(gateway))
        assert told.value.status_code == 402
        assert told.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
        assert len(counted) == 2
        assert sim.entries() == []

    def test_what_the_caller_did_wrong_is_asked_once(self, gateway: Running, sim: Sim, counted: list[str]) -> None:
        with pytest.raises(openai.BadRequestError):
            self.chat(gateway, max_tokens=-1)
        assert len(counted) == 1
        assert sim.entries() == []

    def test_a_limit_of_the_provider_is_asked_again_as_it_says(
        self, gateway: Running, sim: Sim, counted: list[str]
    ) -> None:
        with sim.faults("status:429,retry_after=0.05,times=1"):
            assert self.chat(gateway).choices
        assert len(counted) == 2

    def test_the_gateways_own_key_failing_is_no_fault_of_the_callers(
        self, gateway: Running, sim: Sim, counted: list[str]
    ) -> None:
        with sim.faults("status:401"), pytest.raises(openai.InternalServerError) as raised:
            self.chat(gateway)
        assert raised.value.status_code == 502
        assert len(counted) == 1

    def test_a_stream_that_breaks_off(self, gateway: Running, sim: Sim) -> None:
        asked: Any = {"model": MINI, "stream": True}
        with sim.faults("truncate:2"), openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ADMIN_KEY) as client:
            with pytest.raises(openai.APIError) as raised:
                list(client.chat.completions.create(messages=ASK, **asked))
            assert raised.value.code == "stream_interrupted"
            with pytest.raises(openai.APIError) as raised:
                list(client.responses.create(input="Name three rivers.", **asked))
            assert raised.value.code == "stream_interrupted"

    def test_a_stream_of_messages_that_breaks_off(self, gateway: Running, sim: Sim) -> None:
        with (
            sim.faults("truncate:2"),
            anthropic.Anthropic(base_url=gateway.url, api_key=ADMIN_KEY) as client,
            client.messages.stream(model=HAIKU, messages=ASK, max_tokens=20) as stream,
            pytest.raises(anthropic.APIStatusError) as told,
        ):
            stream.until_done()
        assert told.value.body["error"]["code"] == "stream_interrupted"  # type: ignore[index]
