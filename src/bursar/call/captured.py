"""A captured reply read as a bill: what `bursar meter` shows of a body that was recorded somewhere.

Decides from the path which dialect it is, and from the bytes whether it is JSON, server-sent events, or chunks that
lost their framing. Never raises on a body. Source: issue 2, "cli".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from bursar.call.conclude import UNCERTAIN_STATUSES
from bursar.call.meter import meter, untold
from bursar.catalog.prices import PriceBook
from bursar.catalog.providers import provider_row
from bursar.rules.money import UNKNOWN_COST
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage
from bursar.wire.dialect import Dialect, Metered, Request
from bursar.wire.dialects import dialect_at
from bursar.wire.embeddings import Embeddings
from bursar.wire.lenient import MALFORMED, decode

__all__ = ["read_captured"]

NOT_SUPPORTED = "dialect not supported"


def read_captured(
    provider: str,
    path: str,
    body: bytes,
    *,
    book: PriceBook,
    day: date,
    status: int = 200,
    content_type: str = "",
    model: str = "",
) -> dict[str, Any]:
    """What a captured reply says it used and cost.

    Args:
        provider: as Bursar names it; whose prices hold and whose reported cost is believed.
        path: of the request, e.g. "/v1/chat/completions".
        body: as received, JSON or server-sent events.
        book: the prices. day: the UTC date of the request.
        status: of the HTTP reply. content_type: its header, "" to go by the bytes alone.
        model: as asked; stands in where the reply names none.

    Returns:
        model, usage (null, or input_tokens and output_tokens with every leaf in them, then the leaves), cost_nano_usd
        (null where unknown), cost_source, certain, price_version, error (null, or what the body said).
    """
    # What OpenAI compacts is billed, and answers as Responses do.
    dialect = dialect_at(path) or dialect_at(path.rstrip("/").removesuffix("/compact"))
    if dialect is None:
        return _shown(model, None, None, "unknown", certain=False, version="", error=NOT_SUPPORTED)
    metered = _metered(dialect, body, status, content_type)
    said = dialect.error(status, {}, body) if status >= 400 else metered.error
    asked = model or metered.served_model
    row = provider_row(provider)

    def price(name: str, tier: str = "", /) -> PriceCard | None:
        return book.card(provider, name, day, tier)

    cost, version = meter(
        metered,
        asked_model=asked,
        price=price,
        status=status,
        bills_errors=row.bills_errors or status in UNCERTAIN_STATUSES,
        reports_cost=row.reports_cost,
        untold=untold(row, b""),
    )
    certain = cost.certain and (metered.complete or status >= 400)
    if cost.nano_usd is None:
        cost = UNKNOWN_COST
    return _shown(
        metered.served_model or model,
        metered.usage,
        cost.nano_usd,
        cost.source,
        certain=certain,
        version=version,
        error=said.message if said else None,
    )


def _metered(dialect: Dialect, body: bytes, status: int, content_type: str) -> Metered:
    streamed = "event-stream" in content_type
    if body.lstrip()[:1] in (b"{", b"["):
        if dialect.name == Embeddings.name or status >= 400 or (not streamed and decode(body) is not MALFORMED):
            return dialect.meter(body)
        return _metered_chunks(dialect, body)
    if streamed or (body.strip() and _looks_like_events(body)):
        reader = dialect.reader(_asked(dialect))
        reader.feed(body)
        return reader.metered()
    return dialect.meter(body)


def _metered_chunks(dialect: Dialect, body: bytes) -> Metered:
    """Chunks one after the other, as some recorders write them down; a single reply where there is only one."""
    chunks = list(_objects(body))
    if len(chunks) < 2:
        return dialect.meter(body)
    reader = dialect.reader(_asked(dialect))
    for chunk in chunks:
        reader.feed(b"data: " + chunk.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n")
    return reader.metered()


def _objects(body: bytes) -> Iterator[bytes]:
    """The JSON values that stand one after the other in a text, up to the first that is none."""
    text = body.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    at = 0
    while True:
        try:
            while text[at : at + 1].isspace():
                at += 1
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield text[at:end].encode()
        at = end


def _looks_like_events(body: bytes) -> bool:
    first = body.lstrip(b"\xef\xbb\xbf\r\n")[:16]
    return first.startswith((b"data:", b"event:", b"id:", b"retry:", b":"))


def _asked(dialect: Dialect) -> Request:
    """The request behind a capture, of which nothing is known."""
    return Request(b"{}", dialect.name, "", stream=True, wants_usage=True)


def _shown(
    model: str,
    usage: Usage | None,
    cost_nano_usd: int | None,
    source: str,
    *,
    certain: bool,
    version: str,
    error: str | None,
) -> dict[str, Any]:
    totals = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens} if usage else {}
    return {
        "model": model or None,
        "usage": {**totals, **usage.leaves} if usage else None,
        "cost_nano_usd": cost_nano_usd,
        "cost_source": source,
        "certain": certain,
        "price_version": version,
        "error": error,
    }
