"""What is looked at, what wins, and what stands in the tree then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bursar.config import Route, Settings, load
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance
from bursar.rules.usage import Usage
from tests.config.examples import SEED, WHOLE

Load = Callable[..., Settings]
NANO = 10**9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def of(folder: Path) -> Load:
    """Load YAML text as bursar.yaml of the working directory."""

    def of_text(text: str, environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        (folder / "bursar.yaml").write_text(text, encoding="utf-8")
        return load(environ=environ or {}, **arguments)

    return of_text


def allowance(settings: Settings, name: str) -> Allowance:
    return next(allowance for allowance in settings.allowances if allowance.name == name)


def test_the_seeds_yaml_loads_unchanged_and_each_key_is_read(of: Load) -> None:
    settings = of(SEED)
    openai, openrouter = settings.providers["openai"], settings.providers["openrouter"]
    assert openai.enable_cost_tracking
    assert openai.cost_warning_threshold_nano_usd == NANO
    assert openai.daily_cost_limit_nano_usd == 50 * NANO
    assert openai.max_cost_per_request_nano_usd == NANO // 10
    assert openai.enable_metrics
    assert openai.log_costs
    assert openai.log_token_usage
    assert openrouter.enable_fallbacks
    assert openrouter.fallback_models == ("openai/gpt-3.5-turbo", "anthropic/claude-3-haiku")
    assert openrouter.provider_preferences == {"allow_fallbacks": True, "data_collection": "deny"}
    assert (openrouter.app_name, openrouter.app_url) == ("MCP Platform", "https://localhost:8000")
    limit = allowance(settings, "openai.daily_cost_limit")
    assert (limit.meter, limit.capacity, limit.shape, limit.period) == ("nano_usd", 50 * NANO, "calendar", "day")
    assert limit.only == (("provider", "openai"),)


def test_the_whole_example_loads(of: Load, folder: Path) -> None:
    settings = of(WHOLE, {"OPENAI_API_KEY": "sk-1", "ALERT_WEBHOOK": "https://hooks.example/x"})
    assert settings.books == str(folder / "bursar.db")
    assert (settings.time_zone, settings.mode, settings.max_wait_seconds) == ("UTC", "enforce", 10.0)
    openai = settings.providers["openai"]
    assert settings.active == "openai"
    assert openai.require_key() == "sk-1"
    assert (openai.model, openai.max_connections, openai.max_keepalive) == ("gpt-4o-mini", 100, 20)
    assert (openai.keepalive_expiry, openai.connect_timeout) == (5.0, 10.0)
    assert (openai.max_retries, openai.circuit_breaker_threshold, openai.circuit_breaker_timeout) == (3, 5, 60.0)
    assert (openai.discount, dict(openai.extra_headers)) == (Decimal(0), {})
    local = settings.providers["local"]
    assert (local.base_url, local.free, local.needs_key, local.require_key()) == ("http://gpu:8000/v1", True, False, "")
    assert settings.routes == {"fast": Route(("openai/gpt-4o-mini", "local/qwen3"))}
    (price,) = settings.prices
    assert (price.provider, price.model, price.starts) == ("openai", "gpt-4o", date(2026, 1, 1))
    assert price.card.cost_nano_usd(Usage.of(1000, 100)) == 3_500_000
    assert price.card.version == "bursar.yaml 2026-01-01"
    assert (settings.retention.ledger_days, settings.retention.prompts_days) == (400, 0)
    assert settings.alerts.webhook is not None
    assert settings.alerts.webhook.reveal() == "https://hooks.example/x"
    assert (settings.queue.fair_by, settings.queue.weights, settings.queue.length) == (None, {}, 10_000)
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 8000)


def test_the_whole_example_makes_these_allowances(of: Load) -> None:
    settings = of(WHOLE)
    assert [allowance.name for allowance in settings.allowances] == [
        "company", "teams", "users", "runs", "keys", "flight",
        "openai.daily_cost_limit", "openai.requests_per_minute", "openai.tokens_per_minute",
    ]  # fmt: skip
    company, users = allowance(settings, "company"), allowance(settings, "users")
    assert (company.capacity, company.period, company.alert_at) == (40_000 * NANO, "month", (50, 80, 95))
    assert (users.each, users.missing, users.period) == ("user", "refuse", "day")
    assert allowance(settings, "runs").period == "total"
    keys, flight = allowance(settings, "keys"), allowance(settings, "flight")
    assert (keys.meter, keys.capacity, keys.shape, keys.period, keys.each) == (
        "requests",
        600,
        "bucket",
        "minute",
        "key",
    )
    assert (flight.meter, flight.capacity, flight.shape, flight.period) == ("in_flight", 20, "gauge", None)
    tokens = allowance(settings, "openai.tokens_per_minute")
    assert (tokens.meter, tokens.capacity, tokens.shape, tokens.period) == ("tokens", 500_000, "bucket", "minute")
    assert {budget.name for budget in settings.budgets} == {
        "company", "teams", "users", "runs", "openai.daily_cost_limit",
    }  # fmt: skip


def test_keys_in_the_environment_are_enough(folder: Path) -> None:
    settings = load(environ={"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "  "})
    assert settings.file is None
    assert settings.allowances == ()
    assert settings.books == str(folder / "bursar.db")
    assert settings.providers["openai"].require_key() == "sk-1"
    assert "groq" not in settings.providers  # a variable of spaces is no key
    assert settings.providers["ollama"].require_key() == ""


def test_with_nothing_at_all_it_loads(folder: Path) -> None:
    assert not load(environ={}).providers.get("openai")


def test_a_budget_argument_is_one_more_budget(of: Load) -> None:
    settings = of("budgets: {all: {usd: 9, per: month}}", budget_usd=5, per="week")
    client = allowance(settings, "client")
    assert (client.capacity, client.period, client.shape, client.source) == (5 * NANO, "week", "calendar", "arguments")
    assert allowance(settings, "all").capacity == 9 * NANO
    assert allowance(load({}, budget_usd="0.1", environ={}), "client").capacity == NANO // 10
    assert allowance(load({}, budget_usd=Decimal("1e-9"), environ={}), "client").capacity == 1


@pytest.mark.parametrize(
    "usd", [-1, "many", float("nan"), float("inf"), True, 10**10, 2 * 10**9, "1e-10", [5], "1e999999999"]
)
def test_a_budget_argument_that_is_no_amount_is_refused(usd: Any) -> None:
    with pytest.raises(ConfigError, match="budget_usd") as caught:
        load({}, budget_usd=usd, environ={})
    assert caught.value.key == "budget_usd"


def test_other_arguments_are_checked(folder: Path) -> None:
    with pytest.raises(ConfigError, match="per: expected hour, day, week, month or total"):
        load({}, budget_usd=1, per="year", environ={})
    with pytest.raises(ConfigError, match="did you mean openai"):
        load({}, api_keys={"opnai": "sk-1"}, environ={})
    with pytest.raises(ConfigError, match=r"tags: the value of team"):
        load({}, tags={"team": ""}, environ={})
    with pytest.raises(ConfigError, match=r"tags: the name"):
        load({}, tags={"te am": "a"}, environ={})
    with pytest.raises(ConfigError, match="expected the path of a file, or a mapping, got int"):
        load(5, environ={})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is the name of the budget that budget_usd makes"):
        load({"budgets": {"client": {"usd": 1, "per": "day"}}}, budget_usd=1, environ={})
    with pytest.raises(ConfigError, match=r"tags: user is what every call has"):
        load({}, tags={"user": "ann"}, environ={})
    assert load({}, tags={"team": "search"}, environ={}).tags == {"team": "search"}


def test_arguments_win_over_the_file_and_the_file_over_the_environment(of: Load) -> None:
    text = "llm: {providers: {openai: {api_key: sk-file, base_url: http://a/v1}}}"
    environ = {"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": "http://b/v1"}
    openai = of(text, environ).providers["openai"]
    assert (openai.require_key(), openai.base_url) == ("sk-file", "http://a/v1")
    assert of(text, environ, api_keys={"openai": "sk-arg"}).providers["openai"].require_key() == "sk-arg"
    openai = of("llm: {providers: {openai: {model: m}}}", environ).providers["openai"]
    assert (openai.require_key(), openai.base_url) == ("sk-env", "http://b/v1")


def test_the_variables_of_the_sdks_are_heeded(folder: Path) -> None:
    environ = {
        "OPENAI_API_KEY": "a", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1",
        "GROQ_API_KEY": "b", "GROQ_BASE_URL": "https://groq.example",
    }  # fmt: skip
    providers = load(environ=environ).providers
    assert (providers["openai"].organization, providers["openai"].project) == ("org-1", "proj-1")
    assert providers["groq"].base_url == "https://groq.example/openai/v1"  # their SDK appends the path itself


def test_a_base_url_of_the_environment_is_checked_without_repeating_it(folder: Path) -> None:
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL") as caught:
        load(environ={"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "https://me:canary@host/v1"})
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError, match="OPENAI_ORG_ID in the environment is not one line"):
        load(environ={"OPENAI_API_KEY": "a", "OPENAI_ORG_ID": "org\r\nX-Evil: 1"})


def test_which_file_is_read(folder: Path) -> None:
    (folder / "bursar.yaml").write_text("max_wait_seconds: 1")
    (folder / "other.yaml").write_text("max_wait_seconds: 2")
    assert load(environ={}).max_wait_seconds == 1
    assert load(environ={"BURSAR_CONFIG": "other.yaml"}).max_wait_seconds == 2
    assert load("bursar.yaml", environ={"BURSAR_CONFIG": "other.yaml"}).max_wait_seconds == 1
    assert load(Path("other.yaml"), environ={}).file == str(folder / "other.yaml")
    assert load({"max_wait_seconds": 3}, environ={}).max_wait_seconds == 3
    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such file"):
        load(environ={"BURSAR_CONFIG": "gone.yaml"})


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("sqlite:///bursar.db", "{file}/bursar.db"),
        ("sqlite:///deep/../b.db", "{file}/b.db"),
        ("sqlite:////var/b.db", "/var/b.db"),
        ("b.db", "{file}/b.db"),
        ("~/b.db", "/srv/ann/b.db"),
        ("memory:", "memory:"),
        ("${PLACE}/b.db", "{file}/place/b.db"),
    ],
)
def test_books_of_the_file_are_relative_to_it(folder: Path, given: str, path: str) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "b.yaml").write_text(f'books: "{given}"')
    books = load("etc/b.yaml", environ={"HOME": "/srv/ann", "PLACE": "place", "BURSAR_DB": "ignored.db"}).books
    assert books == path.format(file=folder / "etc")


def test_books_of_argument_and_environment_are_relative_to_the_working_directory(folder: Path) -> None:
    assert load({}, environ={"BURSAR_DB": "env.db"}).books == str(folder / "env.db")
    assert load({"books": "file.db"}, books="arg.db", environ={}).books == str(folder / "arg.db")
    assert load({}, books=folder / "p.db", environ={}).books == str(folder / "p.db")


@pytest.mark.parametrize("given", ["postgres://host/db", "sqlite:///", ".", "sqlite:///b.db?mode=ro", "redis://x"])
def test_books_that_cannot_be_are_refused(of: Load, given: str) -> None:
    with pytest.raises(ConfigError, match=r"bursar\.yaml:2: books: "):
        of(f"mode: enforce\nbooks: '{given}'")


def test_a_mode_of_observe_binds_every_allowance(of: Load) -> None:
    settings = of("mode: observe\nbudgets: {a: {usd: 1, per: day, mode: enforce}}\nlimits: {b: {in_flight: 1}}")
    assert {allowance.mode for allowance in settings.allowances} == {"observe"}


def test_the_tree_is_frozen_and_knows_where_values_come_from(of: Load, folder: Path) -> None:
    settings = of("llm:\n  providers:\n    openai:\n      model: gpt-4o\n", {"OPENAI_API_KEY": "k"})
    with pytest.raises(FrozenInstanceError):
        settings.mode = "observe"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.providers["x"] = None  # type: ignore[index]
    place = settings.place("llm.providers.openai.model")
    assert (place.file, place.line, str(place)) == (str(folder / "bursar.yaml"), 4, "bursar.yaml:4")
    assert str(settings.place("llm.providers.openai.api_key")) == "environment OPENAI_API_KEY"
    assert str(settings.place("time_zone")) == "default"


def test_a_missing_key_is_an_error_only_when_it_is_needed(of: Load) -> None:
    openai = of("llm:\n  providers:\n    openai: {model: gpt-4o}\n").providers["openai"]
    assert not openai.has_key
    with pytest.raises(ConfigError, match=r"set OPENAI_API_KEY .* llm\.providers\.openai\.api_key") as caught:
        openai.require_key()
    assert caught.value.key == "llm.providers.openai.api_key"
    openai = of("llm:\n  providers:\n    openai:\n      api_key: ${MY_KEY}\n").providers["openai"]
    with pytest.raises(ConfigError, match=r"bursar\.yaml:4: llm\.providers\.openai\.api_key: \$\{MY_KEY\} is not set"):
        openai.require_key()
