"""Keys that cannot all be meant: each contradiction is found where it stands, and a file without one has none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from bursar.config import Finding, contradictions, load
from bursar.errors import ConfigError
from tests.config.examples import SEED, WHOLE

PROVIDER = "llm:\n  providers:\n    openai:\n      "
TODAY = date(2026, 11, 22)


def findings(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[Finding]:
    file = tmp_path / "bursar.yaml"
    file.write_text(text)
    return contradictions(load(file, environ={"OPENAI_API_KEY": "k"} | (environ or {})), TODAY)


CASES = [
    (
        PROVIDER + "cost_warning_threshold: 1.00\n      max_cost_per_request: 0.10",
        ("warning", "llm.providers.openai.cost_warning_threshold", 4, "refused above $0.10"),
    ),
    (
        PROVIDER + "max_cost_per_request: 2\n      daily_cost_limit: 1",
        ("warning", "llm.providers.openai.max_cost_per_request", 4, "more than the whole day may cost ($1.00"),
    ),
    (
        PROVIDER + "enable_cost_tracking: false\n      log_costs: true",
        ("warning", "llm.providers.openai.log_costs", 5, "enable_cost_tracking is false"),
    ),
    (
        PROVIDER + "max_keepalive: 200",
        ("warning", "llm.providers.openai.max_keepalive", 4, "never more than 100"),
    ),
    (
        PROVIDER + "max_connections: 5",
        ("warning", "llm.providers.openai.max_connections", 4, "20 idle connections"),
    ),
    (
        PROVIDER + "concurrent_requests: 200",
        ("note", "llm.providers.openai.concurrent_requests", 4, "only reached by several"),
    ),
    (
        PROVIDER + "base_url: http://api.example.com/v1",
        ("warning", "llm.providers.openai.base_url", 4, "unencrypted"),
    ),
    (
        PROVIDER + "requests_per_minute: 100\n      requests_per_day: 50",
        ("warning", "llm.providers.openai.requests_per_day", 5, "fewer than the 100 of one minute"),
    ),
    (
        PROVIDER + "tokens_per_minute: 100\n      tokens_per_day: 50",
        ("warning", "llm.providers.openai.tokens_per_day", 5, "fewer than the 100 of one minute"),
    ),
    (
        PROVIDER + "first_token_timeout: 61",
        ("warning", "llm.providers.openai.first_token_timeout", 4, "a silence of 60 s ends the call before"),
    ),
    (
        PROVIDER + "read_timeout: 5\n      stall_timeout: 10",
        ("warning", "llm.providers.openai.stall_timeout", 5, "a silence of 5 s ends the call before (read_timeout)"),
    ),
    (
        PROVIDER + "retry_base_seconds: 9",
        ("warning", "llm.providers.openai.retry_base_seconds", 4, "no wait is longer than 8 s"),
    ),
    (
        PROVIDER + "retry_cap_seconds: 0",
        ("warning", "llm.providers.openai.retry_cap_seconds", 4, "no wait is longer than 0 s"),
    ),
    (
        PROVIDER + "circuit_breaker_slow_share: 0.5",
        ("warning", "llm.providers.openai.circuit_breaker_slow_share", 4, "slow_call_seconds is not set"),
    ),
    (
        "llm:\n  providers:\n    openrouter:\n      enable_fallbacks: false\n      fallback_models: [a/b]",
        ("warning", "llm.providers.openrouter.fallback_models", 5, "never asked for"),
    ),
    (PROVIDER + "app_url: https://a.example", ("warning", "llm.providers.openai.app_url", 4, "only OpenRouter")),
    (PROVIDER + "fallback_models: [a]", ("warning", "llm.providers.openai.fallback_models", 4, "only OpenRouter")),
    (
        "llm:\n  providers:\n    groq: {organization: a}",
        ("warning", "llm.providers.groq.organization", 3, "only OpenAI"),
    ),
    (
        PROVIDER + "extra_headers: {openai-beta: assistants=v2}",
        ("warning", "llm.providers.openai.extra_headers", 4, "closed in August 2026"),
    ),
    (
        PROVIDER + "extra_headers: {Authorization: Bearer x}",
        ("warning", "llm.providers.openai.extra_headers", 4, "stands beside api_key"),
    ),
    (PROVIDER + "api_key: literal", ("warning", "llm.providers.openai.api_key", 4, "the key stands in the file")),
    (PROVIDER + "api_key: ${UNSET}", ("note", "llm.providers.openai.api_key", 4, "${UNSET} is not set")),
    ("budgets:\n  a: {usd: 1, per: day, alert_at: [150%]}", ("warning", "budgets.a.alert_at", 2, "can never fire")),
    ("budgets:\n  a: {usd: 0, per: day}", ("note", "budgets.a", 2, "every call that costs anything is refused")),
    ("budgets:\n  a: {usd: 1, per: day, each: usr}", ("warning", "budgets.a.each", 2, "did you mean user?")),
    (
        "budgets:\n  a: {usd: 1, per: day, each: user, only: {user: ann}}",
        ("warning", "budgets.a.each", 2, "nothing to tell apart"),
    ),
    (
        "mode: observe\nbudgets:\n  a: {usd: 1, per: day, mode: enforce}",
        ("warning", "budgets.a.mode", 3, "nothing is refused"),
    ),
    (
        "budgets:\n  all: {usd: 10, per: day}\n  teams: {usd: 20, per: day, each: team}",
        ("warning", "budgets.teams", 3, "more than all allows for all ($10.00 per day)"),
    ),
    (
        "budgets:\n  all: {usd: 10, per: month}\n  one: {usd: 20, per: day, only: {team: a}}",
        ("warning", "budgets.one", 3, "more than all allows"),
    ),
    (
        "budgets: {all: {usd: 10, per: total}}\n" + PROVIDER + "daily_cost_limit: 50",
        ("warning", "llm.providers.openai.daily_cost_limit", 5, "more than all allows"),
    ),
    ("routes:\n  fast: [groq/llama]", ("warning", "routes.fast", 2, "groq has no key")),
    (
        "routes:\n  a:\n    candidates: [openai/a]\n    on_content: next",
        ("warning", "routes.a.on_content", 4, "no other candidate to ask"),
    ),
    ("llm:\n  active: groq", ("warning", "llm.active", 2, "groq has no key")),
    ("alerts:\n  webhook: ${HOOK}", ("warning", "alerts.webhook", 2, "alerts go to the log alone")),
    ("alerts:\n  form: slack", ("warning", "alerts.form", 2, "no alerts.webhook")),
    ("prices:\n  openai/x: {from: 2027-01-01, input: 1}", ("note", "prices.openai/x", 2, "not used before that date")),
    ("queue:\n  fair_by: teams", ("warning", "queue.fair_by", 2, "did you mean team?")),
    ("max_wait_seconds: 0\nqueue:\n  length: 5", ("note", "queue.length", 3, "only calls that ask for it wait")),
    ("gateway:\n  host: 0.0.0.0", ("note", "gateway.host", 2, "reachable from other machines")),
]


@pytest.mark.parametrize(("text", "finding"), CASES, ids=[finding[3] for _, finding in CASES])
def test_a_contradiction_is_found_where_it_stands(
    tmp_path: Path, text: str, finding: tuple[str, str, int, str]
) -> None:
    level, key, line, words = finding
    found = [one for one in findings(tmp_path, text) if words in one.message]
    assert [(one.level, one.key, one.line) for one in found] == [(level, key, line)]


@pytest.mark.parametrize(
    "text",
    [
        "mode: enforce",
        PROVIDER + "cost_warning_threshold: 0.05\n      max_cost_per_request: 0.10\n      daily_cost_limit: 5",
        PROVIDER + "enable_cost_tracking: false",
        PROVIDER + "base_url: http://localhost:8000/v1",
        PROVIDER + "base_url: http://gpu:8000/v1",
        PROVIDER + "base_url: http://192.168.0.7/v1",
        PROVIDER + "app_name: Mine",
        PROVIDER + "first_token_timeout: 60\n      stall_timeout: 60\n      retry_base_seconds: 8",
        PROVIDER + "circuit_breaker_slow_share: 50%\n      slow_call_seconds: 30",
        "budgets:\n  all: {usd: 10, per: day}\n  users: {usd: 1, per: day, each: user}\n  month: {usd: 20, per: month}",
        "budgets:\n  all: {usd: 10, per: day}\n  total: {usd: 500, per: total, each: session}",
        "budgets:\n  a: {usd: 10, per: day, only: {team: a}}\n  b: {usd: 20, per: day, only: {team: b}, each: user}",
        "budgets: {a: {usd: 1, per: day, each: project}}",
        "queue: {fair_by: team, weights: {search: 3}, length: 100}",
        "queue: {fair_by: project}",
        "max_wait_seconds: 0",
        "routes: {fast: [openai/x, ollama/y]}",
        "routes: {fast: {candidates: [openai/x, ollama/y], on_content: next}}",
        "routes: {fast: {candidates: [openai/x], after_first_token: restart}}",
        "prices: {openai/x: {from: 2026-11-22, input: 1}}",
    ],
)
def test_what_can_be_meant_is_not_found(tmp_path: Path, text: str) -> None:
    assert findings(tmp_path, text) == []


def test_the_seeds_own_contradiction_is_named(tmp_path: Path) -> None:
    (finding,) = (one for one in findings(tmp_path, SEED) if one.level == "warning")
    assert finding.key == "llm.providers.openai.cost_warning_threshold"
    assert finding.line == 6
    assert "$1.00 can never fire" in finding.message


def test_the_whole_example_only_has_that_one_too(tmp_path: Path) -> None:
    found = findings(tmp_path, WHOLE, {"ALERT_WEBHOOK": "https://x.example"})
    assert [one.key for one in found if one.level == "warning"] == ["llm.providers.openai.cost_warning_threshold"]


@pytest.mark.parametrize(
    "budget",
    [
        "budgets: {a: {usd: 1, per: day}}\n",
        "budgets: {a: {usd: 1, per: day, only: {provider: openai}}}\n",
        "budgets: {a: {usd: 1, per: day, only: {model: openai/gpt-4o}}}\n",
        "budgets: {a: {usd: 1, per: day, only: {team: a}}}\n",
    ],
)
def test_a_budget_over_what_is_not_tracked_stops_the_load(tmp_path: Path, budget: str) -> None:
    with pytest.raises(ConfigError, match=r"bursar\.yaml:5: llm\.providers\.openai\.enable_cost_tracking: .* a is to"):
        findings(tmp_path, budget + PROVIDER + "enable_cost_tracking: false")


def test_a_budget_of_another_provider_does_not(tmp_path: Path) -> None:
    other = "budgets: {a: {usd: 1, per: day, only: {provider: groq}}}\n"
    assert findings(tmp_path, other + PROVIDER + "enable_cost_tracking: false") == []
    with pytest.raises(ConfigError, match="max_cost_per_request is to hold"):
        findings(tmp_path, PROVIDER + "enable_cost_tracking: false\n      max_cost_per_request: 1")
    with pytest.raises(ConfigError, match="client is to hold"):
        load(
            {"llm": {"providers": {"openai": {"enable_cost_tracking": False}}}},
            budget_usd=1,
            environ={},
            books="memory:",
        )


BUDGET = "budgets: {all: {usd: 5, per: day}}\n"


@pytest.mark.parametrize(
    ("text", "key", "line", "words"),
    [
        (BUDGET + PROVIDER + "model: gpt-4o-mni", "llm.providers.openai.model", 5, "did you mean gpt-4o-mini?"),
        (BUDGET + "routes: {a: [openai/my-own]}", "routes.a", 2, "add prices: {openai/my-own: {input: ..."),
        (
            BUDGET + "llm:\n  providers:\n    openrouter:\n      fallback_models: [x/unheard-of]",
            "llm.providers.openrouter.fallback_models",
            5,
            "no price of openrouter/x/unheard-of is known, so under the budget all",
        ),
    ],
)
def test_a_model_without_a_price_under_a_budget(tmp_path: Path, text: str, key: str, line: int, words: str) -> None:
    (found,) = findings(tmp_path, text, {"OPENROUTER_API_KEY": "k"})
    assert (found.level, found.key, found.line) == ("warning", key, line)
    assert words in found.message
    priced = "prices: {openai/gpt-4o-mni: free, openai/my-own: free, openrouter/x/unheard-of: {input: 1, output: 2}}\n"
    assert findings(tmp_path, text + "\n" + priced, {"OPENROUTER_API_KEY": "k"}) == []
    assert findings(tmp_path, text.removeprefix(BUDGET), {"OPENROUTER_API_KEY": "k"}) == []


def test_the_worst_comes_first(tmp_path: Path) -> None:
    levels = [one.level for one in findings(tmp_path, "gateway: {host: 0.0.0.0}\n" + PROVIDER + "max_keepalive: 500")]
    assert levels == ["warning", "note"]


@pytest.mark.parametrize(
    ("prices", "missing"),
    [("{input: 2.50}", ["output"]), ("{output: 10}", ["input"]), ("{input: 2.50, output: 10}", []), ("free", [])],
)
def test_a_price_of_ones_own_for_one_side_only(tmp_path: Path, prices: str, missing: list[str]) -> None:
    found = findings(tmp_path, f"prices:\n  openai/gpt-4o: {prices}\n")
    assert [(one.level, one.key, one.line) for one in found] == [("warning", "prices.openai/gpt-4o", 2)] * len(missing)
    assert all(f"no price of {side}" in one.message for one, side in zip(found, missing, strict=True))
    # An embedding has one side, and of what no list has nobody knows.
    one_sided = "prices: {openai/text-embedding-3-small: {input: 0.02}, openai/mine: {input: 1}}"
    assert findings(tmp_path, one_sided) == []


@pytest.mark.parametrize("address", ["hooks.example/x", "file:///etc/passwd", "ftp://hooks.example"])
def test_alerts_go_to_an_address_of_http_and_nothing_repeats_one(address: str) -> None:
    with pytest.raises(ConfigError, match="begins with http") as raised:
        load({"alerts": {"webhook": "${HOOK}"}}, environ={"HOOK": address}, books="memory:")
    assert address not in str(raised.value)


def test_an_observed_budget_can_be_passed_and_told_of() -> None:
    budgets = {"a": {"usd": 1, "per": "day", "mode": "observe", "alert_at": ["150%"]}}
    settings = load({"budgets": budgets}, environ={}, books="memory:")
    assert [finding for finding in contradictions(settings) if finding.key.endswith("alert_at")] == []
