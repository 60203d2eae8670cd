"""`bursar prices why`: a cost line by line, of a usage that is given or of a call in the books.

Decides nothing about money: it asks the price book for the card that held, prints what the card makes of each leaf, and
says whose word it is and who said nothing. The sum is rounded up once, as it was when it was charged.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.models import unit_price
from bursar.cli.opening import load_settings, open_books, require_books, utc_today
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import echo_json
from bursar.cli.prices import moment_option, unknown
from bursar.config.explaining import explained, fact_explained, matches, reasons
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings
    from bursar.rules.usage import Usage

ATTEMPTS_MAX = 100
_COLUMNS = (22, 14, 18)


@click.command("why")
@click.argument("model", required=False)
@click.option("--usage", "given", metavar="LEAF=COUNT,...", help="What was used: input=1000,cached_input=200,...")
@click.option("--tier", default="", metavar="NAME", help="The tier of service: batch, flex, priority, fast, ...")
@click.option("--call", "call_id", metavar="CALL_ID", help="Explain what a call in the books was charged.")
@moment_option
@config_option
@books_option
@json_option
def why(
    model: str | None,
    given: str | None,
    tier: str,
    call_id: str | None,
    when: date | None,
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """What MODEL costs for a usage, or why a call cost what it did, line by line.

    Units do not overlap: input is what was neither cached nor written to a cache.

    \b
    bursar prices why openai/gpt-4o --usage input=1000,cached_input=200,output=50
    bursar prices why --call 019aad3b5c1e
    """
    from bursar.config import price_book

    settings = load_settings(config, books)
    book = price_book(settings)
    if (model is None) == (call_id is None):
        raise click.UsageError("give a MODEL with --usage, or --call CALL_ID")
    if call_id is not None:
        rows = [fact_explained(settings, book, fact) for fact in _facts(settings, call_id)]
    else:
        assert model is not None
        rows = [_of_usage(settings, book, model, given, tier, when or utc_today())]
    if as_json:
        echo_json(rows if call_id is not None else rows[0])
        return
    for at, one in enumerate(rows):
        if at:
            click.echo()
        _print(one)


def _of_usage(
    settings: Settings, book: PriceBook, model: str, given: str | None, tier: str, on: date | datetime
) -> dict[str, Any]:
    usage = usage_of(given or "")
    found = matches(settings, book, model, on)
    if not found:
        raise EndedError(unknown(settings, book, model), code="price_unknown")
    if len(found) > 1:
        names = ", ".join(f"{provider}/{name}" for provider, name in found)
        raise EndedError(f"{model!r} is sold by several; say which: {names}", code="ambiguous")
    [(provider, name)] = found
    card = book.card(provider, name, on, tier)
    if card is None:
        known = ", ".join(book.variants(provider, name, on)) or "none"
        raise EndedError(f"the price of {provider}/{name} in the tier {tier!r} is not known; known: {known}")
    because = ["no reply, so no cost that the provider reported", *reasons(settings, book, provider, name, card)]
    return {
        "model": f"{provider}/{name}",
        "at": f"{on:%Y-%m-%dT%H:%MZ}" if isinstance(on, datetime) else on.isoformat(),
        "tier": tier,
        **explained(card, usage),
        "because": because,
    }


def usage_of(text: str) -> Usage:
    """A usage as it is given on the command line. Raises click.UsageError."""
    from bursar.config.nearest import did_you_mean
    from bursar.rules.usage import LEAVES, TOKENS_MAX, Usage

    leaves: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        leaf, _, count = part.partition("=")
        if leaf not in LEAVES:
            raise click.UsageError(f"--usage: unknown unit {leaf!r}; {did_you_mean(leaf, LEAVES, 'units')}")
        digits = count.replace("_", "")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12) or int(digits) > TOKENS_MAX:
            raise click.UsageError(f"--usage: {leaf} needs a count from 0 to {TOKENS_MAX:,}, not {count!r}")
        leaves[leaf] = leaves.get(leaf, 0) + int(digits)
    if not any(leaves.values()):
        raise click.UsageError("--usage LEAF=COUNT,... says what was used, such as input=1000,output=50")
    return Usage({leaf: count for leaf, count in leaves.items() if count})


def _facts(settings: Settings, call_id: str) -> list[Fact]:
    require_books(settings)
    with open_books(settings) as store:
        facts = store.attempts(call_id=call_id, limit=ATTEMPTS_MAX) or store.attempts(
            call_id=call_id.partition(".")[0], limit=ATTEMPTS_MAX
        )
    if not facts:
        raise EndedError(f"there is no call {call_id!r} in the books", code="no_call")
    return facts[::-1]


def _print(one: dict[str, Any]) -> None:
    tier = f", tier {one['tier']}" if one.get("tier") else ""
    click.echo(f"{one['model']} on {one['at']}{tier}")
    for reason in one["because"]:
        click.echo(f"  {reason}")
    if one["above_input_tokens"] is not None:
        click.echo(f"  above {one['above_input_tokens']:,} tokens of input, dearer prices hold for all of it")
    if one["lines"]:
        click.echo(_row("", "units", "USD a million", "USD"))
    for line in one["lines"]:
        unit, usd = line["usd_per_million"], line["usd"] or "unknown"
        shown = "unknown" if unit is None else unit_price(line["leaf"], unit)
        click.echo(_row(line["leaf"].replace("_", " "), f"{line['units']:,}", shown, usd))
    if one["sum_usd"] is not None:
        click.echo(_row("sum", "", "", one["sum_usd"]))
    what = "cost" if one.get("certain") else "cost, not certain"
    rounded = "" if one.get("cost_source") == "provider" else ", rounded up once to nano-USD"
    click.echo(f"  {what}: {format_usd(one['cost_nano_usd'])}{rounded if one['sum_usd'] is not None else ''}")
    if "charged_nano_usd" in one:
        click.echo(f"  charged: {format_usd(one['charged_nano_usd'])} of {format_usd(one['held_nano_usd'])} held")


def _row(leaf: str, units: str, unit: str, usd: str) -> str:
    first, second, third = _COLUMNS
    return f"  {leaf:<{first}}{units:>{second}}{unit:>{third}}  {usd}".rstrip()
