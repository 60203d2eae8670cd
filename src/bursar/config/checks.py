"""Keys that cannot all be meant: what `config check` says about a file that is valid.

Decides nothing about a call. An "error" stops `load`, because no run could keep what the file promises; a "warning" is
probably a mistake; a "note" is worth knowing. Each check looks at the frozen tree and yields findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from urllib.parse import urlsplit

from bursar.catalog.prices import PriceBook
from bursar.catalog.providers import Provider, known_rows
from bursar.config.findings import Find, Finding, Level
from bursar.config.keys import DIMENSIONS
from bursar.config.nearest import nearest
from bursar.config.prices import price_book
from bursar.config.tree import ProviderSettings, Settings
from bursar.config.wire_checks import WIRE_CHECKS
from bursar.rules.allowances import Allowance
from bursar.rules.money import format_usd
from bursar.rules.windows import PERIOD_MS


def contradictions(settings: Settings, today: date | None = None) -> list[Finding]:
    """Every finding, the worst first. `today` (UTC) is for checks of prices; None leaves them away."""
    found: list[Finding] = []

    def find(level: Level, key: str, message: str) -> None:
        found.append(Finding(level, key, settings.place(key).line, message))

    for provider in settings.providers.values():
        for check in _PROVIDER_CHECKS:
            check(settings, provider, find)
    for allowance in settings.allowances:
        _allowance(settings, allowance, find)
    _narrower_larger(settings, find)
    _whole(settings, find)
    if today is not None:
        _prices(settings, today, find)
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level))


def binds(allowance: Allowance, provider: str) -> bool:
    """True when a call to this provider can fall under the allowance."""
    only = dict(allowance.only)
    return only.get("provider", provider) == provider and only.get("model", f"{provider}/").startswith(f"{provider}/")


def _money(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    path = f"llm.providers.{provider.name}"
    warning, most = provider.cost_warning_threshold_nano_usd, provider.max_cost_per_request_nano_usd
    daily = provider.daily_cost_limit_nano_usd
    if warning is not None and most is not None and warning > most:
        find(
            "warning",
            f"{path}.cost_warning_threshold",
            f"a call is refused above {format_usd(most)} (max_cost_per_request), so the warning at "
            f"{format_usd(warning)} can never fire",
        )
    if most is not None and daily is not None and most > daily:
        find(
            "warning",
            f"{path}.max_cost_per_request",
            f"{format_usd(most)} for one call is more than the whole day may cost ({format_usd(daily)}, "
            "daily_cost_limit): it can never bind",
        )
    if provider.enable_cost_tracking:
        return
    names = [budget.name for budget in settings.budgets if binds(budget, provider.name)]
    names += ["max_cost_per_request"] if most is not None else []
    if names:
        find(
            "error",
            f"{path}.enable_cost_tracking",
            f"cost tracking is off, but {names[0]} is to hold: a budget cannot hold over what is not tracked",
        )
    elif warning is not None or provider.log_costs:
        key = "cost_warning_threshold" if warning is not None else "log_costs"
        find("warning", f"{path}.{key}", "acts on costs, but enable_cost_tracking is false")


def _connections(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    path = f"llm.providers.{provider.name}"
    if provider.max_keepalive > provider.max_connections:
        key = "max_keepalive" if f"{path}.max_keepalive" in settings.places else "max_connections"
        find(
            "warning",
            f"{path}.{key}",
            f"{provider.max_keepalive} idle connections are to be kept, but there are never more than "
            f"{provider.max_connections} (max_connections)",
        )
    flight = provider.concurrent_requests
    if flight is not None and flight > provider.max_connections:
        find(
            "note",
            f"{path}.concurrent_requests",
            f"this process has {provider.max_connections} connections (max_connections), so {flight} in flight "
            "are only reached by several",
        )
    url = urlsplit(provider.base_url)
    if url.scheme == "http" and provider.every_key and not _private(url.hostname or ""):
        find("warning", f"{path}.base_url", "the key and the prompts go over the network unencrypted; use https")


def _private(host: str) -> bool:
    """A name of this machine, or of its own network as far as the name tells."""
    numbers = host.split(".")
    own = host in ("localhost", "::1") or host.endswith((".local", ".internal"))
    return own or "." not in host or numbers[0] in ("127", "10") or numbers[:2] == ["192", "168"]


def _rates(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    for unit in ("requests", "tokens"):
        minute, day = getattr(provider, f"{unit}_per_minute"), getattr(provider, f"{unit}_per_day")
        if minute is not None and day is not None and day < minute:
            find(
                "warning",
                f"llm.providers.{provider.name}.{unit}_per_day",
                f"{day:,} {unit} a day are fewer than the {minute:,} of one minute ({unit}_per_minute)",
            )


def _patience(settings: Settings, provider: ProviderSettings, find: Find) -> None:
    """Waits that another one ends before they can."""
    path = f"llm.providers.{provider.name}"
    for key in ("first_token_timeout", "stall_timeout"):
        seconds = getattr(provider, key)
        if seconds is not None and seconds > provider.read_timeout:
            find(
                "warning",
                f"{path}.{key}",
                f"a silence of {provider.read_timeout:g} s ends the call before (read_timeout)",
            )
    if provider.retry_base_seconds > provider.retry_cap_seconds:
        key = "retry_base_seconds" if f"{path}.retry_base_seconds" in settings.places else "retry_cap_seconds"
        find(
            "warning",
            f"{path}.{key}",
            f"no wait is longer than {provider.retry_cap_seconds:g} s (retry_cap_seconds), so that the first, of "
            f"{provider.retry_base_seconds:g} s (retry_base_seconds), never is what it says",
        )
    if f"{path}.circuit_breaker_slow_share" in settings.places and provider.slow_call_seconds is None:
        find("warning", f"{path}.circuit_breaker_slow_share", "no call is slow where slow_call_seconds is not set")


_PROVIDER_CHECKS: tuple[Callable[[Settings, ProviderSettings, Find], None], ...] = (
    _money,
    _connections,
    _rates,
    _patience,
    *WIRE_CHECKS,
)


def path_of(allowance: Allowance) -> str:
    """Where an allowance stands in the file."""
    provider, _, key = allowance.name.partition(".")
    if key:
        return f"llm.providers.{provider}.{key}"
    return f"{'budgets' if allowance.meter == 'nano_usd' else 'limits'}.{allowance.name}"


def _allowance(settings: Settings, allowance: Allowance, find: Find) -> None:
    path = path_of(allowance)
    for share in allowance.alert_at:
        if share > 100 and allowance.enforced:
            find("warning", f"{path}.alert_at", f"a budget is never passed, so the alert at {share}% can never fire")
    if settings.mode == "observe" and f"{path}.mode" in settings.places and path.startswith(("budgets", "limits")):
        find("warning", f"{path}.mode", "the whole file is set to observe: nothing is refused, whatever stands here")
    if allowance.meter == "nano_usd" and not allowance.capacity:
        find("note", path, "0 USD: every call that costs anything is refused")
    if allowance.each is not None and allowance.each not in DIMENSIONS:
        near = nearest(allowance.each, DIMENSIONS)
        if near:
            find("warning", f"{path}.each", f"{allowance.each} is read as the name of a tag; did you mean {near}?")
    if allowance.each is not None and allowance.each in dict(allowance.only):
        find("warning", f"{path}.each", f"only leaves one {allowance.each}: each has nothing to tell apart")


def _narrower_larger(settings: Settings, find: Find) -> None:
    """A budget that lies within another of the same period, and is larger: it can never bind."""
    for narrow, wide in _pairs(settings.budgets):
        if narrow.capacity > wide.capacity:
            find(
                "warning",
                path_of(narrow),
                f"{format_usd(narrow.capacity)} is more than {wide.name} allows for all ({format_usd(wide.capacity)} "
                f"per {wide.period}): it can never bind",
            )


def _pairs(budgets: tuple[Allowance, ...]) -> Iterator[tuple[Allowance, Allowance]]:
    for narrow in budgets:
        for wide in budgets:
            inside = set(wide.only) < set(narrow.only) or (wide.only == narrow.only and narrow.each is not None)
            if wide.each is None and inside and narrow is not wide and _no_longer(narrow, wide):
                yield narrow, wide


def _no_longer(narrow: Allowance, wide: Allowance) -> bool:
    """True when what the wide budget allows in its window is all that the narrow one could see in its own."""
    if "total" in (narrow.period, wide.period):
        return wide.period == "total"
    return PERIOD_MS[narrow.period or "day"] <= PERIOD_MS[wide.period or "day"] and narrow.shape == wide.shape


def _whole(settings: Settings, find: Find) -> None:
    for name, route in settings.routes.items():
        for candidate in route.candidates:
            provider = candidate.partition("/")[0]
            if provider not in settings.providers:
                find("warning", f"routes.{name}", f"{candidate} cannot be called: {provider} has no key")
        if route.on_content == "next" and len(route.candidates) == 1:
            find("warning", f"routes.{name}.on_content", "this route has no other candidate to ask")
    if settings.active and not settings.providers[settings.active].has_key:
        find("warning", "llm.active", f"{settings.active} has no key: bare model names will fail")
    _alerts(settings, find)
    waiting = [path for path in settings.places if path.startswith("queue.")]
    if waiting and not settings.max_wait_seconds:
        find("note", waiting[0], "max_wait_seconds is 0: only calls that ask for it wait")
    fair_by = settings.queue.fair_by
    near = nearest(fair_by, DIMENSIONS) if fair_by is not None and fair_by not in DIMENSIONS else None
    if near:
        find("warning", "queue.fair_by", f"{fair_by} is read as the name of a tag; did you mean {near}?")
    local = settings.gateway.host in ("127.0.0.1", "::1", "localhost")
    if not local:
        find("note", "gateway.host", f"{settings.gateway.host} is reachable from other machines")


def _alerts(settings: Settings, find: Find) -> None:
    webhook = settings.alerts.webhook
    if webhook is None:
        if settings.alerts.form is not None:
            find("warning", "alerts.form", "there is no alerts.webhook that alerts could be posted to")
    elif not webhook.named:
        find("warning", "alerts.webhook", f"{webhook.reference} is not set: alerts go to the log alone")
    elif webhook.fetched and urlsplit(webhook.reveal("alerts.webhook")).scheme not in ("http", "https"):
        find("error", "alerts.webhook", "what it names is no address that begins with http:// or https://")


def _prices(settings: Settings, today: date, find: Find) -> None:
    """Prices that are not used yet, and models that the file names and no price is known for, under a budget."""
    for override in settings.prices:
        if override.starts is not None and override.starts > today:
            message = f"the price from {override.starts} is not used before that date"
            find("note", f"prices.{override.provider}/{override.model}", message)
    book = price_book(settings)
    _one_sided(book, today, find)
    for key, provider, model in _models_named(settings):
        budget = next((budget for budget in settings.budgets if budget.enforced and binds(budget, provider)), None)
        if budget is not None and book.card(provider, model, today) is None:
            near = ", ".join(book.nearest(provider, model, 1))
            hint = f"did you mean {near}? Or " if near else ""
            if settings.providers[provider].row == "azure":
                hint += f"say which model it is a deployment of, deployments: {{{model}: gpt-4o}}, or "
            message = f"no price of {provider}/{model} is known, so under the budget {budget.name} it will be refused; "
            find("warning", key, f"{message}{hint}add prices: {{{provider}/{model}: {{input: ..., output: ...}}}}")


def _one_sided(book: PriceBook, today: date, find: Find) -> None:
    """Prices of one's own for one side only, of models that the list has with both: the list does not fill the gap."""
    for override in book.overrides():
        listed = book.listed_card(override.provider, override.model, today)
        for side in ("input", "output"):
            if listed is not None and side in listed.pico_usd and side not in override.card.pico_usd:
                message = f"no price of {side}: a price of your own takes the place of the whole list price, and what "
                message += f"uses {side} has no known cost"
                find("warning", f"prices.{override.provider}/{override.model}", message)


def _models_named(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Every model that the file names, as (key, provider, the model whose price it has)."""
    for key, name, model in _names(settings):
        provider = settings.providers.get(name)
        if provider is not None:
            yield key, name, provider.priced_as(model)


def _names(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for provider in settings.providers.values():
        path = f"llm.providers.{provider.name}"
        if provider.model is not None:
            yield f"{path}.model", provider.name, provider.model
        if known_rows().get(provider.row, Provider("")).fallbacks and provider.enable_fallbacks:
            yield from ((f"{path}.fallback_models", provider.name, model) for model in provider.fallback_models)
    for name, route in settings.routes.items():
        for candidate in route.candidates:
            provider_name, _, model = candidate.partition("/")
            yield f"routes.{name}", provider_name, model
