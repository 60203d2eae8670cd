"""The effective tree as YAML: complete, readable by `load`, with sources and without secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bursar.config import Settings, load
from bursar.config.showing import show
from tests.config.examples import SEED, WHOLE

ODD = """\
time_zone: America/Argentina/Buenos_Aires
mode: observe
max_wait_seconds: 0.0000001
books: "odd \\" name's {x}: # ${HERE}.db"
llm:
  providers:
    groq: {discount: 12.5%, organization: "50", project: "yes", app_name: "Müller & Söhne ☂", model: "a/b:c"}
    openrouter:
      provider_preferences:
        {order: [a, "b"], max_price: {prompt: 0.5}, zdr: true, sort: null, "x y": "$${a}", made: [1, {up: -0.5}]}
      app_categories: [cli-agent]
      usage_field: none
    azure:
      base_url: "https://r.openai.azure.com/openai/deployments/{model}"
      api_version: 2024-10-21
      deployments: {my-gpt4o: gpt-4o}
      rate_headers: none
      retry_jitter: 12.5%
      retry_base_seconds: 0
      circuit_breaker_failure_share: 0.333333333
      first_token_timeout: 0.001
      on_abort: counted
routes:
  plain: {candidates: [openai/x], on_content: stop}
  careful: {candidates: [openai/x, "groq/y:free"], on_content: next, after_first_token: restart}
prices:
  openai/x: [{input: 1, output: 0.000001}, {from: 2026-01-01, input: 2, web_searches: 10000}]
  groq/y: free
budgets:
  a: {usd: 0.000000001, per: hour, rolling: true, each: user, missing: refuse, only: {team: "007", live: true}}
limits:
  b: {tokens: 5, per: month, window: true, mode: observe}
  c: {output_tokens: 5, per: second}
queue: {fair_by: x.team, weights: {"007": 1000, "a: b": "2", yes: 1}, length: 5}
retention: {ledger: forever, prompts: 2w}
"""


def without_places(settings: Settings) -> Settings:
    """What must be equal however it was said."""
    providers = {name: replace(provider, in_file=True) for name, provider in settings.providers.items()}
    allowances = tuple(replace(allowance, source="") for allowance in settings.allowances)
    return replace(settings, file=None, places={}, providers=providers, allowances=allowances)


@pytest.mark.parametrize("text", [SEED, WHOLE, ODD], ids=["seed", "whole", "odd"])
def test_what_is_shown_reads_back_as_the_same(tmp_path: Path, text: str) -> None:
    environ = {"OPENAI_API_KEY": "k", "ALERT_WEBHOOK": "https://x.example", "HERE": "here"}
    given, again = tmp_path / "bursar.yaml", tmp_path / "shown" / "bursar.yaml"
    given.write_text(text, encoding="utf-8")
    first = load(given, environ=environ)
    again.parent.mkdir()
    again.write_text(show(first), encoding="utf-8")
    assert without_places(load(again, environ=environ)) == without_places(first)


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "bursar.yaml").write_text("mode: observe\nllm:\n  providers:\n    openai:\n      max_retries: 7\n")
    shown = show(load(tmp_path / "bursar.yaml", environ={"OPENAI_API_KEY": "k"}, budget_usd=5))
    lines = {line.split(":")[0].strip(): line for line in shown.splitlines()}
    assert lines["mode"].endswith("# bursar.yaml:1")
    assert "max_retries: 7".ljust(50) + "  # bursar.yaml:5" in shown
    assert lines["time_zone"].endswith("# default")
    assert lines["client"].endswith("# argument")
    assert any(line.strip().startswith("api_key: ") and line.endswith("# environment OPENAI_API_KEY")
               for line in shown.splitlines())  # fmt: skip


def test_with_nothing_configured_it_is_yaml_too(tmp_path: Path) -> None:
    assert yaml.safe_load(show(load({}, environ={}, books="memory:")))["mode"] == "enforce"


def test_what_is_hidden_is_a_comment(tmp_path: Path) -> None:
    config = {"llm": {"providers": {"openai": {"api_key": "literal", "extra_headers": {"X-A": "b"}}}}}
    shown = show(load(config, environ={}, books="memory:"))
    assert "      # api_key: hidden" in shown
    assert "      # extra_headers: {X-A: hidden}" in shown
    assert "literal" not in shown
    again = yaml.safe_load(shown)["llm"]["providers"]["openai"]
    assert "api_key" not in again
    assert "extra_headers" not in again
