"""`bursar budget set`, `top-up` and `remove`: changes to budgets that are kept in the books."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.budget import draw_balances, no_such, shown
from bursar.cli.ending import EndedError
from bursar.cli.opening import load_settings, now_ms, open_books, require_books
from bursar.cli.options import BUDGET_PERIODS, Pair, Usd, books_option, config_option, json_option
from bursar.cli.output import echo_json, note
from bursar.errors import InvalidRequestError
from bursar.rules.money import format_usd, nano_of

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.edges.stores.sqlite import SqliteStore
    from bursar.rules.allowances import Allowance


@click.command("set")
@click.argument("name")
@click.option("--usd", type=Usd(), metavar="USD", help="The most that may be spent in one window.")
@click.option("--per", type=click.Choice(BUDGET_PERIODS), help="The window; a new budget's is a day.")
@click.option("--each", metavar="DIMENSION", help="Every value of user, key, session, a tag, ... has its own.")
@click.option("--only", type=Pair(), multiple=True, metavar="NAME=VALUE", help="Bind only these calls; repeatable.")
@click.option("--missing", type=click.Choice(["pool", "refuse"]), help="Calls without a value of --each.")
@click.option("--rolling/--calendar", default=None, help="The last hour, day, ... or the calendar's.")
@click.option("--mode", type=click.Choice(["enforce", "observe"]), help="observe counts and refuses nothing.")
@config_option
@books_option
@json_option
def set_budget(name: str, config: Path | None, books: str | None, as_json: bool, **given: Any) -> None:
    """Make the budget NAME in the books, or change what is given of it.

    What was spent in its window so far counts.

    \b
    bursar budget set everything --usd 5 --per day
    bursar budget set people --usd 20 --per month --each user
    """
    settings = load_settings(config, books)
    refuse_defined(settings, name)
    with open_books(settings) as store:
        before = next((one for one in store.allowances() if one.name == name), None)
        allowance = changed(before, settings, name, **given)
        store.put_allowance(allowance, now_ms)
        _report(store, allowance, settings, as_json)
    if not as_json:
        note(f"{'Made' if before is None else 'Changed'} in {settings.books}")


@click.command("top-up")
@click.argument("name")
@click.option("--usd", type=Usd(), metavar="USD", required=True, help="How much more may be spent in this window.")
@click.option("--for", "subject", metavar="VALUE", help="Whose: of a budget that each user, key, ... has.")
@config_option
@books_option
@json_option
def top_up(name: str, usd: Decimal, subject: str | None, config: Path | None, books: str | None, as_json: bool) -> None:
    """Add money to the current window of the budget NAME; the next window has its usual amount again."""
    settings = load_settings(config, books)
    require_books(settings)
    with open_books(settings) as store:
        known = {one.name: one for one in store.allowances()}
        allowance = known.get(name)
        if allowance is None:
            raise no_such(name, known)
        if allowance.meter != "nano_usd":
            raise EndedError(f"{name} is a limit on {allowance.meter.replace('_', ' ')}: there is no money to add")
        if allowance.each and subject is None:
            problem = f"each {allowance.each} has a budget of its own: say whose, with --for VALUE"
            raise click.UsageError(problem, click.get_current_context())
        if subject and not allowance.each:
            raise click.UsageError(f"{name} is one budget for all: leave --for away", click.get_current_context())
        store.top_up(name, nano_of(usd), subject or "", now_ms)
        _report(store, allowance, settings, as_json, subject or "")
    if not as_json:
        note(f"{format_usd(nano_of(usd))} more in this window.")


@click.command("remove")
@click.argument("name")
@config_option
@books_option
@json_option
def remove(name: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """Remove the budget NAME. What was spent stays in the ledger, and counts should it be set again."""
    settings = load_settings(config, books)
    refuse_defined(settings, name)
    require_books(settings)
    with open_books(settings) as store:
        known = {one.name for one in store.allowances()}
        if name not in known:
            raise no_such(name, known)
        store.remove_allowance(name, now_ms)
    if as_json:
        echo_json({"removed": name})
    else:
        note(f"Removed {name} from {settings.books}")


def refuse_defined(settings: Settings, name: str) -> None:
    """Raise where the file defines a budget or limit of that name."""
    from bursar.config.by_hand import place_of

    for allowance in settings.allowances:
        if allowance.name == name:
            where = place_of(settings, allowance)
            raise EndedError(f"{name!r} is defined in {where}: change it there", code="defined_in_file", where=where)


def changed(
    before: Allowance | None,
    settings: Settings,
    name: str,
    *,
    usd: Decimal | None,
    per: Any,
    each: str | None,
    only: tuple[tuple[str, str], ...],
    missing: Any,
    rolling: bool | None,
    mode: Any,
) -> Allowance:
    """The budget as it shall be: what is given over what it was, or over a plain budget a day."""
    from bursar.config.by_hand import Given, entered
    from bursar.rules.allowances import Shape

    shapes: dict[bool | None, Shape | None] = {None: None, True: "rolling", False: "calendar"}
    try:
        given = Given(
            None if usd is None else nano_of(usd),
            shape=shapes[rolling],
            period=per,
            each=each,
            only=only or None,
            missing=missing,
            mode=mode,
            option="--",
        )
        return entered(before, settings, name, given)
    except InvalidRequestError as error:
        raise click.UsageError(error.message, click.get_current_context()) from None


def _report(
    store: SqliteStore, allowance: Allowance, settings: Settings, as_json: bool, subject: str | None = None
) -> None:
    from zoneinfo import ZoneInfo

    balances = store.balances(now_ms(), names=[allowance.name], subject=subject)
    if as_json:
        echo_json([shown(balance, allowance) for balance in balances])
    elif balances:
        draw_balances(balances, {allowance.name: allowance}, ZoneInfo(settings.time_zone))
