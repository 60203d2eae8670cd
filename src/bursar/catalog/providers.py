"""The providers as data: one row of providers.toml each, and what of a row goes into a request.

Decides which headers and fields a provider is sent, never which provider is asked. A name that has no row is an
OpenAI-compatible server of the user's own and gets the defaults below. Source: the providers' SDKs and documentation,
November 2026. The seed's `OpenAI-Beta: assistants=v2` is not sent: that API ended in August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Protocol

from bursar.errors import ConfigError
from bursar.wire.dialect import Request, Target

__all__ = ["Chosen", "Provider", "headers_of", "known_rows", "provider_row", "target_of"]

HEADER_CHARACTERS_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, as the wire and the books need it. Times are seconds.

    key_variable and its kin: environment variables, "" where there is none. needs_key: refuses calls without a key.
    limit_field: the body's key for the output limit. usage_field: how usage is asked for in streams, "" where it comes
    by itself. request_id_header: carries the attempt's id; OpenAI records it, others ignore it.
    settles: what counts against the provider's token limits, actual use or what was reserved at arrival.
    reports_cost: its replies say what was charged. bills_errors: a status of 400 or more may be billed.
    cancel_stops_billing: closing a stream ends the bill, and a record says what it came to.
    fallbacks: understands `models` and `provider` in the body. price_provider: whose list prices it has, by
    genai-prices' name; "" for none.
    """

    name: str
    base_url: str = ""
    base_url_variable: str = ""
    key_variable: str = ""
    organization_variable: str = ""
    project_variable: str = ""
    needs_key: bool = False
    limit_field: str = "max_tokens"
    usage_field: Literal["stream_options", ""] = "stream_options"
    request_id_header: str = "X-Client-Request-Id"
    settles: Literal["actual", "reserved"] = "actual"
    reports_cost: bool = False
    bills_errors: bool = False
    cancel_stops_billing: bool = False
    fallbacks: bool = False
    price_provider: str = ""
    max_connections: int = 100
    max_keepalive: int = 20
    keepalive_expiry: float = 5.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    write_timeout: float = 10.0
    pool_timeout: float = 10.0

    @property
    def refunds(self) -> bool:
        """True when settling gives back what was not used of the provider's token limits."""
        return self.settles == "actual"


class Chosen(Protocol):
    """What the user's settings say about a provider, as far as it goes into a request."""

    @property
    def name(self) -> str: ...
    @property
    def app_name(self) -> str | None: ...
    @property
    def app_url(self) -> str | None: ...
    @property
    def organization(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...
    @property
    def extra_headers(self) -> Mapping[str, str]: ...
    @property
    def enable_fallbacks(self) -> bool: ...
    @property
    def fallback_models(self) -> tuple[str, ...]: ...
    @property
    def provider_preferences(self) -> Mapping[str, Any]: ...


@cache
def known_rows() -> Mapping[str, Provider]:
    """Every row of the catalog by name, in the order of the file."""
    import tomllib
    from importlib.resources import files

    text = files("bursar.catalog").joinpath("providers.toml").read_text("utf-8")
    return {name: Provider(name, **fields) for name, fields in tomllib.loads(text).items()}


def provider_row(name: str, base_url: str = "", *, row: str = "") -> Provider:
    """The row of a provider under its name here; `base_url` overrides the row's.

    row: the name of the row that it follows, where that is not its own. A name without a row is an OpenAI-compatible
    server.

    >>> provider_row("openai").limit_field, provider_row("gpu", "http://gpu:8000/v1/").base_url
    ('max_completion_tokens', 'http://gpu:8000/v1')
    """
    known = known_rows().get(row or name) or Provider(name)
    return replace(known, name=name, base_url=(base_url or known.base_url).rstrip("/"))


def headers_of(row: Provider, key: str, settings: Chosen) -> dict[str, str]:
    """The headers of every request to a provider: who asks, with which key, and the user's own on top.

    Raises:
        ConfigError: a value cannot stand in a header.
    """
    from importlib.metadata import version

    agent = f"bursar/{version('bursar')}"
    if settings.app_name:
        product = "-".join(settings.app_name.split())
        agent = f"{product} {agent}"
    headers = {"Content-Type": "application/json", "User-Agent": agent}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if row.organization_variable and settings.organization:
        headers["OpenAI-Organization"] = settings.organization
    if row.project_variable and settings.project:
        headers["OpenAI-Project"] = settings.project
    if row.fallbacks:
        headers.update(_attribution(settings))
    own = {name.lower() for name in settings.extra_headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own}
    headers.update(settings.extra_headers)
    for name, value in headers.items():
        _check(name, value, settings.name)
    return headers


def target_of(row: Provider, model: str, settings: Chosen, request: Request) -> Target:
    """How a request is encoded for a provider, with the models that it may serve instead of the one asked.

    `fallback_models` go to OpenRouter as `models`, the asked one first, and `provider_preferences` as `provider`. What
    the caller's own body says of either stands. `enable_fallbacks: false` sends no models.
    """
    extra: dict[str, Any] = {}
    reaches: tuple[str, ...] = ()
    if row.fallbacks and request.dialect == "openai_chat":
        if settings.enable_fallbacks and settings.fallback_models:
            reaches = tuple(dict.fromkeys(name for name in settings.fallback_models if name != model))
            if reaches:
                extra["models"] = [model, *reaches]
        if settings.provider_preferences:
            extra["provider"] = dict(settings.provider_preferences)
    return Target(model, row.limit_field, row.usage_field, extra, reaches)


def _attribution(settings: Chosen) -> dict[str, str]:
    """OpenRouter's names for the app that asks; X-Title is what older documentation calls the title."""
    headers = {}
    if settings.app_url:
        headers["HTTP-Referer"] = settings.app_url
    if settings.app_name:
        headers["X-OpenRouter-Title"] = headers["X-Title"] = settings.app_name
    return headers


def _check(name: str, value: str, provider: str) -> None:
    if not value.isascii() or not value.isprintable() or len(value) > HEADER_CHARACTERS_MAX:
        # The value may be a key: it is not repeated.
        raise ConfigError(
            f"the header {name} for {provider} must be one line of plain ASCII text", key=f"llm.providers.{provider}"
        )
