"""`bursar meter`: what captured responses say they used and cost, one JSON object each.

Decides nothing about money: `call.captured` reads the body. A recording that cannot be read gives a line with its
error, and the next one follows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.opening import load_settings, utc_today
from bursar.cli.options import Day, config_option, json_option
from bursar.cli.output import echo_json, note

if TYPE_CHECKING:
    from bursar.catalog.prices import PriceBook

# As large as the replies that Bursar takes from a provider; a larger file is none.
BODY_BYTES_MAX = 256 * 2**20


@click.command("meter")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True, path_type=Path), required=False)
@click.option("--provider", metavar="NAME", help="Whose response it is: openai, openrouter, groq, ...")
@click.option("--path", metavar="PATH", default="/v1/chat/completions", show_default=True, help="Of the request.")
@click.option("--model", metavar="MODEL", default="", help="As asked; where the response names none.")
@click.option("--date", "day", type=Day(), metavar="DATE", help="Whose prices hold; today's by default.")
@click.option("--status", type=click.IntRange(100, 599), default=200, show_default=True, help="Of the response.")
@click.option("--content-type", default="", metavar="TYPE", help="Of the response; else the bytes tell.")
@click.option(
    "--recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Every recording (*.json) below a folder, a JSON line each.",
)
@config_option
@json_option
def meter(
    file: Path | None,
    provider: str | None,
    path: str,
    model: str,
    day: date | None,
    status: int,
    content_type: str,
    recordings: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """What the captured response body in FILE (- or nothing: stdin) used and cost.

    JSON or server-sent events, as received. Prices are those of bursar.yaml, then the list prices.

    \b
    bursar meter --provider openai response.json
    curl -s ... | bursar meter --provider openrouter -
    """
    context = click.get_current_context()
    if recordings is not None and (file is not None or provider is not None):
        raise click.UsageError("--recordings takes neither a file nor --provider: recordings name their own", context)
    if recordings is None and provider is None:
        raise click.UsageError("say whose response it is: --provider openai", context)
    book, on = price_book(config, provider), day or utc_today()
    if recordings is not None:
        for shown in metered_recordings(recordings, book, on):
            echo_json(shown, line=True)
        return
    from bursar.call.captured import read_captured

    body = sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
    echo_json(
        read_captured(
            provider or "", path, body, book=book, day=on, status=status, content_type=content_type, model=model
        ),
        line=True,
    )


def price_book(config: Path | None, provider: str | None) -> PriceBook:
    """The prices of the settings. Says on stderr where they cannot have those of the provider."""
    from bursar.catalog.providers import known_rows
    from bursar.config import price_book as book_of
    from bursar.config.nearest import did_you_mean

    settings = load_settings(config)
    known = sorted({*known_rows(), *settings.providers})
    if provider is not None and provider not in known:
        note(f"No prices of {provider!r} are known; {did_you_mean(provider, known, 'providers')}")
    return book_of(settings)


def metered_recordings(folder: Path, book: PriceBook, day: date) -> Iterator[dict[str, Any]]:
    """Every recording below a folder by path, with its id first."""
    for file in sorted(folder.rglob("*.json")):
        if file.is_file():
            yield _metered(file, file.relative_to(folder).as_posix(), book, day)


def _metered(file: Path, name: str, book: PriceBook, day: date) -> dict[str, Any]:
    import msgspec

    from bursar.call.captured import read_captured

    found = name
    try:
        if file.stat().st_size > BODY_BYTES_MAX:
            raise ValueError(f"larger than {BODY_BYTES_MAX // 2**20} MiB")
        recording = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        found = str(recording.get("id") or name)
        asked, answer = recording.get("request"), recording["response"]
        body = answer["body"]
        return {"id": found} | read_captured(
            str(recording["provider"]),
            str(recording["path"]),
            body.encode() if isinstance(body, str) else msgspec.json.encode(body),
            book=book,
            day=day,
            status=int(answer.get("status") or 200),
            content_type=str(answer.get("content_type") or ""),
            model=str(asked.get("model") or "") if isinstance(asked, dict) else "",
        )
    except KeyError as error:
        return _unread(found, f"not a recording: {error} is missing")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return _unread(found, f"not a recording: {error}")


def _unread(name: str, problem: str) -> dict[str, Any]:
    nothing = {"model": None, "usage": None, "cost_nano_usd": None, "cost_source": "unknown", "certain": False}
    return {"id": name, **nothing, "price_version": "", "error": problem}
