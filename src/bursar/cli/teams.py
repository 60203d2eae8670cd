"""`bursar teams`: whom keys belong to, and what a team may spend in all."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.breaker import ListsByDefault
from bursar.cli.group import Lazy
from bursar.cli.keys_opening import budget_of, open_keys, own_budget, quota_options
from bursar.cli.opening import has_books, load_settings, now_ms, open_books, require_books
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import Column, draw, echo_json, note
from bursar.rules.keys import refusal_of
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.gateway.quotas import Limit
    from bursar.rules.allowances import Allowance
    from bursar.rules.keys import Team

_COMMANDS = {
    "create": Lazy("bursar.cli.teams", "create", "Make a team, so that keys can belong to it."),
    "list": Lazy("bursar.cli.teams", "list_teams", "Teams with their budgets, and what they spent."),
    "budget": Lazy("bursar.cli.teams", "budget", "What a team may spend and use in all."),
    "remove": Lazy("bursar.cli.teams", "remove", "Forget a team to which no key belongs."),
}


@click.group("teams", cls=ListsByDefault, lazy=_COMMANDS)
def teams() -> None:
    """Teams that keys of callers belong to. Alone it lists them."""


@click.command("create")
@click.argument("name")
@click.option("--organisation", default="", metavar="NAME", help="Whose budget binds the team's keys as well.")
@quota_options
@config_option
@books_option
@json_option
def create(
    name: str,
    organisation: str,
    budget_usd: Decimal | None,
    per: Any,
    limits: tuple[Limit, ...],
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """Make the team NAME.

    \b
    bursar teams create search --budget-usd 2000 --per month
    """
    from bursar.gateway.teams import create_team

    settings = load_settings(config, books)
    budget = budget_of(budget_usd, per)
    with open_keys(settings) as (store, smith):
        smith.quotas.drawn("team", name, budget, limits)
        team = create_team(store.keyring, name, organisation, now_ms())
        allowances = smith.quotas.set("team", name, budget, limits)
    if as_json:
        echo_json(_record(team, allowances))
    else:
        note(f"Made the team {name}: bursar keys create --name NAME --team {name}")


@click.command("list")
@config_option
@books_option
@json_option
def list_teams(config: Path | None, books: str | None, as_json: bool) -> None:
    """Teams with their budgets, what is spent of them, and how many keys count."""
    settings = load_settings(config, books)
    if not has_books(settings):
        if as_json:
            echo_json([])
        return
    with open_books(settings) as store:
        at_ms = now_ms()
        found, every = store.keyring.teams(), store.keyring.keys()
        keys = [key.team for key in every if refusal_of(key, at_ms) is None]
        allowances = store.allowances()
        names = [f"team:{team.name}" for team in found] or [""]
        balances = {balance.allowance: balance for balance in store.balances(at_ms, names=names)}
    if as_json:
        echo_json([_record(team, allowances) | {"keys": keys.count(team.name)} for team in found])
        return
    if not found:
        note("There are no teams yet: bursar teams create NAME makes one.")
        return
    budgets = {allowance.name: allowance for allowance in allowances}
    cells = []
    for team in found:
        own, balance = budgets.get(f"team:{team.name}"), balances.get(f"team:{team.name}")
        cells.append([
            team.name,
            team.organisation or "-",
            str(keys.count(team.name)),
            f"{format_usd(own.capacity)} {own.period}" if own else "-",
            format_usd(balance.spent + balance.held) if balance else "-",
        ])  # fmt: skip
    numbers = [Column(title, number=True) for title in ("keys", "budget", "spent")]
    draw([Column("team"), Column("organisation"), *numbers], cells)


@click.command("budget")
@click.argument("name")
@quota_options
@click.option("--no-budget", is_flag=True, help="Take the budget away.")
@config_option
@books_option
@json_option
def budget(
    name: str,
    budget_usd: Decimal | None,
    per: Any,
    limits: tuple[Limit, ...],
    no_budget: bool,
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """Give the team NAME a budget, limits, or both; what is not given stays. What was spent in the window counts.

    \b
    bursar teams budget search --budget-usd 3000 --per month
    """
    from bursar.gateway.quotas import quotas_of
    from bursar.gateway.teams import team_of

    settings = load_settings(config, books)
    require_books(settings)
    if no_budget and (budget_usd is not None or per):
        raise click.UsageError("a team has a budget, or none: leave one away", click.get_current_context())
    with open_keys(settings) as (store, smith):
        team = team_of(store.keyring, name)
        given = budget_of(budget_usd, per, own_budget(store, f"team:{name}"))
        if not (given or limits or no_budget):
            raise click.UsageError("say what to change: --budget-usd, --limit, ...", click.get_current_context())
        smith.quotas.set("team", name, given, limits)
        if no_budget:
            smith.quotas.remove_budget("team", name)
        allowances = quotas_of(store, "team", name)
    if as_json:
        echo_json(_record(team, allowances))
    else:
        note(f"Changed the team {name}.")


@click.command("remove")
@click.argument("name")
@config_option
@books_option
@json_option
def remove(name: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """Forget the team NAME. Refused while a key that counts belongs to it; what it has spent stays on record."""
    from bursar.gateway.teams import remove_team

    settings = load_settings(config, books)
    require_books(settings)
    with open_books(settings) as store:
        remove_team(store.keyring, name, now_ms())
    if as_json:
        echo_json({"removed": name})
    else:
        note(f"Removed the team {name}.")


def _record(team: Team, allowances: Iterable[Allowance]) -> dict[str, Any]:
    from bursar.gateway.key_record import instant, quotas_shown

    return {
        "name": team.name,
        "organisation": team.organisation,
        "created_at": instant(team.created_ms),
        **quotas_shown(f"team:{team.name}", allowances),
    }
