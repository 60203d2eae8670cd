"""Who asks, with which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from bursar.catalog.headers import headers_of, with_callers
from bursar.catalog.providers import Auth, Provider, known_rows, provider_row
from bursar.errors import ConfigError, InvalidRequestError


@dataclass(frozen=True)
class Given:
    """Settings of a user, as far as headers need them."""

    name: str = "openrouter"
    app_name: str | None = None
    app_url: str | None = None
    app_categories: tuple[str, ...] = ()
    organization: str | None = None
    project: str | None = None
    openai_beta: str | None = None
    anthropic_beta: tuple[str, ...] = ()
    extra_headers: Mapping[str, str] = field(default_factory=dict)


def test_openrouter_hears_which_app_asks() -> None:
    given = Given(app_name="MCP Platform", app_url="https://localhost:8000", app_categories=("cli-agent", "ide"))
    headers = headers_of(provider_row("openrouter"), "key", given)
    assert headers == {
        "Content-Type": "application/json",
        "User-Agent": headers["User-Agent"],
        "Authorization": "Bearer key",
        "anthropic-version": "2023-06-01",
        "HTTP-Referer": "https://localhost:8000",
        "X-OpenRouter-Title": "MCP Platform",
        "X-Title": "MCP Platform",
        "X-OpenRouter-Categories": "cli-agent,ide",
    }
    assert headers["User-Agent"].startswith("MCP-Platform bursar/")


def test_every_provider_hears_who_asks() -> None:
    for row in known_rows().values():
        assert headers_of(row, "key", Given(name=row.name))["User-Agent"].startswith("bursar/")


def test_openai_hears_organization_and_project() -> None:
    given = Given(name="openai", organization="org", project="proj", app_name="a", app_url="u", app_categories=("c",))
    headers = headers_of(provider_row("openai"), "key", given)
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org", "proj")
    assert not {"HTTP-Referer", "X-Title", "X-OpenRouter-Title", "X-OpenRouter-Categories"} & headers.keys()
    assert "OpenAI-Organization" not in headers_of(provider_row("groq"), "key", given)


def test_the_seeds_beta_header_is_sent_only_where_it_is_asked_for() -> None:
    assert not any("OpenAI-Beta" in headers_of(row, "key", Given()) for row in known_rows().values())
    asked = headers_of(provider_row("openai"), "key", Given(openai_beta="assistants=v2"))
    assert asked["OpenAI-Beta"] == "assistants=v2"


KEYS: list[tuple[Auth, str, dict[str, str]]] = [
    ("bearer", "key", {"Authorization": "Bearer key"}),
    ("x-api-key", "key", {"x-api-key": "key"}),
    ("api-key", "key", {"api-key": "key"}),
    ("api-key", "eyJhbGciOi.token", {"Authorization": "Bearer eyJhbGciOi.token"}),
    ("x-api-key", "eyJhbGciOi.token", {"x-api-key": "eyJhbGciOi.token"}),
    ("none", "key", {}),
    ("bearer", "", {}),
]


@pytest.mark.parametrize(("auth", "key", "sent"), KEYS)
def test_how_the_key_is_sent(auth: Auth, key: str, sent: dict[str, str]) -> None:
    headers = headers_of(Provider("p", auth=auth), key, Given())
    assert {name: value for name, value in headers.items() if "key" in value or "eyJ" in value} == sent


def test_anthropic_hears_its_version_and_the_betas() -> None:
    headers = headers_of(provider_row("anthropic"), "key", Given(anthropic_beta=("a-2026", "b-2026")))
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("key", "2023-06-01")
    assert headers["anthropic-beta"] == "a-2026,b-2026"
    assert "Authorization" not in headers


def test_a_server_that_speaks_anthropics_format_hears_its_version_too() -> None:
    row = replace(provider_row("mine", "http://gpu/v1"), dialects=("anthropic_messages",))
    assert headers_of(row, "", Given())["anthropic-version"] == "2023-06-01"
    newer = replace(row, headers={"anthropic-version": "2027-01-01"})
    assert headers_of(newer, "", Given())["anthropic-version"] == "2027-01-01"
    assert "anthropic-version" not in headers_of(provider_row("openai"), "", Given())


def test_a_server_without_a_key_gets_none_and_own_headers_win() -> None:
    given = Given(name="groq", extra_headers={"user-agent": "mine", "X-Team": "a"})
    headers = headers_of(provider_row("groq"), "", given)
    assert headers == {"Content-Type": "application/json", "user-agent": "mine", "X-Team": "a"}


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX: y", "ключ", "a" * 9_000, "a\x00"])
def test_a_value_that_cannot_be_a_header_is_refused_and_not_shown(value: str) -> None:
    for key, given in (
        (value, Given()),
        ("key", Given(app_url=value)),
        ("key", Given(openai_beta=value)),
        ("key", Given(extra_headers={"X-A": value})),
    ):
        with pytest.raises(ConfigError, match="one line of plain ASCII") as refused:
            headers_of(provider_row("openrouter"), key, given)
        assert value not in str(refused.value)


def test_a_callers_headers_win_whatever_their_case() -> None:
    base = {"User-Agent": "bursar", "X-Team": "a"}
    assert with_callers(base, None) is base
    assert with_callers(base, {"user-agent": "mine"}) == {"X-Team": "a", "user-agent": "mine"}


def test_betas_of_the_settings_and_of_the_caller_are_joined() -> None:
    base = {"anthropic-beta": "a,b"}
    assert with_callers(base, {"Anthropic-Beta": "b, c"}) == {"Anthropic-Beta": "a,b,c"}
    both = Given(anthropic_beta=("a",), extra_headers={"anthropic-beta": "c"})
    assert headers_of(provider_row("anthropic"), "key", both)["anthropic-beta"] == "a,c"


@pytest.mark.parametrize("value", ["a\rX: y", "a\nb", 5])
def test_a_callers_header_is_one_line(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="must be one line"):
        with_callers({}, {"X-A": value})
