"""What llama.cpp really answers: the ground on which the tests against it stand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.llama.server import wait_until_healthy

MESSAGES = [{"role": "user", "content": "Name three rivers."}]
PROMPT_TOKENS = 23  # begin, role, a leading space, 18 characters, a line feed, role


def post(url: str, **body: object) -> str:
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def refused(url: str, **body: object) -> tuple[int, Any]:
    with pytest.raises(HTTPError) as caught:
        post(url, **body)
    with caught.value as error:
        return error.code, json.loads(error.read())["error"]


def test_chat_reports_usage(llama_base_url: str) -> None:
    ask = {"model": "tiny", "messages": MESSAGES, "max_tokens": 12, "temperature": 0}
    reply = json.loads(post(f"{llama_base_url}/chat/completions", **ask))
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 12  # a token is a character
    usage = reply["usage"]
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12
    assert set(usage) == {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}
    assert set(usage["prompt_tokens_details"]) == {"cached_tokens"}
    assert reply["model"] == "tiny"

    again = json.loads(post(f"{llama_base_url}/chat/completions", **ask))
    assert again["choices"] == reply["choices"]
    assert again["usage"]["prompt_tokens"] == usage["prompt_tokens"] == PROMPT_TOKENS


def stream(llama_base_url: str, **more: object) -> list[dict[str, Any]]:
    text = post(
        f"{llama_base_url}/chat/completions", model="tiny", messages=MESSAGES, max_tokens=5, stream=True, **more
    )
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_stream_ends_with_usage_where_it_is_asked_for(llama_base_url: str) -> None:
    *deltas, last = stream(llama_base_url, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5
    assert last["usage"]["prompt_tokens"] == PROMPT_TOKENS
    assert not any("usage" in delta for delta in deltas)
    assert len("".join(delta["choices"][0]["delta"].get("content") or "" for delta in deltas)) == 5
    assert deltas[-1]["choices"][0]["finish_reason"] == "length"


def test_a_stream_has_no_usage_unless_it_is_asked_for(llama_base_url: str) -> None:
    assert not any("usage" in chunk for chunk in stream(llama_base_url))


def test_embeddings_report_usage(llama_base_url: str) -> None:
    reply = json.loads(post(f"{llama_base_url}/embeddings", model="tiny", input=["a", "bc"]))
    assert [len(one["embedding"]) for one in reply["data"]] == [32, 32]
    # Each input also has a begin mark and a leading space.
    assert reply["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_several_choices_are_billed_as_one(llama_base_url: str) -> None:
    reply = json.loads(post(f"{llama_base_url}/chat/completions", model="tiny", messages=MESSAGES, max_tokens=5, n=2))
    assert [len(choice["message"]["content"]) for choice in reply["choices"]] == [5, 5]
    assert reply["usage"]["completion_tokens"] == 5


def test_its_errors(llama_base_url: str) -> None:
    status, error = refused(f"{llama_base_url}/chat/completions", messages="x")
    assert (status, error["code"], error["type"]) == (400, 400, "invalid_request_error")
    status, error = refused(f"{llama_base_url}/chat/completions", messages=[{"role": "user", "content": "x" * 9_000}])
    assert (status, error["code"], error["type"]) == (400, 400, "exceed_context_size_error")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import sys; sys.exit('the model is broken')"
    with (
        log.open("wb") as errors,
        Popen([sys.executable, "-c", script], stdout=PIPE, stderr=errors, text=True) as process,
    ):
        with pytest.raises(RuntimeError, match=r"exit code 1\):\nthe model is broken"):
            wait_until_healthy(process, log)
