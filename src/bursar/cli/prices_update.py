"""`bursar prices update`: fetch what a provider publishes, and keep it with its date beside the books.

Only what changed is appended, so that every call keeps the price of its day. Decides nothing about which price holds;
the price book reads the file, after the user's own prices and before the list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import PROVIDER_FAILED, EndedError
from bursar.cli.models import checked
from bursar.cli.opening import load_settings
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import counted, echo_json

if TYPE_CHECKING:
    from bursar.config import ProviderSettings

# Whose /models have prices in the form that is read here.
PUBLISHES = "openrouter"


@click.command("update")
@click.option("--provider", default=PUBLISHES, show_default=True, metavar="NAME", help="Whose prices.")
@config_option
@books_option
@json_option
def update(provider: str, config: Path | None, books: str | None, as_json: bool) -> None:
    """Fetch the prices that a provider publishes; they hold from now on, after your own and before the list."""
    from bursar.catalog.fetched import FetchedPrices
    from bursar.config.prices import fetched_file

    settings = load_settings(config, books)
    chosen = settings.providers.get(checked(settings, provider))
    if chosen is None:
        raise EndedError(f"{provider} is not configured here: set its key, or name it in bursar.yaml")
    if chosen.row != PUBLISHES:
        raise EndedError(f"{provider} publishes no prices that can be read; {PUBLISHES} does", code="not_published")
    file = fetched_file(settings, PUBLISHES)
    if file is None:
        raise EndedError("the books are in memory, with nothing beside them; name a file with --books", code="no_books")
    kept = file.read_bytes() if file.exists() else b""
    known = FetchedPrices.read(PUBLISHES, kept.splitlines())
    listed = _models(chosen)
    entry = known.changes(listed, datetime.now(UTC))
    before = set(known.models())
    known.take(entry)
    if not known.models():
        raise EndedError(f"{provider} lists no model with a price: nothing is kept", code="no_prices")
    _append(file, kept, entry)
    changes = {
        "models": len(known.models()),
        "new": sum(pricing is not None and model not in before for model, pricing in entry["models"].items()),
        "changed": sum(pricing is not None and model in before for model, pricing in entry["models"].items()),
        "gone": sum(pricing is None for pricing in entry["models"].values()),
    }
    if as_json:
        echo_json({"provider": provider, "at": entry["at"], **changes, "file": str(file)})
        return
    since = "for the first time"
    if kept:
        since = f"{changes['new']} new, {changes['changed']} changed, {changes['gone']} gone since the last time"
    click.echo(f"{provider}: {counted(changes['models'], 'model')}; {since}")
    click.echo(f"kept in {file};\nprograms that run already see it when they start next")


def _models(chosen: ProviderSettings) -> list[Mapping[str, Any]]:
    """The provider's list of models. Raises EndedError."""
    from bursar.call.exchange import Failed
    from bursar.catalog.headers import headers_of
    from bursar.catalog.providers import row_of
    from bursar.edges.http.lookup import Lookup

    row = row_of(chosen)
    # The list is public: a key is sent where there is one, and not asked for.
    headers = headers_of(row, chosen.require_key() if chosen.every_key else "", chosen)
    url = f"{row.base_url}/models"
    with Lookup(chosen.name, headers) as lookup:
        answer = lookup.get(url)
    if isinstance(answer, Failed):
        raise EndedError(f"{url}: {answer.detail}", PROVIDER_FAILED, code="not_fetched")
    if answer.status != 200:
        raise EndedError(f"{url} answered with status {answer.status}", PROVIDER_FAILED, code="not_fetched")
    listed = _listed(answer.body)
    if listed is None:
        raise EndedError(
            f"{url} answered with something else than a list of models", PROVIDER_FAILED, code="not_fetched"
        )
    return [model for model in listed if isinstance(model, dict)]


def _listed(body: bytes) -> list[Any] | None:
    """The models in a reply; None where it lists none. Numbers stay as they will be read back, to be compared."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    data = value.get("data") if isinstance(value, dict) else None
    return data if isinstance(data, list) else None


def _append(file: Path, kept: bytes, entry: Mapping[str, Any]) -> None:
    """Add a line, durably; a last line that was cut short stays by itself."""
    line = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as out:
        out.write(line if not kept or kept.endswith(b"\n") else b"\n" + line)
        out.flush()
        os.fsync(out.fileno())
