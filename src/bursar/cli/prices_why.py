"""`bursar prices why`: a cost line by line, of a usage that is given or of a call in the books.

Decides nothing about money: it asks the price book for the card that held, prints what the card makes of each leaf, and
says whose word it is and who said nothing. The sum is rounded up once, as it was when it was charged.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.models import unit_price, usd_per_million
from bursar.cli.opening import load_settings, open_books, require_books, utc_today
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import echo_json, iso
from bursar.cli.prices import matches, moment_option, unknown
from bursar.rules.money import EXACT, format_usd, nano_of_pico

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings
    from bursar.rules.prices import PriceCard
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
        explained = [_of_fact(settings, book, fact) for fact in _facts(settings, call_id)]
    else:
        assert model is not None
        explained = [_of_usage(settings, book, model, given, tier, when or utc_today())]
    if as_json:
        echo_json(explained if call_id is not None else explained[0])
        return
    for at, one in enumerate(explained):
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
    because = ["no reply, so no cost that the provider reported", *_because(settings, book, provider, name, card)]
    return {
        "model": f"{provider}/{name}",
        "at": f"{on:%Y-%m-%dT%H:%MZ}" if isinstance(on, datetime) else on.isoformat(),
        "tier": tier,
        **_explained(card, usage),
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


def _of_fact(settings: Settings, book: PriceBook, fact: Fact) -> dict[str, Any]:
    """The row of the ledger, with the lines that make up its cost where it was reckoned here."""
    row = {
        "attempt_id": fact.attempt_id,
        "model": f"{fact.provider}/{fact.served_model or fact.model}",
        "at": iso(fact.reserved_ms),
        "cost_source": fact.cost_source,
        "price_version": fact.price_version,
        "held_nano_usd": fact.bound_nano_usd,
        "charged_nano_usd": fact.charged_nano_usd,
    }
    found = _card_of(settings, book, fact)
    if found is None:
        empty: dict[str, Any] = {
            "lines": [],
            "above_input_tokens": None,
            "sum_usd": None,
            "source": fact.price_version or None,
        }
        return (
            row | empty | {"cost_nano_usd": fact.cost_nano_usd, "certain": fact.certain, "because": _said(fact, None)}
        )
    name, card = found
    explained = _explained(card, fact.usage)
    said = _said(fact, explained["cost_nano_usd"])
    because = [*said, *_because(settings, book, fact.provider, name, card)]
    return row | explained | {"cost_nano_usd": fact.cost_nano_usd, "certain": fact.certain, "because": because}


def _card_of(settings: Settings, book: PriceBook, fact: Fact) -> tuple[str, PriceCard] | None:
    """The card by which a row was reckoned, or would be, under the name that it has; None where there is none."""
    from bursar.rules.tiers import KNOWN

    last = fact.price_version.rpartition(" ")[2]
    tier = last if last and all(word in KNOWN for word in last.split("+")) else ""
    chosen = settings.providers.get(fact.provider)
    known = []
    for asked in (fact.served_model, fact.model):
        name = chosen.priced_as(asked) if chosen else asked
        card = book.card_at(fact.provider, name, fact.reserved_ms // 60_000, tier) if name else None
        if card is not None:
            known.append((name, card))
    same = [(name, card) for name, card in known if card.version == fact.price_version]
    return next(iter([*same, *known]), None)


def _said(fact: Fact, computed_nano_usd: int | None) -> list[str]:
    """What the row itself says about its cost."""
    if fact.cost_source == "provider":
        list_says = "" if computed_nano_usd is None else f" (these lines come to {format_usd(computed_nano_usd)})"
        said = [f"the provider reported {format_usd(fact.cost_nano_usd)}, which counts before any price{list_says}"]
    elif fact.cost_nano_usd is None:
        what = "there was no usage" if not fact.usage.leaves else "no price was known for what was used"
        said = [f"the cost is not known: {what}"]
    else:
        said = ["the provider reported no cost that counts"]
        if computed_nano_usd not in (None, fact.cost_nano_usd):
            said.append(
                f"the books have {format_usd(fact.cost_nano_usd)} by {fact.price_version!r}: the prices at hand now "
                "differ, or other models worked beside this one"
            )
    if not fact.certain:
        said.append(f"it is not certain, so the bound of {format_usd(fact.bound_nano_usd)} stays charged")
    return said


def _because(settings: Settings, book: PriceBook, provider: str, model: str, card: PriceCard) -> Iterator[str]:
    """Whose price it is, and who said nothing before."""
    own = settings.file or "a bursar.yaml"
    if not card.listed:
        yield f"the price is your own: {card.version}"
        return
    yield f"no price of {provider}/{model} holds in {own}"
    chosen = settings.providers.get(provider)
    if chosen is not None and chosen.discount:
        yield f"the price is that of {card.version}, less {(chosen.discount * 100).normalize():f}% of discount"
    else:
        yield f"the price is that of {card.version}"
    if card.at_most:
        yield "it is at most this: what holds in this tier, or on this day, is not known"


def _explained(card: PriceCard, usage: Usage) -> dict[str, Any]:
    from bursar.call.meter import with_fees

    lines = card.lines(with_fees(usage, card))
    amounts = [line.amount_pico_usd for line in lines]
    whole = None if None in amounts else sum(amount for amount in amounts if amount is not None)
    above = [tier.above_input_tokens for tier in card.tiers if usage.input_tokens > tier.above_input_tokens]
    return {
        "source": card.version,
        "above_input_tokens": above[-1] if above else None,
        "lines": [
            {
                "leaf": line.leaf,
                "units": line.units,
                "usd_per_million": None if line.pico_usd is None else usd_per_million(line.pico_usd),
                "usd": None if line.amount_pico_usd is None else exact(line.amount_pico_usd),
            }
            for line in lines
        ],
        "sum_usd": None if whole is None else exact(whole),
        "cost_nano_usd": None if whole is None else nano_of_pico(whole),
        "certain": whole is not None and not card.at_most,
    }


def exact(pico_usd: int) -> str:
    """Pico-USD as dollars, no digit lost.

    >>> exact(2_500_000), exact(0), exact(10**12)
    ('0.0000025', '0', '1')
    """
    return f"{EXACT.add(Decimal(pico_usd).scaleb(-12, EXACT).normalize(EXACT), 0) if pico_usd else Decimal(0):f}"


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
