"""Every way in which a file can be wrong gives one ConfigError that says where, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.config import load
from bursar.errors import ConfigError

PROVIDER = "llm:\n  providers:\n    openai:\n      "

CASES = [
    # unknown keys: the nearest one, or where the key belongs
    (PROVIDER + "max_retires: 3", 4, "llm.providers.openai.max_retires", "did you mean max_retries?"),
    ("mode: enforce\nbudget: {}", 2, "budget", "did you mean budgets?"),
    ("budgets:\n  a: {usd: 1, per: day}\nzzz: 1", 3, "zzz", "known ones: time_zone, books"),
    ("llm:\n  budgets: {}", 2, "llm.budgets", "it belongs at the top of the file"),
    ("api_key: x", 1, "api_key", "it belongs under a provider"),
    ("budgets:\n  a:\n    usd: 1\n    per: day\n    eech: user", 5, "budgets.a.eech", "did you mean each?"),
    ("gateway: {prot: 1}", 1, "gateway.prot", "did you mean port?"),
    ("openai:\n  api_key: x", 1, "openai", "it belongs under llm: providers:"),
    ("budgets:\n  usd: 5", 2, "budgets.usd", "budgets have names: budgets: {NAME: {...}}"),
    ("budgets: {a: {usd: 1, per: daily}}", 1, "budgets.a.per", "did you mean day?"),
    ("llm: {active: openai", 1, None, "expected ',' or '}', but got '<stream end>'"),
    # duplicates
    ("mode: enforce\nbooks: a.db\nmode: observe", 3, None, "mode is given twice, first in line 1"),
    (PROVIDER + "model: a\n      model: b", 5, "llm.providers.openai", "model is given twice, first in line 4"),
    # wrong types
    (PROVIDER + "max_retries: three", 4, "llm.providers.openai.max_retries", "whole number from 0 to 20, got the text"),
    (PROVIDER + "max_retries: 1.5", 4, "llm.providers.openai.max_retries", "got the number 1.5"),
    (PROVIDER + "max_retries: true", 4, "llm.providers.openai.max_retries", "got true"),
    (PROVIDER + "max_retries: [3]", 4, "llm.providers.openai.max_retries", "got a list"),
    (PROVIDER + "log_costs: 1", 4, "llm.providers.openai.log_costs", "true or false, got the number 1"),
    (PROVIDER + "model: 4", 4, "llm.providers.openai.model", "put it in quotes"),
    (PROVIDER + "model:", 4, "llm.providers.openai.model", "has no value"),
    (PROVIDER + "fallback_models: gpt-4o", 4, "llm.providers.openai.fallback_models", "expected a list"),
    (PROVIDER + "extra_headers: [a]", 4, "llm.providers.openai.extra_headers", "expected headers as a mapping"),
    ("budgets: 5", 1, "budgets", "expected budgets as a mapping, got the number 5"),
    ("budgets:\n  - usd: 1", 1, "budgets", "got a list"),
    ("llm: openai", 1, "llm", "expected llm as a mapping"),
    ("mode: on", 1, "mode", "expected enforce or observe, got on"),
    ("- a", 1, None, "got a list"),
    ("just words", 1, None, "got the text 'just words'"),
    # negative and absurd
    (PROVIDER + "daily_cost_limit: -1", 4, "llm.providers.openai.daily_cost_limit", "from 0 to 1,000,000,000, got"),
    (PROVIDER + "max_cost_per_request: .nan", 4, "llm.providers.openai.max_cost_per_request", "got the number .nan"),
    (PROVIDER + "daily_cost_limit: 1e300", 4, "llm.providers.openai.daily_cost_limit", "from 0 to"),
    (PROVIDER + "daily_cost_limit: 0.0000000001", 4, "llm.providers.openai.daily_cost_limit", "9 decimals"),
    (
        PROVIDER + "daily_cost_limit: 1." + "0" * 40 + "1",
        4,
        "llm.providers.openai.daily_cost_limit",
        "an amount of USD",
    ),
    (PROVIDER + "read_timeout: 0", 4, "llm.providers.openai.read_timeout", "seconds from 0.001 to 86400"),
    (PROVIDER + "read_timeout: 1e9", 4, "llm.providers.openai.read_timeout", "seconds from 0.001 to 86400"),
    (PROVIDER + "max_connections: 0", 4, "llm.providers.openai.max_connections", "from 1 to 100,000"),
    (PROVIDER + "requests_per_minute: 0", 4, "llm.providers.openai.requests_per_minute", "from 1 to"),
    (PROVIDER + "tokens_per_day: 100_000_001", 4, "llm.providers.openai.tokens_per_day", "to 100,000,000"),
    (PROVIDER + "discount: 0.1", 4, "llm.providers.openai.discount", "such as 10%"),
    (PROVIDER + "discount: 101%", 4, "llm.providers.openai.discount", "from 0% to 100%"),
    (PROVIDER + "discount: -1%", 4, "llm.providers.openai.discount", "from 0% to 100%"),
    (
        PROVIDER + "retry_jitter: 1.01",
        4,
        "llm.providers.openai.retry_jitter",
        "a share from 0 to 1, such as 0.25 or 25%",
    ),
    (PROVIDER + "retry_jitter: 25", 4, "llm.providers.openai.retry_jitter", "a share from 0 to 1"),
    (PROVIDER + "retry_jitter: -0.1", 4, "llm.providers.openai.retry_jitter", "a share from 0 to 1"),
    (PROVIDER + "retry_jitter: some", 4, "llm.providers.openai.retry_jitter", "a share from 0 to 1"),
    (PROVIDER + "retry_jitter: [0.1]", 4, "llm.providers.openai.retry_jitter", "got a list"),
    (PROVIDER + "retry_jitter: 0." + "0" * 40, 4, "llm.providers.openai.retry_jitter", "a share from 0 to 1"),
    (
        PROVIDER + "circuit_breaker_slow_share: 0",
        4,
        "llm.providers.openai.circuit_breaker_slow_share",
        "a share from 0.01 to 1",
    ),
    (PROVIDER + "retry_base_seconds: -1", 4, "llm.providers.openai.retry_base_seconds", "seconds from 0 to 86400"),
    (PROVIDER + "stall_timeout: 0", 4, "llm.providers.openai.stall_timeout", "seconds from 0.001 to 86400"),
    (PROVIDER + "on_abort: leave", 4, "llm.providers.openai.on_abort", "drain, cancel or counted"),
    ("budgets:\n  a: {usd: -5, per: day}", 2, "budgets.a.usd", "amount of USD"),
    ("budgets:\n  a: {usd: 1e10, per: day}", 2, "budgets.a.usd", "amount of USD"),
    ("budgets: {a: {usd: 1, per: day, alert_at: [50.5%]}}", 1, "budgets.a.alert_at[0]", "whole percentage"),
    ("budgets: {a: {usd: 1, per: day, alert_at: [0%]}}", 1, "budgets.a.alert_at[0]", "whole percentage"),
    ("limits:\n  a: {requests: -1, per: day}", 2, "limits.a.requests", "from 1 to"),
    ("limits:\n  a: {tokens: 200_000_000, per: day}", 2, "limits.a", "beyond what can be counted"),
    ("max_wait_seconds: 86400", 1, "max_wait_seconds", "from 0 to 3600"),
    ("queue: {weights: {search: 1001}}", 1, "queue.weights.search", "from 1 to 1,000"),
    ("queue: {weights: {search: 0.5}}", 1, "queue.weights.search", "a whole number"),
    ("queue: {weights: [search]}", 1, "queue.weights", "expected"),
    ('queue: {weights: {"\\n": 1}}', 1, "queue.weights", "printable"),
    ("queue: {fair_by: a b}", 1, "queue.fair_by", "the name of a dimension"),
    ("queue: {wieghts: {}}", 1, "queue.wieghts", "did you mean weights?"),
    ("weights: {search: 3}", 1, "weights", "it belongs under queue:"),
    ("gateway: {port: 65536}", 1, "gateway.port", "from 0 to 65,535"),
    ("retention: {ledger: 400}", 1, "retention.ledger", "such as 400d, or forever"),
    ("retention: {ledger: never}", 1, "retention.ledger", "such as 400d, or forever"),
    # time zones and periods
    ("time_zone: Europe/Berln", 1, "time_zone", "did you mean Europe/Berlin?"),
    ("time_zone: Berlin", 1, "time_zone", "did you mean Europe/Berlin?"),
    ("time_zone: ../../etc/passwd", 1, "time_zone", "there is no time zone"),
    ("time_zone: Europe", 1, "time_zone", "there is no time zone"),
    ("budgets:\n  a: {usd: 1, per: year}", 2, "budgets.a.per", "hour, day, week, month or total, got the text 'year'"),
    ("budgets: {a: {usd: 1}}", 1, "budgets.a", "needs per: hour, day"),
    ("budgets: {a: {per: day}}", 1, "budgets.a", "needs usd"),
    ("budgets: {a: {usd: 1, per: total, rolling: true}}", 1, "budgets.a", "a total does not roll"),
    ("budgets: {a: {usd: 1, per: day, missing: refuse}}", 1, "budgets.a", "it needs each"),
    ("budgets: {a: {usd: 1, per: day, each: a b}}", 1, "budgets.a.each", "the name of a dimension"),
    ("budgets: {a: {usd: 1, per: day, only: {provider: opnai}}}", 1, "budgets.a.only.provider", "did you mean openai?"),
    ("budgets: {a: {usd: 1, per: day, only: {model: gpt-4o}}}", 1, "budgets.a.only.model", "provider/model"),
    ("budgets: {a.b: {usd: 1, per: day}}", 1, "budgets.a.b", "letters, digits"),
    ("budgets: {a: {usd: 1, per: day}}\nlimits:\n  a: {in_flight: 1}", 3, "limits.a", "both called a"),
    ("limits: {a: {per: day}}", 1, "limits.a", "a limit counts one of"),
    ("limits: {a: {requests: 1, tokens: 1, per: day}}", 1, "limits.a", "here are 2"),
    ("limits: {a: {requests: 1}}", 1, "limits.a", "needs per"),
    ("limits: {a: {in_flight: 1, per: day}}", 1, "limits.a", "neither per nor window"),
    ("limits: {a: {requests: 1, per: month}}", 1, "limits.a", "needs window: true"),
    # providers, routes, prices
    ("llm:\n  providers:\n    opnai: {model: a}", 3, "llm.providers.opnai", "did you mean openai?"),
    ("llm:\n  providers:\n    mine: {model: a}", 3, "llm.providers.mine", "needs base_url"),
    ("llm: {active: opnai}", 1, "llm.active", "did you mean openai?"),
    ("llm:\n  providers:\n    a/b: {base_url: 'http://x'}", 3, "llm.providers.a/b", "letters, digits"),
    (PROVIDER + "base_url: api.openai.com", 4, "llm.providers.openai.base_url", "a URL such as"),
    (PROVIDER + "base_url: 'https://host/v1?x=1'", 4, "llm.providers.openai.base_url", "no query"),
    (PROVIDER + "base_url: 'http://host:99999'", 4, "llm.providers.openai.base_url", "a URL such as"),
    (PROVIDER + "extra_headers: {X-A: a, x-a: b}", 4, "llm.providers.openai.extra_headers.x-a", "given twice"),
    ("llm:\n  providers:\n    vllm: {model: a}", 3, "llm.providers.vllm", "vllm needs base_url"),
    (PROVIDER + "price: cheap", 4, "llm.providers.openai.price", "expected free"),
    (PROVIDER + "extra_headers: {Host: a}", 4, "llm.providers.openai.extra_headers.Host", "set by the transport"),
    (PROVIDER + 'extra_headers: {X: "a\\r\\nb: c"}', 4, "llm.providers.openai.extra_headers.X", "one line"),
    ("routes:\n  fast: [opnai/gpt]", 2, "routes.fast[0]", "did you mean openai?"),
    ("routes:\n  fast: [gpt]", 2, "routes.fast[0]", "provider/model"),
    ("routes: {fast: []}", 1, "routes.fast", "at least one"),
    ("routes: {fast: {}}", 1, "routes.fast", "at least one"),
    ("routes: {fast:}", 1, "routes.fast", "expected a list of provider/model"),
    ("routes: {fast: openai/gpt}", 1, "routes.fast", "expected a list of provider/model"),
    ("routes:\n  fast:\n    candidates: []", 3, "routes.fast.candidates", "at least one"),
    ("routes:\n  fast:\n    candidates: [opnai/gpt]", 3, "routes.fast.candidates[0]", "did you mean openai?"),
    ("routes:\n  fast: [openai/a, openai/b, openai/a]", 2, "routes.fast[2]", "openai/a stands in this route already"),
    ("routes: {fast: {candidates: [openai/a], on_contents: next}}", 1, "routes.fast.on_contents", "mean on_content?"),
    ("routes: {fast: {candidates: [openai/a], on_content: go}}", 1, "routes.fast.on_content", "expected stop or next"),
    (
        "routes: {fast: {candidates: [openai/a], after_first_token: restrt}}",
        1,
        "routes.fast.after_first_token",
        "did you mean restart?",
    ),
    ("routes: {fast: {candidates: [openai/a], after_first_token:}}", 1, "routes.fast.after_first_token", "no value"),
    ("on_content: next", 1, "on_content", "it belongs under a route"),
    ("routes: {a/b: [openai/x]}", 1, "routes.a/b", "no slash"),
    ("prices:\n  openai/x: {inputs: 1}", 2, "prices.openai/x.inputs", "did you mean input?"),
    ("prices:\n  openai/x: {input: -1}", 2, "prices.openai/x.input", "cannot be negative"),
    ("prices:\n  openai/x: {input: 1e20}", 2, "prices.openai/x.input", "absurd"),
    ("prices:\n  openai/x: {input: dear}", 2, "prices.openai/x.input", "a price in USD per million"),
    ("prices:\n  openai/x: {from: 2026-02-30, input: 1}", 2, "prices.openai/x.from", "a date such as"),
    ("prices:\n  openai/x: {web_searchs: 10}", 2, "prices.openai/x.web_searchs", "did you mean web_searches?"),
    ("prices:\n  openai/x:\n    web_searches: 10e9\n", 3, "prices.openai/x.web_searches", "absurd"),
    ("prices:\n  openai/x: {input: 1, form: 2026-01-01}", 2, "prices.openai/x.form", "did you mean from?"),
    (
        "prices:\n  openai/x:\n    input: 1\n    tiers: {felx: {input: 1}}",
        4,
        "prices.openai/x.tiers.felx",
        "did you mean flex?",
    ),
    (
        "prices:\n  openai/x:\n    input: 1\n    tiers:\n      batch+su: {input: 1}",
        5,
        "prices.openai/x.tiers.batch+su",
        "unknown tier su",
    ),
    (
        "prices:\n  openai/x: {input: 1, tiers: {default: {input: 1}}}",
        2,
        "prices.openai/x.tiers.default",
        "is the plain tier",
    ),
    (
        "prices:\n  openai/x: {input: 1, tiers: {flex: {inpt: 1}}}",
        2,
        "prices.openai/x.tiers.flex.inpt",
        "did you mean input?",
    ),
    (
        "prices:\n  openai/x: {input: 1, tiers: {flex: {from: 2026-01-01}}}",
        2,
        "prices.openai/x.tiers.flex.from",
        "unknown unit from",
    ),
    ("prices:\n  openai/x: {input: 1, tiers: {flex: {}}}", 2, "prices.openai/x.tiers.flex", "holds no price"),
    ("prices:\n  openai/x: {input: 1, tiers: {}}", 2, "prices.openai/x.tiers", "holds no tier"),
    ("prices:\n  openai/x: {tiers: {flex: {input: 1}}}", 2, "prices.openai/x", "holds no price"),
    (
        "prices:\n  openai/x: {input: 1, above: {200k: {input: 2}}}",
        2,
        "prices.openai/x.above.200k",
        "a number of input tokens",
    ),
    (
        "prices:\n  openai/x: {input: 1, above: {0: {input: 2}}}",
        2,
        "prices.openai/x.above.0",
        "a number of input tokens",
    ),
    (
        "prices:\n  openai/x: {input: 1, above: {99: {above: 2}}}",
        2,
        "prices.openai/x.above.99.above",
        "unknown unit above",
    ),
    (
        "prices:\n  openai/x: {input: 1, above: {9_9: {input: 2}, 99: {input: 3}}}",
        2,
        "prices.openai/x.above.99",
        "given twice",
    ),
    ("prices:\n  openai/x: {input: 1, above: {}}", 2, "prices.openai/x.above", "holds no price"),
    (
        "prices:\n  openai/x: {input: 1, above: {9: {input: 2}}, tiers: {flex: {input: 1}}}",
        2,
        "prices.openai/x.tiers.flex",
        "no prices above 9 tokens",
    ),
    ("prices:\n  openai/x: {}", 2, "prices.openai/x", "holds no price"),
    ("prices:\n  gpt-4o: {input: 1}", 2, "prices.gpt-4o", "provider/model"),
    ("prices:\n  opnai/x: {input: 1}", 2, "prices.opnai/x", "did you mean openai?"),
    ("prices:\n  openai/x:\n  - {input: 1}\n  - {input: 2}", 2, "prices.openai/x", "same date"),
    # what cannot hold
    (
        PROVIDER + "daily_cost_limit: 1\n      enable_cost_tracking: false",
        5,
        "llm.providers.openai.enable_cost_tracking",
        "cannot hold over what is not tracked",
    ),
    # references
    ("max_wait_seconds: ${WAIT}", 1, "max_wait_seconds", "WAIT is not set in the environment"),
    ("books: ${A b}", 1, "books", "a ${ that is not closed"),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), CASES, ids=[case[0][-40:] for case in CASES])
def test_it_says_where_and_what_instead(tmp_path: Path, text: str, line: int, key: str | None, words: str) -> None:
    file = tmp_path / "bursar.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    error = caught.value
    assert (error.line, error.key) == (line, key)
    assert words in str(error)
    assert str(error).startswith(f"{file}:{line}: {key or ''}")


def test_a_mapping_gives_the_path_where_it_has_no_line() -> None:
    with pytest.raises(ConfigError, match=r"^llm\.providers\.openai\.max_retires: unknown key max_retires; did you"):
        load({"llm": {"providers": {"openai": {"max_retires": 3}}}}, environ={})
    for odd in ({1: 2}, {"books": {1}}, {"mode": object()}, {"max_wait_seconds": 10**5000}, {"a" * 200: 1}):
        with pytest.raises(ConfigError):
            load(odd, environ={})  # type: ignore[arg-type]


def test_what_the_environment_holds_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "bursar.yaml"
    file.write_text("max_wait_seconds: ${OPENAI_API_KEY}")
    with pytest.raises(ConfigError, match=r"got what OPENAI_API_KEY holds") as caught:
        load(file, environ={"OPENAI_API_KEY": "canary"})
    assert "canary" not in str(caught.value)


def test_a_value_of_the_environment_is_read_as_its_key_demands() -> None:
    settings = load(
        {"max_wait_seconds": "${WAIT}", "budgets": {"a": {"usd": "${USD:-2.50}", "per": "${PER}"}}},
        environ={"WAIT": "3", "PER": "week"},
    )
    assert settings.max_wait_seconds == 3
    assert (settings.allowances[0].capacity, settings.allowances[0].period) == (2_500_000_000, "week")
