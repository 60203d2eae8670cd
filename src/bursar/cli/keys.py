"""`bursar keys`: with which keys callers come to the gateway, what each may do, and what it has spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bursar.cli.breaker import ListsByDefault
from bursar.cli.group import Lazy
from bursar.cli.keys_opening import open_keys
from bursar.cli.opening import has_books, load_settings, now_ms, open_books, require_books
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import Column, draw, echo_json, instant, note
from bursar.rules.keys import refusal_of
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.books import Balance
    from bursar.edges.stores.sqlite import SqliteStore
    from bursar.rules.allowances import Allowance
    from bursar.rules.keys import CallerKey

_COMMANDS = {
    "create": Lazy("bursar.cli.keys_changes", "create", "Make a key; it is shown this once."),
    "list": Lazy("bursar.cli.keys", "list_keys", "Keys with their budgets, and what they spent."),
    "show": Lazy("bursar.cli.keys", "show", "One key: what it may do, and every budget that binds it."),
    "change": Lazy("bursar.cli.keys_changes", "change", "Its budget, limits, models, tags, role, team, expiry."),
    "rotate": Lazy("bursar.cli.keys_changes", "rotate", "Give it a new text; the old one counts for a while."),
    "revoke": Lazy("bursar.cli.keys_changes", "revoke", "End it for good, within a second."),
}


@click.group("keys", cls=ListsByDefault, lazy=_COMMANDS)
def keys() -> None:
    """Keys that callers of the gateway have. Alone it lists them."""


@click.command("list")
@click.option("--all", "everyone", is_flag=True, help="Those that are revoked or have expired, too.")
@click.option("--team", default="", metavar="NAME", help="Those of one team.")
@config_option
@books_option
@json_option
def list_keys(everyone: bool, team: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """Keys of callers with their budgets, what is spent of them, and until when they count."""
    settings = load_settings(config, books)
    if not has_books(settings):
        if as_json:
            echo_json([])
        return
    from bursar.gateway.key_record import record_of

    with open_books(settings) as store:
        at_ms = now_ms()
        every = store.keyring.keys()
        found = [key for key in every if (everyone or refusal_of(key, at_ms) is None) and team in ("", key.team)]
        allowances = {allowance.name: allowance for allowance in store.allowances()}
        balances = {balance.allowance: balance for balance in store.balances(at_ms, names=_budgets(found))}
    if as_json:
        echo_json([record_of(key, at_ms, allowances.values()) for key in found])
    elif found:
        _draw(found, allowances, balances, at_ms, ZoneInfo(settings.time_zone))
    elif every:
        note("No key counts any more, or none is in that team; --all shows those that are revoked or have expired.")
    else:
        note("There are no keys yet: bursar keys create --name NAME makes one.")


@click.command("show")
@click.argument("name", metavar="NAME|ID")
@config_option
@books_option
@json_option
def show(name: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """One key: what it may do, and every budget and limit that binds its calls. Its text is not kept."""
    settings = load_settings(config, books)
    require_books(settings)
    from bursar.cli.budget import draw_balances, shown
    from bursar.gateway.key_record import record_of

    with open_keys(settings) as (store, smith):
        at_ms = now_ms()
        key = smith.key(name)
        binding = _binding(store, key)
        balances = _standing(store, key, binding, at_ms)
    if as_json:
        budgets = [shown(balance, binding[balance.allowance]) for balance in balances]
        echo_json({**record_of(key, at_ms, binding.values()), "binding": budgets})
        return
    for title, text in _lines(key, record_of(key, at_ms), ZoneInfo(settings.time_zone)):
        click.echo(f"  {title:<14}{text}" if title else text)
    if balances:
        click.echo()
        draw_balances(balances, binding, ZoneInfo(settings.time_zone))
    else:
        click.echo("\nNo budget binds its calls: bursar keys change NAME --budget-usd USD gives it one.")


def _budgets(found: Sequence[CallerKey]) -> list[str]:
    from bursar.gateway.quotas import quota_name

    # No name means all of them.
    return [quota_name("key", key.name) for key in found] or [""]


def _draw(
    found: Sequence[CallerKey],
    allowances: Mapping[str, Allowance],
    balances: Mapping[str, Balance],
    at_ms: int,
    zone: ZoneInfo,
) -> None:
    from bursar.gateway.key_record import record_of
    from bursar.gateway.quotas import quota_name

    columns = [
        Column("key"),
        Column("role", whole=True),
        Column("of"),
        Column("budget", number=True),
        Column("spent", number=True),
        Column("expires", whole=True),
    ]
    cells = []
    for key in found:
        budget = allowances.get(quota_name("key", key.name))
        balance = balances.get(quota_name("key", key.name))
        state = record_of(key, at_ms)["state"]
        cells.append([
            key.name,
            key.role,
            key.team or key.user or key.organisation or "-",
            f"{format_usd(budget.capacity)} {budget.period}" if budget else "-",
            format_usd(balance.spent + balance.held) if balance else "-",
            "revoked" if state == "revoked" else instant(key.expires_ms, zone),
        ])  # fmt: skip
    draw(columns, cells)


def _lines(key: CallerKey, record: Mapping[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is said of a key, as (title, text)."""
    state = record["state"]
    lines = [("", f"{key.name}: {state}{f', {instant(key.revoked_ms, zone)}' if key.revoked_ms else ''}")]
    lines += [("id", key.id), ("role", key.role)]
    lines += [(title, text) for title, text in zip(_WHOSE, (key.user, key.team, key.organisation), strict=True) if text]
    lines.append(("models", ", ".join(key.models) or "all"))
    if key.tags:
        lines.append(("tags", ", ".join(f"{name}={value}" for name, value in sorted(key.tags.items()))))
    lines += [("created", instant(key.created_ms, zone)), ("expires", instant(key.expires_ms, zone))]
    if record["rotated_until"]:
        lines.append(("rotated", f"its old text counts until {record['rotated_until']}"))
    return lines


_WHOSE = ("user", "team", "organisation")


def _own(key: CallerKey) -> dict[str, str]:
    """What every call of a key is counted under."""
    own = {"user": key.user, "team": key.team, "organisation": key.organisation}
    return {**key.tags, "key": key.name, **{dimension: value for dimension, value in own.items() if value}}


def _binding(store: SqliteStore, key: CallerKey) -> dict[str, Allowance]:
    """Budgets and limits that bind every call of a key, whatever else the call is."""
    own = _own(key)
    return {
        allowance.name: allowance
        for allowance in store.allowances()
        if allowance.subject_of(own) is not None and (allowance.each is None or allowance.each in own)
    }


def _standing(store: SqliteStore, key: CallerKey, binding: Mapping[str, Allowance], at_ms: int) -> list[Balance]:
    own = _own(key)
    # No name means all of them.
    balances = store.balances(at_ms, names=[*binding] or [""])
    return [one for one in balances if one.subject == binding[one.allowance].subject_of(own)]
