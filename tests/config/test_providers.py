"""Which providers there are, and what of the environment each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from bursar.catalog.providers import known_rows, row_of
from bursar.config import ProviderSettings, load, price_book
from bursar.errors import ConfigError


def providers(environ: dict[str, str], **named: Mapping[str, object]) -> dict[str, ProviderSettings]:
    config = {"llm": {"providers": named}} if named else {}
    return dict(load(config, environ=environ, books="memory:").providers)


KEYS = {name: row.key_variable for name, row in known_rows().items() if row.needs_key}


@pytest.mark.parametrize(("name", "variable"), KEYS.items())
def test_a_key_in_the_environment_is_enough(name: str, variable: str) -> None:
    found = providers({variable: "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"})
    assert found[name].require_key() == "k"
    assert name not in providers({})


def test_variables_are_those_of_the_providers_own_sdks() -> None:
    assert KEYS == {
        "openai": "OPENAI_API_KEY",
        "azure": "AZURE_OPENAI_API_KEY",
        "openrouter": "OPENROUTER_API_KEY",
        "anthropic": "ANTHROPIC_API_KEY",
        "gemini": "GEMINI_API_KEY",
        "groq": "GROQ_API_KEY",
        "mistral": "MISTRAL_API_KEY",
        "deepseek": "DEEPSEEK_API_KEY",
        "xai": "XAI_API_KEY",
        "together": "TOGETHER_API_KEY",
        "fireworks": "FIREWORKS_API_KEY",
        "cerebras": "CEREBRAS_API_KEY",
    }


def test_the_first_of_several_variables_wins() -> None:
    both = providers({"GOOGLE_API_KEY": "google", "GEMINI_API_KEY": "gemini"})
    assert both["gemini"].require_key() == "gemini"
    assert providers({"GOOGLE_API_KEY": "google", "GEMINI_API_KEY": " "})["gemini"].require_key() == "google"
    token = {"AZURE_OPENAI_AD_TOKEN": "eyJ0", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}
    assert providers(token)["azure"].require_key() == "eyJ0"


@pytest.mark.parametrize(
    ("name", "variable", "given", "base_url"),
    [
        ("azure", "AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"),
        ("azure", "AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "https://proxy.example/claude", "https://proxy.example/claude/v1"),
        ("groq", "GROQ_BASE_URL", "https://proxy.example", "https://proxy.example/openai/v1"),
        ("openai", "OPENAI_BASE_URL", "https://proxy.example/v1/", "https://proxy.example/v1"),
        ("openai", "OPENAI_BASE_URL", "https://proxy.example", "https://proxy.example"),
    ],
)  # fmt: skip
def test_an_address_of_the_environment_is_read_as_the_sdk_reads_it(
    name: str, variable: str, given: str, base_url: str
) -> None:
    found = providers({variable: given, known_rows()[name].key_variable: "k"})
    assert found[name].base_url == base_url


def test_azure_needs_an_address() -> None:
    assert "azure" not in providers({"AZURE_OPENAI_API_KEY": "k"})
    with pytest.raises(ConfigError, match=r"azure has no address: set AZURE_OPENAI_ENDPOINT"):
        load({}, environ={}, books="memory:", api_keys={"azure": "k"})
    with pytest.raises(ConfigError, match=r"such as https://YOURS\.openai\.azure\.com/openai/v1"):
        providers({}, azure={"model": "a"})


def test_another_account_follows_the_row_that_it_names() -> None:
    found = providers(
        {"AZURE_OPENAI_API_KEY": "k"},
        **{"azure-eu": {"row": "azure", "base_url": "https://eu.openai.azure.com/openai/v1", "settles": "actual"}},
    )["azure-eu"]
    assert (found.row, found.auth, found.read_timeout, found.require_key()) == ("azure", "api-key", 600.0, "k")
    row = row_of(found)
    assert (row.name, row.price_provider, row.settles) == ("azure-eu", "azure", "actual")
    (plain,) = (one for one in providers({}, mine={"row": "openai_compatible", "base_url": "http://gpu/v1"}).values()
                if one.name == "mine")  # fmt: skip
    assert plain == providers({}, mine={"base_url": "http://gpu/v1"})["mine"]


def test_another_account_has_the_list_prices_of_its_row_wherever_it_is() -> None:
    named = {
        "mine": {"row": "openai", "base_url": "http://proxy.example/v1"},
        "other": {"base_url": "http://proxy.example/v1"},
    }
    book = price_book(load({"llm": {"providers": named}}, environ={}, books="memory:"))
    day = date(2026, 11, 22)
    assert book.card("mine", "gpt-4o", day) == book.card("openai", "gpt-4o", day)
    assert book.card("mine", "gpt-4o", day) is not None
    assert book.card("other", "gpt-4o", day) is None


def test_what_becomes_of_abandoned_streams_is_the_rows_to_say() -> None:
    assert providers({"OPENAI_API_KEY": "k"})["openai"].on_abort == "drain"
    assert providers({"OPENROUTER_API_KEY": "k"})["openrouter"].on_abort == "cancel"
    assert providers({}, openrouter={"cancel_stops_billing": False})["openrouter"].on_abort == "drain"
    assert providers({}, openai={"cancel_stops_billing": True})["openai"].on_abort == "drain"  # it keeps no records
    assert providers({}, mine={"row": "openrouter"})["mine"].on_abort == "cancel"
    assert providers({}, openrouter={"on_abort": "counted"})["openrouter"].on_abort == "counted"


def test_a_deployment_is_priced_as_its_model() -> None:
    named = {"base_url": "https://r.openai.azure.com/openai/v1", "deployments": {"mine": "gpt-4o"}}
    found = providers({}, azure=named)["azure"]
    assert (found.priced_as("mine"), found.priced_as("gpt-4.1")) == ("gpt-4o", "gpt-4.1")
