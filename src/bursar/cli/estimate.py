"""`bursar estimate`: what a call would use and cost, and which budgets it fits. Nothing is sent, held or made.

Needs no key, and makes no books where there are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.asked import asked_options, call_of
from bursar.cli.opening import MEMORY, load_settings
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import Column, draw, echo_json, note
from bursar.errors import ConfigError
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.client.replies import Quote
    from bursar.config import Settings

# A quote is never sent, so any key will do where there is none.
_UNSENT = "estimate-only"
_KEY_PATH = ("llm.providers.", ".api_key")


@click.command("estimate")
@click.argument("prompt", nargs=-1)
@asked_options
@config_option
@books_option
@json_option
def estimate(prompt: tuple[str, ...], config: Path | None, books: str | None, as_json: bool, **asked: Any) -> None:
    """What asking PROMPT (- for stdin) would use and cost, and whether the budgets have room for it."""
    call = call_of(prompt, **asked)
    settings = load_settings(config, books)
    keys = _stand_ins(settings, call.model)
    from bursar.client import Client

    opened = books if settings.books == MEMORY or Path(settings.books).exists() else MEMORY
    with Client(config, books=opened, api_keys=keys) as llm:
        quote = llm.estimate(call.messages, **call.options)
    if as_json:
        echo_json(shown(quote))
        return
    _draw(quote)
    if quote.most_nano_usd is None:
        from bursar.cli.prices import unknown
        from bursar.config import price_book

        why = f"its price in {quote.price_version} has no input or no output"
        if not quote.price_version:
            why = unknown(settings, price_book(settings), quote.model)
        note(f"A budget would refuse this call: {why}")
    if not quote.budgets:
        note("No budget binds this call: Bursar would only count.")


def _stand_ins(settings: Settings, model: str | None) -> dict[str, str]:
    """A key for the provider of a model that has none."""
    from bursar.config import resolve_model

    try:
        provider, _ = resolve_model(settings, model)
    except ConfigError as error:
        start, end = _KEY_PATH
        if error.key and error.key.startswith(start) and error.key.endswith(end):
            return {error.key.removeprefix(start).removesuffix(end): _UNSENT}
        if model is None:
            raise ConfigError(f"{error}\nHere that is --model PROVIDER/MODEL.", key=error.key) from None
        raise
    return {} if settings.providers[provider].has_key else {provider: _UNSENT}


def shown(quote: Quote) -> dict[str, Any]:
    """A quote as JSON. Amounts are nano-USD, null where a price is not known."""
    return {
        "model": quote.model,
        "input_tokens": quote.input_tokens,
        "output_tokens_max": quote.output_tokens_max,
        "likely_nano_usd": quote.likely_nano_usd,
        "most_nano_usd": quote.most_nano_usd,
        "price_version": quote.price_version,
        "fits": quote.fits,
        "budgets": [fit.balance._asdict() | {"left": fit.balance.left, "fits": fit.fits} for fit in quote.budgets],
    }


def _draw(quote: Quote) -> None:
    rows = [
        ["model", quote.model],
        ["tokens in", f"{quote.input_tokens:,}"],
        ["tokens out, at most", f"{quote.output_tokens_max:,}"],
        ["likely cost", format_usd(quote.likely_nano_usd)],
        ["cost at most", format_usd(quote.most_nano_usd)],
        ["price", quote.price_version or "unknown"],
    ]
    for fit in quote.budgets:
        balance = fit.balance
        name = f"{balance.allowance} ({balance.subject})" if balance.subject else balance.allowance
        rows.append([f"budget {name}", f"{'fits' if fit.fits else 'does not fit'}: {format_usd(balance.left)} left"])
    draw([Column("estimate"), Column("")], rows)
