"""`bursar budget`: where budgets and limits stand, and those that are kept in the books rather than in a file.

What a file or a program defines is read-only here; the error says where it is defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import click

from bursar.cli.ending import EndedError
from bursar.cli.group import Lazy, LazyGroup
from bursar.cli.opening import MEMORY, has_books, load_settings, now_ms, open_books
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import Column, dollars, draw, echo_json, instant, iso, note
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.books import Balance
    from bursar.config import Settings
    from bursar.rules.allowances import Allowance

_COMMANDS = {
    "list": Lazy("bursar.cli.budget", "list_budgets", "Every budget and limit: spent, held, left, resets."),
    "show": Lazy("bursar.cli.budget", "show", "One of them: what it binds, where it is defined, how it stands."),
    "set": Lazy("bursar.cli.budget_changes", "set_budget", "Make or change a budget in the books."),
    "top-up": Lazy("bursar.cli.budget_changes", "top_up", "Add money to a budget's current window."),
    "remove": Lazy("bursar.cli.budget_changes", "remove", "Remove a budget that `set` has made."),
}


@click.group("budget", cls=LazyGroup, lazy=_COMMANDS)
def budget() -> None:
    """Budgets and limits: spent, held, left, and when they reset."""


class Standing(NamedTuple):
    """What a command shows: the allowances by name, where they stand, and what the file says and the books do not."""

    allowances: dict[str, Allowance]
    balances: list[Balance]
    unentered: dict[str, Allowance]


@click.command("list")
@config_option
@books_option
@json_option
def list_budgets(config: Path | None, books: str | None, as_json: bool) -> None:
    """Every budget and limit: spent, held, left, and when it resets."""
    settings = load_settings(config, books)
    standing = standing_of(settings)
    if as_json:
        echo_json([shown(balance, standing.allowances[balance.allowance]) for balance in standing.balances])
        return
    if not standing.allowances:
        note("There are no budgets: Bursar only counts. bursar budget set everything --usd 5 --per day makes one.")
        return
    draw_balances(standing.balances, standing.allowances, ZoneInfo(settings.time_zone))
    seen = {balance.allowance for balance in standing.balances}
    for name, allowance in standing.allowances.items():
        if name not in seen:
            note(f"{name}: each {allowance.each} has {_capacity(allowance)}; no calls in this window yet.")
    note_unentered(standing)


def note_unentered(standing: Standing) -> None:
    """Say where the file has something else than the books, by which calls are decided."""
    for name, allowance in standing.unentered.items():
        note(f"{name}: the file says {_capacity(allowance)}; the next program that starts enters that into the books.")


@click.command("show")
@click.argument("name")
@config_option
@books_option
@json_option
def show(name: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """One budget or limit: what it binds, where it is defined, and how it stands."""
    settings = load_settings(config, books)
    standing = standing_of(settings)
    allowance = standing.allowances.get(name)
    if allowance is None:
        raise no_such(name, standing.allowances)
    balances = [balance for balance in standing.balances if balance.allowance == name]
    if as_json:
        echo_json({**described(allowance), "subjects": [shown(balance, allowance) for balance in balances]})
        return
    click.echo(f"{name}: {_capacity(allowance)}{f' for each {allowance.each}' if allowance.each else ''}")
    only = ", ".join(f"{dimension} {value}" for dimension, value in allowance.only)
    click.echo(f"  binds       {f'calls with {only}' if only else 'every call'}")
    if allowance.each:
        missing = "are refused" if allowance.missing == "refuse" else "share one budget"
        click.echo(f"  without     calls without a {allowance.each} {missing}")
    click.echo(f"  mode        {'enforced' if allowance.enforced else 'observe: counts, refuses nothing'}")
    if allowance.alert_at:
        click.echo(f"  alerts      at {', '.join(f'{share}%' for share in allowance.alert_at)}")
    if allowance.shape == "calendar" and allowance.period != "total":
        click.echo(f"  time zone   {allowance.time_zone}")
    from bursar.config.by_hand import place_of

    click.echo(f"  defined in  {place_of(settings, allowance)}\n")
    if balances:
        draw_balances(balances, standing.allowances, ZoneInfo(settings.time_zone))
    else:
        click.echo("No calls in this window yet.")
    note_unentered(standing._replace(unentered={each: one for each, one in standing.unentered.items() if each == name}))


def standing_of(settings: Settings) -> Standing:
    """Where everything stands, by the books; without books, what the file defines and nothing has touched."""
    if settings.books != MEMORY and Path(settings.books).exists():
        with open_books(settings) as store:
            known = {allowance.name: allowance for allowance in store.allowances()}
            balances = store.balances(now_ms())
        unentered = {one.name: one for one in settings.allowances if _differs(one, known.get(one.name))}
    else:
        has_books(settings)
        known, balances = {}, []
        unentered = {}
    missing = [allowance for allowance in settings.allowances if allowance.name not in known]
    from bursar.edges.stores.memory import MemoryStore

    untouched = MemoryStore()
    untouched.define(missing, settings.source, now_ms)
    allowances = known | {allowance.name: allowance for allowance in missing}
    return Standing(allowances, [*balances, *untouched.balances(now_ms())], unentered)


def _differs(filed: Allowance, entered: Allowance | None) -> bool:
    """Whether the books lack what the file says, or have it otherwise; by whom it was entered does not matter."""
    return entered is None or replace(filed, source="") != replace(entered, source="")


def draw_balances(balances: Sequence[Balance], allowances: dict[str, Allowance], zone: ZoneInfo) -> None:
    """Money in one table, everything else in another."""
    money = [balance for balance in balances if balance.meter == "nano_usd"]
    others = [balance for balance in balances if balance.meter != "nano_usd"]
    if money:
        columns = [dollars([getattr(one, name) for one in money]) for name in ("spent", "held", "left", "limit")]
        cells = [
            [_name(one, allowances), *amounts, _per(one), instant(one.resets_at_ms, zone)]
            for one, *amounts in zip(money, *columns, strict=True)
        ]
        titles = [Column(title, number=True) for title in ("spent", "held", "left", "limit")]
        draw([Column("budget"), *titles, Column("per", whole=True), Column(f"resets ({zone.key})", whole=True)], cells)
    if money and others:
        click.echo()
    if others:
        titles = [Column(title, number=True) for title in ("used", "in flight", "left", "limit")]
        cells = [
            [
                _name(one, allowances),
                *(f"{value:,}" for value in (one.spent, one.held, one.left, one.limit)),
                one.meter.replace("_", " "),
                _per(one),
            ]
            for one in others
        ]
        draw([Column("limit"), *titles, Column("of"), Column("per")], cells)


def _name(balance: Balance, allowances: dict[str, Allowance]) -> str:
    allowance = allowances[balance.allowance]
    whose = f" {balance.subject or '(none)'}" if allowance.each else ""
    return f"{balance.allowance}{whose}{'' if allowance.enforced else ' (observed)'}"


def _per(balance: Balance) -> str:
    return balance.period or "-"


def _capacity(allowance: Allowance) -> str:
    per = f" {allowance.meter.replace('_', ' ')}" if allowance.meter != "nano_usd" else ""
    amount = f"{allowance.capacity:,}" if per else format_usd(allowance.capacity)
    period = {"total": " in all", None: ""}.get(allowance.period, f" a {allowance.period}")
    rolling = ", rolling" if allowance.shape == "rolling" else ""
    return f"{amount}{per}{period}{rolling}"


def described(allowance: Allowance) -> dict[str, Any]:
    """A definition as JSON. capacity: units of the meter (nano-USD for money)."""
    return {
        "name": allowance.name,
        "meter": allowance.meter,
        "capacity": allowance.capacity,
        "shape": allowance.shape,
        "period": allowance.period,
        "each": allowance.each,
        "only": dict(allowance.only),
        "missing": allowance.missing,
        "mode": allowance.mode,
        "time_zone": allowance.time_zone,
        "alert_at": allowance.alert_at,
        "source": allowance.source,
    }


def shown(balance: Balance, allowance: Allowance) -> dict[str, Any]:
    """A balance as JSON. spent, held, left, limit: units of the meter (nano-USD for money)."""
    return {
        "name": balance.allowance,
        "subject": balance.subject,
        "meter": balance.meter,
        "period": balance.period,
        "spent": balance.spent,
        "held": balance.held,
        "left": balance.left,
        "limit": balance.limit,
        "resets_at": iso(balance.resets_at_ms),
        "mode": allowance.mode,
        "source": allowance.source,
    }


def no_such(name: str, known: Iterable[str]) -> EndedError:
    """The error of a name that no budget has."""
    from bursar.config.nearest import did_you_mean

    return EndedError(f"there is no budget {name!r}; {did_you_mean(name, sorted(known), 'budgets')}", code="no_budget")
