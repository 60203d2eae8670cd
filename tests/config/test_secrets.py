"""Secrets: how they are named and fetched, and that nothing shows them."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from bursar.config import Secret, Settings, contradictions, load
from bursar.config.reading import shown_text
from bursar.config.secrets import SECRET_CHARACTERS_MAX, expand, references
from bursar.config.showing import show
from bursar.errors import ConfigError

CANARY = "cnry-7f3a9b"


def with_key(api_key: Any, environ: dict[str, str] | None = None) -> Settings:
    return load({"llm": {"providers": {"openai": {"api_key": api_key}}}}, environ=environ or {}, books="memory:")


def key_of(api_key: Any, environ: dict[str, str] | None = None) -> str:
    return with_key(api_key, environ).providers["openai"].require_key()


def test_a_key_can_be_named_in_each_of_these_ways(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY + "\n")
    file, python = str(tmp_path / "key"), sys.executable
    assert key_of("${MINE}", {"MINE": f" {CANARY}\n"}) == CANARY
    assert key_of("${MINE:-spare}") == "spare"
    assert key_of(f"file:{file}") == CANARY
    assert key_of(f"file://{file}") == CANARY
    assert key_of({"file": file}) == CANARY
    assert key_of("file:~/key", {"HOME": str(tmp_path)}) == CANARY
    assert key_of({"command": [python, "-c", f"print('{CANARY}')"]}) == CANARY
    assert key_of({"command": f"{python} -c 'print(\"{CANARY}\")'"}) == CANARY
    assert key_of(CANARY) == CANARY


def test_a_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "b.yaml").write_text("llm: {providers: {openai: {api_key: {file: key}}}}")
    assert load(tmp_path / "b.yaml", environ={}).providers["openai"].require_key() == CANARY


def test_a_command_runs_when_its_key_is_needed_and_only_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"open({str(log)!r}, 'a').write('x'); print('{CANARY}')"
    settings = with_key({"command": [sys.executable, "-c", script]})
    secret = settings.providers["openai"].api_key
    assert secret is not None
    assert settings.providers["openai"].has_key
    show(settings), contradictions(settings), repr(settings)
    assert not log.exists()
    assert not secret.fetched
    assert settings.providers["openai"].require_key() == settings.providers["openai"].require_key() == CANARY
    assert log.read_text() == "x"
    assert secret.fetched


def test_a_command_is_not_given_to_a_shell(tmp_path: Path) -> None:
    settings = with_key({"command": f"echo {CANARY} > {tmp_path / 'made'}"})
    with pytest.raises(ConfigError, match="holds spaces"):
        settings.providers["openai"].require_key()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("api_key", "problem"),
    [
        ({"command": [sys.executable, "-c", f"import sys; sys.exit('{CANARY}')"]}, "ended with status 1"),
        ({"command": [sys.executable, "-c", ""]}, "is empty"),
        ({"command": ["/no/such/program"]}, "cannot be run: No such file"),
        ({"file": "/no/such/file"}, "cannot be read: No such file"),
        ({"file": "/"}, "cannot be read: Is a directory"),
        ({"file": sys.executable}, "is not text"),
        ("${MINE}", r"\$\{MINE\} is not set in the environment"),
        (f"{CANARY} two", "holds spaces"),
        (f"{CANARY}\r\nX-Evil: 1", "holds spaces"),
        (CANARY * 2_000, "expected a secret|holds"),
    ],
)
def test_a_key_that_cannot_be_had_is_an_error_that_does_not_show_it(api_key: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        key_of(api_key)
    assert caught.value.key == "llm.providers.openai.api_key"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "api_key",
    [
        [CANARY], {CANARY: CANARY}, {"file": CANARY, "command": CANARY}, {"command": {"a": CANARY}}, {"command": []},
        {"command": "'" + CANARY}, {"file": ""}, {"command": ["a\0" + CANARY]}, "", True, f"${{{CANARY} x}}", "file:",
    ],
)  # fmt: skip
def test_what_stands_where_a_key_belongs_is_not_repeated(api_key: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        with_key(api_key)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_slow_command_is_given_up() -> None:
    secret = Secret(command=(sys.executable, "-c", "import time; time.sleep(20)"), command_seconds_max=0.05)
    with pytest.raises(ConfigError, match=r"did not answer within 0\.05 seconds"):
        secret.reveal()


def test_a_file_that_is_too_long_for_a_key_is_none(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a" * (SECRET_CHARACTERS_MAX + 1))
    with pytest.raises(ConfigError, match="characters that no key has"):
        key_of({"file": str(tmp_path / "key")})
    (tmp_path / "key").write_text("a" * SECRET_CHARACTERS_MAX)
    assert len(key_of({"file": str(tmp_path / "key")})) == SECRET_CHARACTERS_MAX


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(ConfigError, match="characters that no key has"):
        key_of({"file": "/dev/zero"})


def test_no_output_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    settings = load(
        {
            "llm": {
                "providers": {
                    "openai": {"api_key": CANARY, "extra_headers": {"X-Token": CANARY}},
                    "openrouter": {"api_key": "${MINE}"},
                    "groq": {"api_key": {"command": ["echo", CANARY]}},
                }
            },
            "alerts": {"webhook": f"https://hooks.example/{CANARY}"},
        },
        environ={"MINE": CANARY},
        api_keys={"ollama": CANARY},
        books="memory:",
    )
    secret = settings.providers["openai"].api_key
    assert secret is not None
    assert secret.reveal() == CANARY
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("t").debug("%s %r", settings, secret)
    shown = [repr(settings), str(settings), f"{secret} {secret!r}", show(settings), caplog.text]
    shown += [str(contradictions(settings)), repr(dataclasses.asdict(secret_holder(secret))), repr(vars(type(secret)))]
    assert not any(CANARY in text for text in shown)


def secret_holder(secret: Secret) -> Any:
    made = dataclasses.make_dataclass("Holder", [("secret", Secret)])
    return made(secret)


def test_a_secret_is_copied_as_itself_compared_and_never_pickled() -> None:
    one, same, other = Secret("a"), Secret("a"), Secret("b")
    assert copy.deepcopy(one) is one is copy.copy(one)
    assert one == same
    assert one != other
    assert one != "a"
    assert hash(one) == hash(same)
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(one)


def test_a_value_that_looks_like_a_key_is_masked_wherever_it_stands() -> None:
    assert shown_text("use sk-proj-abc123 now") == "use sk-... now"
    with pytest.raises(ConfigError) as caught:
        load({"llm": {"providers": {"openai": {"max_retries": f"sk-{CANARY}"}}}}, environ={})
    assert CANARY not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load({"llm": {"providers": {"openai": {f"sk-{CANARY}": 1}}}}, environ={})
    assert CANARY not in str(caught.value)
    assert CANARY not in str(caught.value.key)


def test_references_are_put_in_and_can_be_escaped() -> None:
    assert expand("a${B}c$${D}$E", {"B": "b"}) == ("abc${D}$E", ())
    assert expand("${A}${B}", {"A": ""}) == ("", ("A", "B"))
    assert references("${A}-$${B}-${C:-x}") == ("A", "C")
    for odd in ("${", "${}", "${1A}", "${A", "${A-b}"):
        with pytest.raises(ValueError, match="not closed or names no variable"):
            expand(odd, {"A": "a"})
