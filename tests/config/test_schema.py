"""The schema that editors use, the table of keys behind it, and the file to start from."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bursar.config import Settings, contradictions, keys, load
from bursar.config.schema import schema
from bursar.config.starter import init_text
from bursar.config.tree import Alerts, Gateway, ProviderSettings, QueueSettings, Retention
from tests.config.examples import SEED, WHOLE


def problems(value: Any, rule: dict[str, Any], path: str = "") -> list[str]:
    """As much of JSON Schema as ours uses."""
    found: list[str] = []
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
             "number": (int, float), "integer": int}  # fmt: skip
    if "anyOf" in rule and all(problems(value, one, path) for one in rule["anyOf"]):
        found.append(f"{path}: none of anyOf")
    if "oneOf" in rule and sum(not problems(value, one, path) for one in rule["oneOf"]) != 1:
        found.append(f"{path}: not one of oneOf")
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{path}: not in enum")
    named = rule.get("type")
    allowed = [types[name] for name in ([named] if isinstance(named, str) else named or [])]
    if allowed and not (isinstance(value, tuple(_flat(allowed))) and (bool in allowed or not isinstance(value, bool))):
        return [*found, f"{path}: {value!r} is not {named}"]
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        found.append(f"{path}: {value!r} does not match {rule['pattern']}")
    if isinstance(value, int | float) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        found.append(f"{path}: {value} out of range")
    if isinstance(value, list):
        found += [one for item in value for one in problems(item, rule.get("items", {}), f"{path}[]")]
    if isinstance(value, dict):
        found += [f"{path}: lacks {name}" for name in rule.get("required", ()) if name not in value]
        for name, given in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties", {}))
            found += [f"{path}.{name}: unknown"] if inner is False else problems(given, inner, f"{path}.{name}")
    return found


def _flat(types: list[Any]) -> list[type]:
    return [one for given in types for one in (given if isinstance(given, tuple) else (given,))]


def read(text: str) -> Any:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


KEYS = """\
llm:
  providers:
    openai:
      keys: ["${A}", "file:key", {file: key}, {key: "${B}", weight: "2", name: b}, {key: {command: [op, read]}}]
      retry_jitter: 25%
      circuit_breaker_failure_share: 0.3
      slow_call_seconds: 30
      on_abort: counted
routes:
  plain: [openai/x]
  careful: {candidates: [openai/x], on_content: next, after_first_token: continue}
"""


@pytest.mark.parametrize("text", [SEED, WHOLE, KEYS, init_text()], ids=["seed", "whole", "keys", "starter"])
def test_what_loads_is_what_the_schema_allows(text: str) -> None:
    assert problems(read(text), schema()) == []


@pytest.mark.parametrize(
    "text",
    [
        "queue: {weights: {a: 0}}", "queue: {fair: team}", "queue: {length: many}",
        "budget: {}", "mode: watch", "llm: {providers: {openai: {max_retires: 1}}}",
        "llm: {providers: {openai: {max_retries: 21}}}", "budgets: {a: {usd: -1, per: day}}", "budgets: {a: {usd: 1}}",
        "limits: {a: {requests: 1, tokens: 1, per: day}}", "prices: {openai/x: {inputs: 1}}", "routes: {a: openai/x}",
        "gateway: {port: http}", "retention: {ledger: long}",
        "routes: {a: {on_content: next}}", "routes: {a: {candidates: [openai/x], on_content: go}}",
        "llm: {providers: {openai: {keys: a}}}", "llm: {providers: {openai: {keys: [{key: a, wight: 2}]}}}",
        "llm: {providers: {openai: {keys: [{weight: 2}]}}}", "llm: {providers: {openai: {keys: [{key: [a]}]}}}",
        "llm: {providers: {openai: {retry_jitter: 2}}}", "llm: {providers: {openai: {retry_jitter: some}}}",
    ],
)  # fmt: skip
def test_what_the_schema_refuses_does_not_load(text: str) -> None:
    assert problems(read(text), schema())
    with pytest.raises(Exception, match=":"):
        load(yaml.safe_load(text), environ={}, books="memory:")


def test_the_schema_is_json_and_describes_every_key() -> None:
    made = json.loads(json.dumps(schema()))
    provider = made["properties"]["llm"]["properties"]["providers"]["additionalProperties"]["properties"]
    assert list(provider) == [key.name for key in keys.PROVIDER_KEYS]
    assert all(value["description"] for value in provider.values())


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (keys.PROVIDER_KEYS, ProviderSettings), (keys.ROOT_KEYS, Settings), (keys.RETENTION_KEYS, Retention),
        (keys.ALERT_KEYS, Alerts), (keys.GATEWAY_KEYS, Gateway), (keys.QUEUE_KEYS, QueueSettings),
    ],
    ids=["provider", "root", "retention", "alerts", "gateway", "queue"],
)  # fmt: skip
def test_every_key_has_a_field_and_says_where_it_acts(table: tuple[keys.Key, ...], part: type) -> None:
    fields = {field.name for field in dataclasses.fields(part)}
    assert {key.attribute for key in table} <= fields
    layers = {"rules", "wire", "catalog", "call", "config", "edges", "client", "telemetry", "gateway", "cli"}
    assert all(key.acts_in.split(".")[0] in layers and key.help for key in table)


def test_the_starter_loads_as_it_stands_and_has_a_budget(tmp_path: Path) -> None:
    (tmp_path / "bursar.yaml").write_text(init_text())
    settings = load(tmp_path / "bursar.yaml", environ={"OPENAI_API_KEY": "k"})
    assert [budget.name for budget in settings.budgets] == ["everything"]
    assert [finding for finding in contradictions(settings) if finding.level != "note"] == []
    assert load(tmp_path / "bursar.yaml", environ={}).providers["openai"].model == "gpt-4o-mini"


def test_what_the_starter_comments_out_loads_too(tmp_path: Path) -> None:
    lines = init_text().splitlines()
    uncommented = [re.sub(r"^( *)# ( *)(\w[\w/-]*: ?.*)$", r"\1\2\3", line) for line in lines[1:]]
    (tmp_path / "bursar.yaml").write_text("\n".join(uncommented))
    settings = load(tmp_path / "bursar.yaml", environ={})
    assert {"teams", "users", "keys", "flight"} <= {allowance.name for allowance in settings.allowances}
    assert settings.routes
    assert settings.prices
    assert settings.providers["local"].free
