"""What `bursar serve` looks at before it serves: whether any provider can be asked, and whether one is itself.

Decides by the settings alone, and asks nobody. A shell in which OPENAI_BASE_URL was set for the gateway's clients is
where the gateway is started again, sooner or later: it would ask itself, and each call would hold money for each turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from bursar.cli.ending import EndedError
from bursar.config import ProviderSettings, Settings

_PORTS = {"http": 80, "https": 443}
# Where a gateway that listens everywhere can be asked on its own machine.
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


def hint_of(settings: Settings) -> str:
    """What to say where no call can be answered; "" where some can."""
    if any(_meant(settings)):
        return ""
    wanted = [one.key_variable for one in settings.providers.values() if one.in_file and one.key_variable]
    variables = " or ".join(wanted) or "OPENAI_API_KEY, ANTHROPIC_API_KEY or another provider's"
    return f"no provider has an API key, so that no call can be answered: set {variables}, and start again"


def check_not_itself(settings: Settings, host: str, port: int) -> None:
    """Refuse a provider that is this gateway. host, port: where it listens. Raises EndedError."""
    for provider in _meant(settings):
        parts = urlsplit(provider.base_url)
        if not parts.hostname or (parts.port or _PORTS.get(parts.scheme)) != port:
            continue
        if _same(parts.hostname, host.strip("[]")):
            raise EndedError(
                f"the provider {provider.name} is at {provider.base_url}, which is this gateway: it "
                "would ask itself. Is the variable of its address set for the gateway's clients? Unset it "
                f"here, or set llm.providers.{provider.name}.base_url",
                code="asks_itself",
            )


def _meant(settings: Settings) -> Iterator[ProviderSettings]:
    """Providers that can be asked, but for a server on this machine that needs no key and that nobody named."""
    for one in settings.providers.values():
        if one.has_key and (one.needs_key or one.in_file or one.name == settings.active):
            yield one


def _same(name: str, host: str) -> bool:
    """Whether who asks this name on this machine asks who listens at that host."""
    return name == host or (_local(name) and (_local(host) or host in _EVERYWHERE))


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or host in _EVERYWHERE
    except ValueError:
        return host == "localhost"
