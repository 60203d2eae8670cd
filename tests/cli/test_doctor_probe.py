"""One tiny call to each provider: governed, paid, and judged by what came back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bursar.edges.stores.sqlite import SqliteStore
from bursar.sim.process import SimProcess
from tests.cli.conftest import Bursar
from tests.cli.doctors import configure, healthy
from tests.client.raw_server import CHAT_REPLY, answer, raw_server

MODELS = answer(b'{"data":[{"id":"m"}]}')
CHAT = answer(CHAT_REPLY)
HTML = answer(b"<html>Not here</html>", "404 Not Found", "text/html")
MESSAGE = answer(
    b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Po"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":4}}'
)


def test_every_dialect_of_a_row_is_tried_and_booked(bursar: Bursar, folder: Path, sim: SimProcess) -> None:
    key = "sk-sim-probe"
    configure(
        folder,
        openai={"base_url": f"{sim.url}/openai/v1", "api_key": key, "model": "gpt-4o-mini"},
        anthropic={"base_url": f"{sim.url}/anthropic/v1", "api_key": key, "model": "claude-haiku-4-5"},
        vectors={
            "row": "openai",
            "base_url": f"{sim.url}/openai/v1",
            "api_key": key,
            "model": "text-embedding-3-small",
        },
    )
    well, rows = healthy(bursar, "--probe")
    assert well
    said = [found for level, check, found in rows if (level, check) == ("ok", "probe")]
    assert [found.partition(";")[0] for found in said] == [
        "openai/gpt-4o-mini answers in openai_chat",
        "openai/gpt-4o-mini answers in openai_responses",
        "anthropic/claude-haiku-4-5 answers in anthropic_messages",
        "vectors/text-embedding-3-small answers in embeddings",
    ]
    assert all("that cost $0.0" in found for found in said)
    store = SqliteStore(folder / "bursar.db")
    try:
        facts = store.attempts()
    finally:
        store.close()
    assert [(fact.provider, fact.certain) for fact in reversed(facts)] == [
        ("openai", True),
        ("openai", True),
        ("anthropic", True),
        ("vectors", True),
    ]


LIES = [
    ({}, [MODELS, HTML], "openai_chat: ", "status 404: <html>Not here</html>"),
    ({}, [MODELS, answer(b"<html>Hi</html>", content_type="text/html")], "not JSON", "status 200: <html>Hi</html>"),
    ({}, [MODELS, MESSAGE], "no content of the form", '"type":"message"'),
    ({"dialects": ["anthropic_messages"]}, [MODELS, CHAT], "anthropic_messages: ", '"object":"chat.completion"'),
    ({"dialects": ["openai_responses"]}, [MODELS, CHAT], "openai_responses: ", '"object":"chat.completion"'),
]


@pytest.mark.parametrize(("keys", "replies", "words", "back"), LIES, ids=[lie[2] for lie in LIES])
def test_a_row_that_lies_fails_with_what_came_back(
    bursar: Bursar, folder: Path, keys: dict[str, list[str]], replies: list[bytes], words: str, back: str
) -> None:
    with raw_server(*replies) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free", "model": "m", **keys})
        well, rows = healthy(bursar, "--probe")
    assert not well
    assert rows[0][:2] == ("ok", "providers")
    ((level, _, found),) = rows[1:]
    assert (level, words in found, back in found) == ("error", True, True)


def test_a_server_without_a_list_is_well_if_it_answers_calls(bursar: Bursar, folder: Path) -> None:
    with raw_server(HTML, CHAT) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free", "model": "m"})
        well, rows = healthy(bursar, "--probe")
    assert well
    assert [row[:2] for row in rows] == [("note", "providers"), ("ok", "probe")]


def test_a_server_with_neither_is_broken(bursar: Bursar, folder: Path) -> None:
    with raw_server(HTML) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free", "model": "m"})
        well, rows = healthy(bursar, "--probe")
    assert not well
    assert [row[:2] for row in rows] == [("error", "providers"), ("error", "probe")]


def test_a_call_that_is_answered_mends_nothing_else(bursar: Bursar, folder: Path) -> None:
    spent = answer(b'{"data":{"usage":5,"limit":5,"limit_remaining":0}}')
    with raw_server(MODELS, spent, answer(b"{}", "403 Forbidden"), CHAT) as server:
        keys = {"api_key": "sk-sim-raw", "price": "free", "model": "m", "dialects": ["openai_chat"]}
        configure(folder, openrouter={"base_url": server.url, **keys})
        well, rows = healthy(bursar, "--probe")
    assert not well
    assert [row[:2] for row in rows] == [
        ("ok", "providers"),
        ("error", "account"),
        ("note", "account"),
        ("ok", "probe"),
    ]


def test_those_without_a_key_are_left_to_the_check_of_keys(bursar: Bursar, folder: Path) -> None:
    with raw_server(MODELS, CHAT) as server:
        configure(
            folder,
            openai={"base_url": server.url, "model": "gpt-4o-mini", "api_key": "file:none"},
            groq={"base_url": server.url, "model": "m"},
            gpu={"base_url": server.url, "price": "free", "model": "m"},
        )
        shown = json.loads(bursar("doctor", "--probe", "--json").stdout)["checks"]
        assert [one.path for one in server.received] == ["/v1/models", "/v1/chat/completions"]
    assert [one["check"] for one in shown if one["level"] == "error"] == ["keys", "keys"]
    assert [one["check"] for one in shown][-2:] == ["providers", "probe"]


def test_a_free_server_is_asked_for_the_first_model_that_it_lists(bursar: Bursar, folder: Path) -> None:
    with raw_server(answer(b'{"data":[{"id":"first"},{"id":"second"}]}'), CHAT) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free"})
        assert healthy(bursar, "--probe")[0]
        assert server.received[-1].json["model"] == "first"
        assert server.received[-1].json["max_tokens"] == 16


def test_a_model_without_a_price_or_without_a_name_is_not_called(bursar: Bursar, folder: Path) -> None:
    with raw_server(MODELS) as server:
        configure(folder, gpu={"base_url": server.url}, dear={"base_url": server.url, "model": "x"})
        well, rows = healthy(bursar, "--probe")
        assert [one.path for one in server.received] == ["/v1/models"] * 2
    assert well
    assert [(level, found) for level, check, found in rows if check == "probe"] == [
        ("note", "gpu was not called: no model of it is named"),
        ("warning", "dear/x was not called in openai_chat: its price is not known"),
    ]
