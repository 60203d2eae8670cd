"""Several keys of one provider: told apart, weighed, checked where they stand, and shown by nobody."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.config import ProviderKey, ProviderSettings, load, resolve_model
from bursar.config.showing import show
from bursar.errors import ConfigError
from tests.config.test_checks import PROVIDER, findings
from tests.config.test_properties import outcome

CANARY = "cnry-7f3a9b"
ENVIRON = {"A": "key-a", "B": "key-b", "OPENAI_API_KEY": "key-env"}


def openai(environ: dict[str, str] | None = None, api_keys: Any = None, **said: Any) -> ProviderSettings:
    config = {"llm": {"providers": {"openai": said}}}
    settings = load(config, environ=ENVIRON if environ is None else environ, api_keys=api_keys, books="memory:")
    return settings.providers["openai"]


def revealed(keys: tuple[ProviderKey, ...]) -> list[tuple[str, str, int]]:
    return [(key.name, key.reveal(), key.weight) for key in keys]


def test_each_has_a_name_and_a_weight(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-file\n")
    listed = ["${A}", {"key": "${B}", "weight": 3, "name": "spare"}, {"file": str(tmp_path / "key")}, "literal"]
    expected = [("A", "key-a", 1), ("spare", "key-b", 3), ("key3", "key-file", 1), ("key4", "literal", 1)]
    found = openai(keys=listed)
    assert revealed(found.every_key) == revealed(found.usable_keys) == expected
    assert found.require_key() == "key-a"


def test_names_are_those_of_variables_where_those_are_names() -> None:
    environ = {"A": "a", "_B": "b", "C" * 65: "c"}
    listed = ["${_B}", f"${{{'C' * 65}}}", "${A:-x}", "x${A}", {"key": "${A}", "weight": 2}]
    assert [key.name for key in openai(environ, keys=listed).every_key] == ["key1", "key2", "key3", "key4", "A"]


def test_api_key_goes_first_and_the_environments_stays_out() -> None:
    assert revealed(openai(api_key="${B}", keys=["${A}"]).every_key) == [("api_key", "key-b", 1), ("A", "key-a", 1)]
    assert revealed(openai(keys=["${A}"]).every_key) == [("A", "key-a", 1)]
    assert revealed(openai().every_key) == [("api_key", "key-env", 1)]
    assert openai({}).every_key == ()


def test_an_argument_takes_the_place_of_them_all() -> None:
    assert revealed(openai(api_keys={"openai": "key-arg"}, keys=["${A}", "${B}"]).every_key) == [
        ("api_key", "key-arg", 1)
    ]


def test_a_variable_that_is_not_set_leaves_its_turn_out() -> None:
    found = openai({"B": "key-b"}, keys=["${A}", "${B}"])
    assert [key.name for key in found.every_key] == ["A", "B"]
    assert revealed(found.usable_keys) == [("B", "key-b", 1)]
    assert found.has_key
    assert found.require_key() == "key-b"


def test_without_any_the_error_names_the_first() -> None:
    found = openai({}, keys=["${A}", "${B}"])
    assert not found.has_key
    with pytest.raises(ConfigError, match=r"keys\[0\]: \$\{A\} is not set in the environment") as caught:
        found.require_key()
    assert caught.value.key == "llm.providers.openai.keys[0]"


def test_a_provider_with_keys_is_one_that_bare_names_can_mean() -> None:
    settings = load({"llm": {"providers": {"groq": {"keys": ["${A}"]}}}}, environ={"A": "a"}, books="memory:")
    assert resolve_model(settings, "llama") == ("groq", "llama")


@pytest.mark.parametrize(
    ("listed", "path", "words"),
    [
        ([], "keys", "at least one key"),
        ("${A}", "keys", "expected a list of keys"),
        ({"key": "${A}"}, "keys", "expected a list of keys"),
        (["${A}", "${A}"], "keys[1]", "another key of this provider is called A"),
        (["${A}", {"key": "${A}", "name": "b"}], "keys[1]", "give it a weight instead"),
        ([{"key": "${A}", "name": "b"}, {"key": "${B}", "name": "b"}], "keys[1]", "is called b; say name"),
        ([{"key": "${A}", "name": "api_key"}], "keys[0]", "is called api_key"),
        ([{"key": "${A}", "weight": 0}], "keys[0].weight", "a whole number from 1 to 1,000"),
        ([{"key": "${A}", "weight": 1001}], "keys[0].weight", "a whole number from 1 to 1,000"),
        ([{"key": "${A}", "name": "a b"}], "keys[0].name", "a name of letters"),
        ([{"key": "${A}", "weigth": 2}], "keys[0]", "expected a secret (${NAME}, file:PATH, ...) or {key: SECRET"),
        ([{"weight": 2}], "keys[0]", "expected a secret"),
        ([{"file": "a", "name": "b"}], "keys[0]", "or {key: SECRET"),
        ([None], "keys[0]", "expected a secret"),
        ([{"key": None}], "keys[0].key", "expected a secret"),
        ([{"key": {"key": "${A}"}}], "keys[0].key", "expected a secret"),
    ],
)
def test_what_cannot_stand_there_is_refused_where_it_stands(listed: Any, path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        openai(keys=listed)
    assert caught.value.key == f"llm.providers.openai.{path}"
    assert words in str(caught.value)


def test_the_key_of_api_key_is_not_listed_again() -> None:
    with pytest.raises(ConfigError, match="the key of api_key stands in this list, too"):
        openai(api_key="${A}", keys=["${B}", "${A}"])


@pytest.mark.parametrize(
    "item", [CANARY, {CANARY: 1}, {"key": [CANARY]}, {"key": CANARY, CANARY: 2}, {"key": "${X}" + CANARY}, [CANARY]]
)
def test_nothing_that_may_be_a_key_is_shown(item: Any) -> None:
    assert CANARY not in outcome({"llm": {"providers": {"openai": {"keys": ["${A}", item]}}}})


@given(st.recursive(st.just(CANARY) | st.none(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["key", "file", "command", "name!", CANARY]), inner), max_leaves=4))  # fmt: skip
def test_whatever_the_form(item: Any) -> None:
    shown = outcome({"llm": {"providers": {"openai": {"keys": item}}}})
    assert CANARY not in shown.replace(f"file:{Path.cwd() / CANARY}", "").replace(f"the command {CANARY}", "")


def test_an_error_of_fetching_shows_no_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{CANARY} two")
    with pytest.raises(ConfigError) as caught:
        openai(keys=[{"key": {"file": str(tmp_path / "key")}}]).require_key()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_shown_they_read_back_as_the_same(tmp_path: Path) -> None:
    file = tmp_path / "bursar.yaml"
    file.write_text(PROVIDER + "keys: ['${A}', {key: 'file:key', weight: 3}, {key: '${B}', name: b}]\n")
    settings = load(file, environ=ENVIRON, books="memory:")
    shown = show(settings)
    assert f'keys: [{{name: A, key: "${{A}}"}}, {{name: key2, key: "file:{tmp_path}/key", weight: 3}}, ' in shown
    file.write_text(shown)
    again = load(file, environ=ENVIRON, books="memory:").providers["openai"]
    assert again.every_key == settings.providers["openai"].every_key


def test_a_list_with_a_literal_key_is_hidden() -> None:
    config = {"llm": {"providers": {"openai": {"keys": ["${A}", CANARY]}}}}
    shown = show(load(config, environ=ENVIRON, books="memory:"))
    assert '      # keys: [{name: A, key: "${A}"}, {name: key2, key: hidden}]' in shown


def test_checks_find_each_where_it_stands(tmp_path: Path) -> None:
    text = PROVIDER + "keys:\n        - ${A}\n        - ${UNSET}\n        - literal\n      auth: none"
    found = {(one.level, one.key, one.line): one.message for one in findings(tmp_path, text, {"A": "a"})}
    path = "llm.providers.openai"
    assert found == {
        ("note", f"{path}.keys[1]", 6): "${UNSET} is not set: its turn is left out",
        ("warning", f"{path}.keys[2]", 7): "the key stands in the file; use ${NAME}, file:PATH or a command",
        ("warning", f"{path}.auth", 8): "none: the api_key is not sent",
    }


def test_an_open_way_is_found_for_keys_too(tmp_path: Path) -> None:
    (one,) = findings(tmp_path, PROVIDER + "keys: ['${A}']\n      base_url: http://example.com/v1", {"A": "a"})
    assert "unencrypted" in one.message
