"""`bursar keys create`, `change`, `rotate` and `revoke`. A key is printed once, and all else is said beside it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.keys_opening import Moment, Overlap, budget_of, listed, open_keys, own_budget, quota_options
from bursar.cli.opening import load_settings, now_ms, require_books
from bursar.cli.options import Pair, books_option, config_option, json_option, together
from bursar.cli.output import echo_json, instant, note
from bursar.rules.keys import ROLES

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.gateway.keys import Made
    from bursar.gateway.quotas import Limit

_TERMS = together(
    click.option("--user", metavar="USER", help="Whose it is; requests cannot say otherwise."),
    click.option("--team", metavar="TEAM", help="Its team, whose budget binds as well; see bursar teams."),
    click.option("--organisation", metavar="NAME", help="Its organisation; that of its team where not given."),
    click.option("--models", multiple=True, metavar="NAMES", help="All it may use: names, or openai/*; repeatable."),
    click.option("--tag", "tags", type=Pair(), multiple=True, metavar="NAME=VALUE", help="On every call; repeatable."),
)


@click.command("create")
@click.option("--name", required=True, metavar="NAME", help="What its calls are counted under; never used again.")
@quota_options
@click.option(
    "--role", type=click.Choice(ROLES), default="call", show_default=True, help="view reads all, admin too changes."
)
@_TERMS
@click.option("--expires", type=Moment(), metavar="SPAN", help="30d, 12h, or a day: 2027-01-31. Else never.")
@config_option
@books_option
@json_option
def create(
    name: str,
    budget_usd: Decimal | None,
    per: Any,
    limits: tuple[Limit, ...],
    role: Any,
    user: str | None,
    team: str | None,
    organisation: str | None,
    models: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    expires: int | None,
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it: this once, since only a digest of it is kept.

    \b
    bursar keys create --name ci --budget-usd 5 --per day
    bursar keys create --name ann --team search --models "openai/*" --expires 30d
    """
    from bursar.gateway.keys import Wanted

    settings = load_settings(config, books)
    wanted = Wanted(
        name=name,
        role=role,
        user=user or "",
        team=team or "",
        organisation=organisation or "",
        models=listed(models),
        tags=dict(tags),
        expires_ms=expires or None,
        budget=budget_of(budget_usd, per),
        limits=limits,
    )
    with open_keys(settings) as (store, smith):
        made = smith.create(wanted)
        _show_once(made, store.allowances(), as_json)
    if not as_json:
        note(f"The key {name!r} ({made.key.id}), in {settings.books}. It is not shown again.")


@click.command("change")
@click.argument("name", metavar="NAME|ID")
@quota_options
@click.option("--no-budget", is_flag=True, help="Take its own budget away.")
@click.option("--role", type=click.Choice(ROLES), help="What it may do.")
@_TERMS
@click.option("--no-tag", "no_tags", multiple=True, metavar="NAME", help="Take a tag away; repeatable.")
@click.option("--expires", type=Moment(), metavar="SPAN", help="30d from now, a day, or never.")
@config_option
@books_option
@json_option
def change(
    name: str,
    budget_usd: Decimal | None,
    per: Any,
    limits: tuple[Limit, ...],
    no_budget: bool,
    models: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    no_tags: tuple[str, ...],
    expires: int | None,
    config: Path | None,
    books: str | None,
    as_json: bool,
    **given: str | None,
) -> None:
    """Change what is given of a key, and nothing else. An empty text clears: --user "", --team "", --models "".

    What it has spent counts on. Processes that serve know it within a second.
    """
    settings = load_settings(config, books)
    require_books(settings)
    fields: dict[str, Any] = {each: value for each, value in given.items() if value is not None}
    if models:
        fields["models"] = listed(models)
    if expires is not None:
        fields["expires_ms"] = expires or None
    with open_keys(settings) as (store, smith):
        key = smith.key(name)
        if tags or no_tags:
            fields["tags"] = {tag: value for tag, value in {**key.tags, **dict(tags)}.items() if tag not in no_tags}
        budget = budget_of(budget_usd, per, own_budget(store, f"key:{key.name}"))
        if not (fields or budget or limits or no_budget):
            raise click.UsageError(
                "say what to change: --budget-usd, --limit, --role, ...", click.get_current_context()
            )
        changed = smith.change(key.name, fields, budget=budget, no_budget=no_budget, limits=limits)
        _report(changed.name, settings, as_json, changed, store.allowances())
    if not as_json:
        note(f"Changed {changed.name}.")


@click.command("rotate")
@click.argument("name", metavar="NAME|ID")
@click.option(
    "--overlap",
    type=Overlap(),
    default="24h",
    metavar="SPAN",
    show_default=True,
    help="How long the old text counts; 0: it ends now.",
)
@click.option("--new-secret", is_flag=True, help="Also a key that was made under a secret that is lost.")
@config_option
@books_option
@json_option
def rotate(name: str, overlap: int, new_secret: bool, config: Path | None, books: str | None, as_json: bool) -> None:
    """Give a key a new text and print it, this once. Its name, budgets and what it has spent stay."""
    settings = load_settings(config, books)
    require_books(settings)
    with open_keys(settings) as (store, smith):
        made = smith.rotate(name, overlap, new_secret=new_secret)
        _show_once(made, store.allowances(), as_json)
    if not as_json:
        until = f"until {instant(now_ms() + overlap * 1000)} UTC" if overlap else "no more"
        note(f"The new text of {made.key.name}, not shown again. The old one counts {until}.")


@click.command("revoke")
@click.argument("name", metavar="NAME|ID")
@config_option
@books_option
@json_option
def revoke(name: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """End a key for good. Processes that serve refuse it within a second; what it has spent stays on record."""
    settings = load_settings(config, books)
    require_books(settings)
    with open_keys(settings) as (store, smith):
        key = smith.revoke(name)
        _report(key.name, settings, as_json, key, store.allowances())
    if not as_json:
        note(f"Revoked {key.name}.")


def _show_once(made: Made, allowances: Any, as_json: bool) -> None:
    from bursar.gateway.key_record import record_of

    if as_json:
        echo_json({"key": made.text, **record_of(made.key, now_ms(), allowances)})
    else:
        click.echo(made.text)


def _report(name: str, settings: Settings, as_json: bool, key: Any, allowances: Any) -> None:
    from bursar.gateway.key_record import record_of

    if as_json:
        echo_json(record_of(key, now_ms(), allowances))
