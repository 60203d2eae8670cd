"""Providers that are asked for their models: those that answer, those that refuse, and those that lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bursar.call.exchange import Answer, Failed
from bursar.catalog.providers import Provider, provider_row
from bursar.cli.doctor_providers import judged, models_of
from bursar.sim.process import SimProcess
from tests.cli.conftest import Bursar
from tests.cli.doctors import answer, configure, healthy
from tests.client.raw_server import answer as reply
from tests.client.raw_server import raw_server

URL = "http://gpu/v1/models"
MINE = Provider("mine", "http://gpu/v1")
OPENAIS = {"object": "list", "data": [{"id": "m", "object": "model"}]}
ANTHROPICS = {"data": [{"type": "model", "id": "claude", "display_name": "C"}], "has_more": False}


def test_the_simulator_answers_as_each_of_its_providers(bursar: Bursar, folder: Path, sim: SimProcess) -> None:
    key = "sk-sim-doctor"
    configure(
        folder,
        openai={"base_url": f"{sim.url}/openai/v1", "api_key": key},
        openrouter={"base_url": f"{sim.url}/openrouter/api/v1", "api_key": key},
        groq={"base_url": f"{sim.url}/groq/openai/v1", "api_key": key},
        anthropic={"base_url": f"{sim.url}/anthropic/v1", "api_key": key},
        mistral={"base_url": f"{sim.url}/mistral/v1", "api_key": key},
    )
    well, rows = healthy(bursar)
    assert well
    said = {found.partition(" ")[0]: found for level, check, found in rows if (level, check) == ("ok", "providers")}
    assert set(said) == {"openai", "openrouter", "groq", "anthropic", "mistral"}
    assert all("answers, with" in found for found in said.values())
    assert any("has no limit of its own" in found for _, check, found in rows if check == "account")


def test_a_key_that_the_provider_refuses(bursar: Bursar, folder: Path, sim: SimProcess) -> None:
    configure(folder, openrouter={"base_url": f"{sim.url}/openrouter/api/v1", "api_key": "a-wrong-key"})
    well, rows = healthy(bursar)
    assert not well
    assert rows[0][:2] == ("ok", "providers")  # whoever asks is told the models
    ((level, _, found),) = rows[1:]
    assert (level, "with status 401" in found, "a-wrong-key" in found) == ("error", True, False)


@pytest.mark.parametrize(
    ("path", "back"),
    [("", "status 404"), ("/openai", "status 404"), ("/openai/v2", "status 404")],
)
def test_an_address_that_is_not_the_apis(bursar: Bursar, folder: Path, sim: SimProcess, path: str, back: str) -> None:
    configure(folder, openai={"base_url": sim.url + path, "api_key": "sk-sim-doctor"})
    well, ((level, _, found),) = healthy(bursar)
    assert (well, level) == (False, "error")
    assert found.startswith(f"openai answered GET {sim.url}{path}/models with {back}")


LIES: list[tuple[Any, str]] = [
    (answer(b"<html><body>Welcome</body></html>", content_type="text/html; charset=utf-8"), "change base_url"),
    (answer(b""), "change base_url"),
    (answer({"models": []}), "change base_url"),
    (answer({"data": "none"}), "change base_url"),
    (answer({"data": [{"name": "no id"}]}), "change base_url"),
    (answer({"data": [4]}), "change base_url"),
    (answer([1]), "change base_url"),
    (answer(b"{" * 100_000), "change base_url"),
    (answer(b"", 302), "change base_url"),
    (answer(OPENAIS, 302), "change base_url"),
    (answer(ANTHROPICS), "dialects: [anthropic_messages] and auth: x-api-key"),
    (answer({"detail": "Not Found"}, 404), "--probe makes a call"),
    (answer(b"<html>no</html>", 405, "text/html"), "--probe makes a call"),
    (answer({"error": {"message": "no"}}, 401), "the key is refused"),
    (answer({"error": {"message": "no"}}, 403), "the key is refused"),
    (answer({"error": {"message": "no"}}, 400), "look at base_url and api_key"),
    (Failed("connect", False, "refused"), "look at the network"),
    (Failed("broken", True, "it ended"), "look at the network"),
]


@pytest.mark.parametrize(("answered", "mend"), LIES)
def test_a_provider_that_is_not_what_its_row_says(answered: Answer | Failed, mend: str) -> None:
    looked = judged(MINE, URL, answered, "k")
    (symptom,) = looked.symptoms
    assert (symptom.level, looked.models) == ("error", ())
    assert mend in symptom.mend
    if isinstance(answered, Answer):
        assert f"status {answered.status}" in symptom.found


@pytest.mark.parametrize(
    "answered",
    [
        answer({"error": {"code": "insufficient_quota"}}, 429),
        answer({}, 429),
        answer({}, 402),
        answer(b"upstream", 502),
        answer({"type": "error", "error": {"type": "overloaded_error"}}, 529),
    ],
)
def test_what_passes_is_a_warning(answered: Answer) -> None:
    (symptom,) = judged(MINE, URL, answered, "k").symptoms
    assert (symptom.level, f"status {answered.status}" in symptom.found) == ("warning", True)


@pytest.mark.parametrize("body", [OPENAIS, [{"id": "m", "type": "chat", "object": "model"}], {"data": [{"id": "m"}]}])
def test_lists_of_models(body: Any) -> None:
    looked = judged(MINE, URL, answer(body), "k")
    assert [one.level for one in looked.symptoms] == ["ok"]
    assert looked.models == ("m",)


def test_anthropics_form_is_right_where_it_is_spoken() -> None:
    looked = judged(provider_row("anthropic"), URL, answer(ANTHROPICS), "k")
    assert (looked.symptoms[0].level, looked.models) == ("ok", ("claude",))


def test_openais_form_where_only_anthropics_is_to_be_spoken() -> None:
    anthropic = provider_row("anthropic")
    for row, level in ((anthropic, "error"), (replace(anthropic, auth="bearer"), "warning")):
        looked = judged(row, URL, answer(OPENAIS), "k")
        (symptom,) = looked.symptoms
        assert (symptom.level, looked.models, looked.silent) == (level, ("m",), True)
        assert "status 200" in symptom.found
        assert "that is OpenAI's form" in symptom.mend
        assert "--probe makes a call" in symptom.mend
    both = replace(anthropic, dialects=("openai_chat", "anthropic_messages"))
    assert judged(both, URL, answer(OPENAIS), "k").symptoms[0].level == "ok"


def test_an_empty_list_is_a_list() -> None:
    assert models_of(b'{"object":"list","data":[]}') == []
    assert judged(MINE, URL, answer({"data": []}), "k").symptoms[0].level == "ok"


def test_a_server_that_lies_fails_with_what_came_back(bursar: Bursar, folder: Path) -> None:
    with raw_server(reply(b"<html><body>Welcome to nginx!</body></html>", content_type="text/html")) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free"})
        well, ((level, _, found),) = healthy(bursar)
    assert (well, level) == (False, "error")
    assert found.endswith("with status 200, text/html: <html><body>Welcome to nginx!</body></html>")


def test_a_server_that_shows_the_key_is_not_repeated(bursar: Bursar, folder: Path) -> None:
    with raw_server(reply(b'{"error":{"message":"bad key canary-of-mine"}}', "418 I'm a teapot")) as server:
        configure(folder, gpu={"base_url": server.url, "api_key": "canary-of-mine"})
        _, rows = healthy(bursar)
        assert "canary-of-mine" not in str(rows) + bursar("doctor").output
    assert "status 418" in rows[0][2]


def test_nobody_is_asked_offline_and_what_costs_is_not_done_unasked(bursar: Bursar, folder: Path) -> None:
    with raw_server(reply(b'{"data":[{"id":"m"}]}')) as server:
        configure(folder, gpu={"base_url": server.url, "price": "free", "model": "m"})
        assert healthy(bursar, "--offline") == (True, [])
        assert server.received == []
        assert healthy(bursar)[0]
        assert [one.path for one in server.received] == ["/v1/models"]
    assert not (folder / "bursar.db").exists()


def test_those_that_cannot_be_asked_are_left_alone(bursar: Bursar, folder: Path) -> None:
    command = {"base_url": "http://127.0.0.1:1/v1", "api_key": {"command": ["false"]}}
    configure(folder, gpu=command, azure={"base_url": "http://127.0.0.1:1/{model}", "api_version": "1", "api_key": "k"})
    well, rows = healthy(bursar)
    assert well
    assert [found for _, _, found in rows] == [
        "gpu was not asked: its key comes from a command",
        "azure: an address with the model in it has no list of models to ask for",
    ]


def test_probe_and_offline_contradict_each_other(bursar: Bursar) -> None:
    ended = bursar("doctor", "--probe", "--offline")
    assert (ended.exit_code, "--offline asks none" in ended.stderr) == (2, True)
