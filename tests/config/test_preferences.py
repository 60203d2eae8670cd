"""OpenRouter's routing preferences: each is checked, and what is not known passes with a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bursar.config import contradictions, load
from bursar.config.preferences import KNOWN, unknown
from bursar.config.showing import show
from bursar.errors import ConfigError

HEAD = "llm:\n  providers:\n    openrouter:\n      provider_preferences:\n        "
PATH = "llm.providers.openrouter.provider_preferences"
ENVIRON = {"OPENROUTER_API_KEY": "k"}


def sent(tmp_path: Path, text: str) -> dict[str, Any]:
    (tmp_path / "bursar.yaml").write_text(HEAD + text)
    return dict(load(tmp_path / "bursar.yaml", environ=ENVIRON).providers["openrouter"].provider_preferences)


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("order: [anthropic, deepinfra/turbo]", {"order": ["anthropic", "deepinfra/turbo"]}),
    ("only: [azure]", {"only": ["azure"]}),
    ("ignore: [a, b]", {"ignore": ["a", "b"]}),
    ("allow_fallbacks: false", {"allow_fallbacks": False}),
    ("require_parameters: true", {"require_parameters": True}),
    ("data_collection: deny", {"data_collection": "deny"}),
    ("zdr: true", {"zdr": True}),
    ("enforce_distillable_text: true", {"enforce_distillable_text": True}),
    ("quantizations: [fp8, bf16, unknown]", {"quantizations": ["fp8", "bf16", "unknown"]}),
    ("sort: throughput", {"sort": "throughput"}),
    ("sort: {by: latency, partition: none}", {"sort": {"by": "latency", "partition": "none"}}),
    ("max_price: {prompt: 0.1, completion: 2}", {"max_price": {"prompt": "0.1", "completion": "2"}}),
    ("max_price: {request: 1e-3, image: '0.5'}", {"max_price": {"request": "0.001", "image": "0.5"}}),
    ("preferred_max_latency: 2.5", {"preferred_max_latency": 2.5}),
    ("preferred_max_latency: {p50: 1, p99: 4}", {"preferred_max_latency": {"p50": 1.0, "p99": 4.0}}),
    ("preferred_min_throughput: {p90: 50}", {"preferred_min_throughput": {"p90": 50.0}}),
    ("options: {groq: {a: [1, x]}}", {"options": {"groq": {"a": [1, "x"]}}}),
    ("sort: null", {"sort": None}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "body"), GOOD, ids=[text for text, _ in GOOD])
def test_what_is_sent(tmp_path: Path, text: str, body: dict[str, Any]) -> None:
    assert sent(tmp_path, text) == body
    first = load(tmp_path / "bursar.yaml", environ=ENVIRON)
    again = load(yaml.safe_load(show(first)), environ=ENVIRON)
    assert again.providers["openrouter"].provider_preferences == body
    assert [one for one in contradictions(first) if one.level == "warning"] == []


def test_every_preference_has_its_case() -> None:
    assert {text.partition(":")[0] for text, _ in GOOD} == set(KNOWN)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("order: anthropic", "order", "expected a list"),
        ("order: ['a b']", "order[0]", "the name of a provider"),
        ("allow_fallbacks: never", "allow_fallbacks", "true or false"),
        ("data_collection: denied", "data_collection", "did you mean deny?"),
        ("quantizations: [fp9]", "quantizations[0]", "did you mean fp"),
        ("sort: prize", "sort", "did you mean price?"),
        ("sort: {bye: price}", "sort.bye", "did you mean by?"),
        ("sort: {by: price, partition: all}", "sort.partition", "model or none"),
        ("max_price: 3", "max_price", "such as {prompt: 1, completion: 2}"),
        ("max_price: {prompts: 1}", "max_price.prompts", "did you mean prompt?"),
        ("max_price: {prompt: -1}", "max_price.prompt", "a price in USD from 0"),
        ("max_price: {prompt: .nan}", "max_price.prompt", "a price in USD"),
        ("preferred_max_latency: soon", "preferred_max_latency", "a number of seconds"),
        ("preferred_max_latency: {p95: 1}", "preferred_max_latency.p95", "did you mean p9"),
        ("options: [a]", "options", "options by provider"),
    ],
)
def test_a_slip_is_found_where_it_stands(tmp_path: Path, text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"bursar\.yaml:5: ") as refused:
        sent(tmp_path, text)
    assert refused.value.key == f"{PATH}.{key}"
    assert words in str(refused.value)


def test_what_is_not_known_passes_with_a_warning(tmp_path: Path) -> None:
    text = "zdr: true\n        alow_fallbacks: false\n        new_thing: {a: [1, null, 0.5]}"
    assert sent(tmp_path, text) == {"zdr": True, "alow_fallbacks": False, "new_thing": {"a": [1, None, 0.5]}}
    settings = load(tmp_path / "bursar.yaml", environ=ENVIRON)
    warned = {one.key: one for one in contradictions(settings) if one.level == "warning"}
    assert warned.keys() == {f"{PATH}.alow_fallbacks", f"{PATH}.new_thing"}
    assert warned[f"{PATH}.alow_fallbacks"].line == 6
    assert "passed on as it is; did you mean allow_fallbacks?" in warned[f"{PATH}.alow_fallbacks"].message


def test_unknown_ones_are_named_with_what_is_near() -> None:
    assert unknown({"sort": "price", "sorted": "price"}) == {"sorted": "did you mean sort?"}
