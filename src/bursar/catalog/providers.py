"""The providers as data: one row of providers.toml each.

Decides what is known of a provider before the user says anything, never which provider is asked. A name that has no
row is an OpenAI-compatible server of the user's own and gets the defaults below; what the settings say of a row wins
over it (`row_of`). Source: the providers' SDKs and documentation, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol

from bursar.wire.dialect import Prefill

__all__ = [
    "COLUMNS", "DIALECTS", "Auth", "Columns", "OnAbort", "Provider", "RateHeaders", "known_rows", "provider_row",
    "row_of",
]  # fmt: skip

Auth = Literal["bearer", "x-api-key", "api-key", "none"]
RateHeaders = Literal["openai", "anthropic", "groq", "mistral", "cerebras", "openrouter", ""]
# What becomes of a stream whose caller has left: read on, closed, or closed and charged by what came.
OnAbort = Literal["drain", "cancel", "counted"]
# Every wire format that there is a `Dialect` for, by its name.
DIALECTS = ("openai_chat", "embeddings", "openai_responses", "anthropic_messages")


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, as the wire and the books need it. Times are seconds.

    base_url: "{model}" in it stands for the model's name. base_path: where the API is below the host that
    `base_url_variable` names, as the provider's own SDK has it. key_variable and its kin: environment variables, ""
    where there is none. needs_key: refuses calls without a key. auth: how the key is sent. headers: sent with every
    call.

    dialects: the wire formats it speaks, by `Dialect.name`. prefixes: by path of a dialect, what stands between
    `base_url` and the path, where that is anything. api_version: the query parameter api-version, "" for none.
    limit_field: the body's key for the output limit. usage_field: how usage is asked for in streams, "" where it comes
    by itself. request_id_header: carries the attempt's id; OpenAI records it, others ignore it.
    fallbacks: understands OpenRouter's `models` and `provider` in the body.

    settles: what counts against the provider's token limits, actual use or what was reserved at arrival.
    rate_headers: whose form its headers about rate limits have, "" for none that is known.
    tells_kinds: its usage tells the tokens of sound and of images from those of text, where it is billed for them.
    reports_cost: its replies say what was charged. bills_errors: a status of 400 or more may be billed.
    cancel_stops_billing: closing a stream ends the bill, and a record says what it came to.
    prefill: how it is told to go on from the last message, where that is the assistant's; "" where it cannot be.
    records, account: where it keeps a record of each request and tells what a key may spend, below `base_url`; "" for
    nowhere. price_provider: whose list prices it has, by genai-prices' name; "" for none.
    """

    name: str
    base_url: str = ""
    base_url_variable: str = ""
    base_path: str = ""
    key_variable: str = ""
    other_key_variables: tuple[str, ...] = ()
    organization_variable: str = ""
    project_variable: str = ""
    needs_key: bool = False
    auth: Auth = "bearer"
    headers: Mapping[str, str] = field(default_factory=_empty, hash=False)
    dialects: tuple[str, ...] = ("openai_chat", "embeddings")
    prefixes: Mapping[str, str] = field(default_factory=_empty, hash=False)
    api_version: str = ""
    limit_field: str = "max_tokens"
    usage_field: Literal["stream_options", ""] = "stream_options"
    request_id_header: str = "X-Client-Request-Id"
    fallbacks: bool = False
    settles: Literal["actual", "reserved"] = "actual"
    rate_headers: RateHeaders = ""
    tells_kinds: bool = True
    reports_cost: bool = False
    bills_errors: bool = False
    cancel_stops_billing: bool = False
    prefill: Prefill = ""
    records: str = ""
    account: str = ""
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

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Every environment variable that may hold the key, the one that wins first."""
        return (self.key_variable, *self.other_key_variables) if self.key_variable else ()


class Columns(Protocol):
    """What the user's settings say about a provider, as far as it stands in a row: each of `COLUMNS`."""

    @property
    def name(self) -> str: ...
    @property
    def row(self) -> str: ...
    @property
    def base_url(self) -> str: ...


# What the settings may say otherwise than the row: all that could be wrong about a provider, or differ between servers.
COLUMNS = (
    "base_url",
    "auth",
    "dialects",
    "api_version",
    "limit_field",
    "usage_field",
    "settles",
    "rate_headers",
    "reports_cost",
    "bills_errors",
    "cancel_stops_billing",
    "prefill",
)


@cache
def known_rows() -> Mapping[str, Provider]:
    """Every row of the catalog by name, in the order of the file."""
    import tomllib
    from importlib.resources import files

    text = files("bursar.catalog").joinpath("providers.toml").read_text("utf-8")
    return {name: _row(name, fields) for name, fields in tomllib.loads(text).items()}


def _row(name: str, fields: dict[str, Any]) -> Provider:
    return Provider(name, **{column: _frozen(value) for column, value in fields.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return MappingProxyType(value) if isinstance(value, dict) else value


def provider_row(name: str, base_url: str = "", *, row: str = "") -> Provider:
    """The row of a provider under its name here; `base_url` overrides the row's.

    row: the name of the row that it follows, where that is not its own. A name without a row is an OpenAI-compatible
    server.

    >>> provider_row("openai").limit_field, provider_row("gpu", "http://gpu:8000/v1/").base_url
    ('max_completion_tokens', 'http://gpu:8000/v1')
    """
    known = known_rows().get(row or name) or Provider(name)
    return replace(known, name=name, base_url=(base_url or known.base_url).rstrip("/"))


def row_of(settings: Columns) -> Provider:
    """The row of a configured provider, with what its settings say in place of what the catalog does."""
    said = {column: getattr(settings, column) for column in COLUMNS}
    return replace(provider_row(settings.name, row=settings.row), **said)
