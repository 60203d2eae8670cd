"""`bursar reconcile`: make the books agree with the provider, or see where they do not.

Alone it settles what is uncertain by the provider's own records (`reconcile_records`); with a bill it compares
(`reconcile_bill`), and changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from bursar.cli.opening import has_books, load_settings, now_ms
from bursar.cli.options import Pairs, Usd, books_option, config_option, json_option
from bursar.cli.spans import span_of, span_options

FORMATS = ("openai-costs", "openai-usage", "openrouter-activity", "csv")


@click.command("reconcile")
@click.option("--provider", metavar="NAME", help="Of this provider only; needed with --bill.")
@span_options
@click.option("--dry-run", is_flag=True, help="Ask, and change nothing.")
@click.option(
    "--bill",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with a provider's exported bill; changes nothing.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="The bill's format; else what it looks like.")
@click.option(
    "--columns",
    type=Pairs(),
    metavar="DATE=..,MODEL=..,COST=..",
    help="What a CSV calls its columns: date=Day,cost=USD.",
)
@click.option("--day-zone", metavar="ZONE", help="The time zone of the bill's days; UTC unless given.")
@click.option("--tolerance", type=Usd(), metavar="USD", help="A line agrees within so much.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the comparison as CSV.")
@config_option
@books_option
@json_option
def reconcile(
    provider: str | None,
    since: str | None,
    until: str | None,
    last: int | None,
    dry_run: bool,
    bill: Path | None,
    form: str | None,
    columns: dict[str, str] | None,
    day_zone: str | None,
    tolerance: Decimal | None,
    as_csv: bool,
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """Settle what is uncertain by the provider's records, or compare the books with its bill.

    \b
    bursar reconcile
    bursar reconcile --dry-run --last 7d
    bursar reconcile --bill costs.json --provider openai
    bursar reconcile --bill may.csv --provider groq --columns date=Day,cost=USD

    A comparison exits with 0 where books and bill agree, and with 1 where they do not.
    """
    only_with_bill = {"format": form, "columns": columns, "day-zone": day_zone, "tolerance": tolerance, "csv": as_csv}
    _check(bill, provider, only_with_bill, dry_run=dry_run, as_csv=as_csv, as_json=as_json)
    settings = load_settings(config, books)
    from zoneinfo import ZoneInfo

    if bill is None:
        from bursar.cli.reconcile_records import Outcome, settle_records, shown

        span = span_of(since, until, last, ZoneInfo(settings.time_zone), now_ms())
        if has_books(settings):
            settle_records(settings, provider or "", span, dry_run=dry_run, as_json=as_json)
        elif as_json:
            from bursar.cli.output import echo_json

            echo_json(shown(Outcome(), dry_run))
        return
    from bursar.cli.reconcile_bill import Asked, compare_bill

    assert provider is not None
    asked = Asked(bill, provider, form or "", columns or {}, day_zone or "UTC", tolerance or Decimal(0))
    compare_bill(settings, asked, (since, until, last), as_csv=as_csv, as_json=as_json)


def _check(
    bill: Path | None,
    provider: str | None,
    only_with_bill: dict[str, Any],
    *,
    dry_run: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Refuse options that say nothing together. Raises click.UsageError."""
    context = click.get_current_context()
    if bill is None:
        given = next((name for name, value in only_with_bill.items() if value), None)
        if given:
            raise click.UsageError(f"--{given} is about a bill: name it with --bill", context)
        return
    if provider is None:
        raise click.UsageError("--bill needs --provider: whose bill is it?", context)
    if not bill.exists() or bill.is_dir():
        raise click.UsageError(f"--bill: there is no file {bill}", context)
    if dry_run:
        raise click.UsageError("--dry-run: comparing with a bill changes nothing anyway", context)
    if as_csv and as_json:
        raise click.UsageError("--json or --csv, not both", context)
