"""What Bursar is told: the configuration, the keys, the budgets. Keys are looked for and never shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.cli.opening import utc_today
from bursar.cli.output import counted
from bursar.cli.symptoms import Level, Symptom
from bursar.errors import ConfigError
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.config import ProviderKey, ProviderSettings, Settings


def configuration(settings: Settings) -> Iterator[Symptom]:
    """The file, and where it contradicts itself."""
    from bursar.config import contradictions

    if settings.file is None:
        mend = "bursar config init writes one with a budget"
        yield Symptom("configuration", "note", "no bursar.yaml here; keys come from the environment", mend)
        return
    yield Symptom("configuration", "ok", f"{settings.file} is valid")
    for finding in contradictions(settings, utc_today()):
        if finding.level != "note":
            place = f"line {finding.line}: " if finding.line else ""
            yield Symptom("configuration", finding.level, f"{place}{finding.key}: {finding.message}")


def keys(settings: Settings) -> Iterator[Symptom]:
    """Which providers have their keys, and where from."""
    usable = 0
    for provider in settings.providers.values():
        if provider.in_file or provider.every_key or provider.name == settings.active:
            found = [_key(settings, provider, key) for key in provider.every_key] or [_without(provider)]
            usable += any(symptom.level in ("ok", "note") for symptom in found)
            yield from found
    if not usable:
        local = ", ".join(name for name, provider in settings.providers.items() if not provider.needs_key)
        without = f" (none needed by {local})" if local else ""
        mend = "export OPENAI_API_KEY=..., OPENROUTER_API_KEY=..., or name a provider in bursar.yaml"
        yield Symptom("keys", "warning", f"no provider has a key{without}", mend)


def _without(provider: ProviderSettings) -> Symptom:
    if not provider.needs_key:
        return Symptom("keys", "ok", f"{provider.name} needs no key: {provider.base_url}")
    path = f"llm.providers.{provider.name}.api_key"
    mend = f"export {provider.key_variable}=..., or set {path}" if provider.key_variable else f"set {path}"
    return Symptom("keys", "error", f"{provider.name} has no key", mend)


def _key(settings: Settings, provider: ProviderSettings, key: ProviderKey) -> Symptom:
    reference = key.secret.reference or str(settings.place(key.path))
    if reference.startswith("the command"):
        return Symptom("keys", "note", f"{provider.name}: from {reference}, which was not run")
    if not key.secret.named:
        level: Level = "warning" if provider.usable_keys else "error"
        return Symptom("keys", level, f"{provider.name}: {reference} is not set", f"export it, or change {key.path}")
    try:
        key.reveal()
    except ConfigError as error:
        return Symptom("keys", "error", f"{provider.name}: {error.problem}")
    return Symptom("keys", "ok", f"{provider.name}: from {reference}")


def proxied(settings: Settings) -> Iterator[Symptom]:
    """Providers on this machine that a proxy stands before."""
    from urllib.parse import urlsplit

    from bursar.edges.http.surroundings import proxy_for

    for provider in settings.providers.values():
        host = urlsplit(provider.base_url).hostname or ""
        if provider.in_file and (host == "localhost" or host.startswith("127.")):
            try:
                proxy = proxy_for(provider.base_url)
            except ValueError:
                continue  # said where the proxies are listed
            if proxy is not None:
                found = f"calls to {provider.name} on this machine go through {proxy.url}"
                yield Symptom("proxies", "warning", found, f"export NO_PROXY={host}")


def budgets(settings: Settings) -> Iterator[Symptom]:
    """Whether anything binds."""
    if settings.mode == "observe":
        yield Symptom("budgets", "warning", "mode: observe counts everything and refuses nothing", "mode: enforce")
    enforced = [budget for budget in settings.budgets if budget.enforced]
    if enforced:
        largest = max(enforced, key=lambda budget: budget.capacity)
        found = f"{counted(len(enforced), 'budget')} in the configuration, up to {format_usd(largest.capacity)}"
        yield Symptom("budgets", "ok", f"{found} per {largest.period}")
    elif not settings.budgets and not Path(settings.books).exists():  # else the books say which they have
        mend = "bursar budget set everything --usd 5 --per day, or budgets in bursar.yaml"
        yield Symptom("budgets", "note", "none in the configuration", mend)


CHECKS: tuple[Callable[[Settings], Iterator[Symptom]], ...] = (configuration, keys, proxied, budgets)
