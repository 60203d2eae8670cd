"""Who asks, with which key: the headers of every request to a provider.

Decides what a provider is told about the application and how the key is sent. Never reads the environment, and never
repeats a value that cannot be sent: it may be a key. The seed's `OpenAI-Beta: assistants=v2` is sent to nobody unless
the settings say so: that API closed in August 2026. Source: the providers' SDKs and documentation, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bursar.catalog.providers import Provider, known_rows
from bursar.errors import ConfigError, InvalidRequestError

__all__ = ["Introduced", "headers_of", "with_callers"]

HEADER_CHARACTERS_MAX = 8_192
# A JSON web token, such as those of Entra; no provider's own keys begin so.
_TOKEN = "eyJ"
# Lists: what the settings ask for and what the caller asks for both hold.
_LISTS = frozenset({"anthropic-beta"})


class Introduced(Protocol):
    """What the user's settings say of the application and its account."""

    @property
    def name(self) -> str: ...
    @property
    def app_name(self) -> str | None: ...
    @property
    def app_url(self) -> str | None: ...
    @property
    def app_categories(self) -> tuple[str, ...]: ...
    @property
    def organization(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...
    @property
    def openai_beta(self) -> str | None: ...
    @property
    def anthropic_beta(self) -> tuple[str, ...]: ...
    @property
    def extra_headers(self) -> Mapping[str, str]: ...


def headers_of(row: Provider, key: str, settings: Introduced) -> dict[str, str]:
    """The headers of every request to a provider: who asks, with which key, and the user's own on top.

    Raises:
        ConfigError: a value cannot stand in a header.
    """
    from importlib.metadata import version

    agent = f"bursar/{version('bursar')}"
    if settings.app_name:
        agent = f"{'-'.join(settings.app_name.split())} {agent}"
    headers = {"Content-Type": "application/json", "User-Agent": agent, **_credentials(row, key)}
    if "anthropic_messages" in row.dialects:
        # Whoever speaks this format may ask for the version of it that Anthropic demands.
        headers.update(known_rows()["anthropic"].headers)
    headers.update(row.headers)
    if row.organization_variable and settings.organization:
        headers["OpenAI-Organization"] = settings.organization
    if row.project_variable and settings.project:
        headers["OpenAI-Project"] = settings.project
    if settings.openai_beta:
        headers["OpenAI-Beta"] = settings.openai_beta
    if settings.anthropic_beta:
        headers["anthropic-beta"] = ",".join(settings.anthropic_beta)
    if row.fallbacks:
        headers.update(_attribution(settings))
    headers = _merged(headers, settings.extra_headers)
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable() or len(value) > HEADER_CHARACTERS_MAX:
            problem = f"the header {name} for {settings.name} must be one line of plain ASCII text"
            raise ConfigError(problem, key=f"llm.providers.{settings.name}")
    return headers


def with_callers(headers: Mapping[str, str], extra: Mapping[str, str] | None) -> Mapping[str, str]:
    """The headers of one call: its caller's win, whatever the case of their names, and lists of betas are joined.

    Raises:
        InvalidRequestError: a value is not one line of text.
    """
    if not extra:
        return headers
    values: Mapping[str, object] = extra
    for name, value in values.items():
        if not isinstance(value, str) or "\r" in name + value or "\n" in name + value:
            raise InvalidRequestError(f"header {name!r} must be one line of text")
    return _merged(headers, extra)


def _credentials(row: Provider, key: str) -> dict[str, str]:
    if not key or row.auth == "none":
        return {}
    if row.auth == "bearer" or (row.auth == "api-key" and key.startswith(_TOKEN)):
        return {"Authorization": f"Bearer {key}"}
    return {row.auth: key}


def _attribution(settings: Introduced) -> dict[str, str]:
    """OpenRouter's names for the app that asks; X-Title is what older documentation calls the title."""
    headers = {}
    if settings.app_url:
        headers["HTTP-Referer"] = settings.app_url
    if settings.app_name:
        headers["X-OpenRouter-Title"] = headers["X-Title"] = settings.app_name
    if settings.app_categories:
        headers["X-OpenRouter-Categories"] = ",".join(settings.app_categories)
    return headers


def _merged(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    own = {name.lower(): value for name, value in extra.items()}
    kept = {name: value for name, value in base.items() if name.lower() not in own}
    listed = {name.lower(): value for name, value in base.items() if name.lower() in own and name.lower() in _LISTS}
    for name, value in extra.items():
        parts = [*listed.get(name.lower(), "").split(","), *value.split(",")]
        kept[name] = ",".join(dict.fromkeys(filter(None, map(str.strip, parts)))) if name.lower() in listed else value
    return kept
