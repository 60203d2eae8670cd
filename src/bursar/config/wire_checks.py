"""Keys that a provider never sees, or not as they are meant: what `config check` says about how one is spoken to.

Decides nothing about a call. Source: the rows of the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from bursar.catalog.providers import Provider, known_rows
from bursar.config import preferences
from bursar.config.columns import MODEL
from bursar.config.findings import Find
from bursar.config.tree import ProviderSettings, Settings

# Only a provider whose row has `fallbacks` (OpenRouter) reads these. An app_name goes into every User-Agent.
_OPENROUTER_KEYS = ("fallback_models", "provider_preferences", "limit_route_price", "app_url", "app_categories")
_OPENAI_ROWS = ("openai", "azure")


def _row(provider: ProviderSettings) -> Provider:
    return known_rows().get(provider.row, Provider(provider.name))


def _fallbacks(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    path = f"llm.providers.{provider.name}"
    if provider.fallback_models and not provider.enable_fallbacks:
        find("warning", f"{path}.fallback_models", "enable_fallbacks is false: these models are never asked for")
    elif provider.provider_preferences.get("allow_fallbacks") is False and provider.fallback_models:
        find(
            "note",
            f"{path}.provider_preferences",
            "allow_fallbacks: false is about other hosts of one model; fallback_models are still served",
        )


def _unread(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    """Keys that this provider ignores."""
    path, row = f"llm.providers.{provider.name}", _row(provider)
    others = {key: "OpenRouter" for key in _OPENROUTER_KEYS if not row.fallbacks}
    others |= {"organization": "OpenAI"} if not row.organization_variable else {}
    others |= {"project": "OpenAI"} if not row.project_variable else {}
    others |= {"openai_beta": "OpenAI"} if row.name not in _OPENAI_ROWS else {}
    others |= {"anthropic_beta": "Anthropic"} if "anthropic_messages" not in provider.dialects else {}
    for key, reader in others.items():
        if f"{path}.{key}" in settings.places:
            find("warning", f"{path}.{key}", f"only {reader} reads this; {provider.name} ignores it")


def _preferences(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    for key, message in unknown_preferences(provider):
        find("warning", key, message)


def unknown_preferences(provider: ProviderSettings) -> Iterator[tuple[str, str]]:
    """The routing preferences that are passed on without being known: the path of each, and what to say of it."""
    path = f"llm.providers.{provider.name}.provider_preferences"
    for name, hint in preferences.unknown(provider.provider_preferences).items():
        yield f"{path}.{name}", f"not a preference that Bursar knows; it is passed on as it is; {hint}"


def _headers(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    path = f"llm.providers.{provider.name}"
    betas = [(f"{path}.openai_beta", "OpenAI-Beta", provider.openai_beta or "")]
    betas += [(f"{path}.extra_headers", name, value) for name, value in provider.extra_headers.items()]
    for key, name, value in betas:
        if name.lower() == "openai-beta" and "assistants" in value.lower():
            find(
                "warning",
                key,
                "the Assistants API that OpenAI-Beta: assistants asks for closed in August 2026; drop the header",
            )
    if not (provider.app_name or "").isascii():
        find("warning", f"{path}.app_name", "stands in headers, which take plain ASCII: calls will fail")


def _credentials(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    path = f"llm.providers.{provider.name}"
    for name in provider.extra_headers:
        if name.lower() in ("authorization", "api-key", "x-api-key") and provider.every_key:
            find("warning", f"{path}.extra_headers", f"{name} stands beside api_key: the provider is sent two keys")
    named = [key for key in provider.every_key if settings.place(key.path).file]
    if named and provider.auth == "none":
        find("warning", f"{path}.auth", "none: the api_key is not sent")
    without = "its turn is left out" if provider.usable_keys else f"calls to {provider.name} will fail"
    for key in named:
        if key.secret.fetched and not key.secret.reference:
            find("warning", key.path, "the key stands in the file; use ${NAME}, file:PATH or a command")
        elif not key.secret.named:
            find("note", key.path, f"{key.secret.reference} is not set: {without}")


def _address(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    key, row = f"llm.providers.{provider.name}.base_url", _row(provider)
    if row.base_path and not urlsplit(provider.base_url).path:
        find("warning", key, f"the API of {row.name} is below {row.base_path}: {provider.base_url}{row.base_path}")
    if row.name == "azure" and MODEL in provider.base_url and not provider.api_version:
        find("warning", key, "addresses with /deployments/ need api_version, such as 2024-10-21")


def _aborts(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    key = f"llm.providers.{provider.name}.on_abort"
    if provider.on_abort == "cancel" and not (provider.cancel_stops_billing and _row(provider).records):
        why = "keeps no record of what it came to" if provider.cancel_stops_billing else "bills the whole reply"
        find("warning", key, f"{provider.name} {why}: streams that callers leave stay charged at their bound")
    if provider.on_abort == "counted" and not provider.cancel_stops_billing:
        find("warning", key, f"{provider.name} bills the whole reply: what is charged for a part of it is too little")


WIRE_CHECKS: tuple[Callable[[Settings, ProviderSettings, Find], None], ...] = (
    _fallbacks,
    _unread,
    _preferences,
    _headers,
    _credentials,
    _address,
    _aborts,
)
