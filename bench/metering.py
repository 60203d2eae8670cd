"""What metering costs: a whole reply, a chunk of a stream without usage, a cost from usage, the look-up of a price; and
what a reply's headers say of the provider's limits (`plain`: where they say nothing).

    python -m bench.metering [--json]

Microseconds of CPU for one; the best of several repeats counts, since other work on the machine only ever adds. Replies
are of the size that a short answer has; `reply_cost_us` is the whole way from bytes to the cost of the ledger.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.report import arguments, show
from bursar.call.meter import meter
from bursar.catalog.prices import PriceBook
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Dialect, Request
from bursar.wire.dialects import dialect_named
from bursar.wire.rate_headers import read_rate_headers

TEXT = "The Rhine rises in the Swiss Alps and reaches the North Sea in the Netherlands. " * 8
CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1795176000, "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1200, "completion_tokens": 340, "total_tokens": 1540,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    },
    "service_tier": "default",
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1795176000, "model": "gpt-4o-2024-08-06",
    "status": "completed", "service_tier": "default",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}],
    "usage": {
        "input_tokens": 1200, "output_tokens": 340, "total_tokens": 1540,
        "input_tokens_details": {"cached_tokens": 1024}, "output_tokens_details": {"reasoning_tokens": 64},
    },
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 176, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 340, "service_tier": "standard", "inference_geo": "global",
    },
}  # fmt: skip
REPLIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("openai_chat", CHAT),
    "responses": ("openai_responses", RESPONSE),
    "messages": ("anthropic_messages", MESSAGE),
}
# An event of a stream with a word of text, as each dialect sends thousands of.
EVENTS: dict[str, bytes] = {
    "chat": b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795176000,'
    b'"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":" Rhine"},"finish_reason":null}]}\n\n',
    "responses": b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"msg_1",'
    b'"output_index":0,"content_index":0,"delta":" Rhine","sequence_number":7}\n\n',
    "messages": b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" Rhine"}}\n\n',
}
# What a provider's headers say of its limits, beside what every reply has.
PLAIN_HEADERS = {
    "date": "Sun, 22 Nov 2026 20:55:00 GMT", "content-type": "application/json", "x-request-id": "req_1",
    "content-length": "1024", "connection": "keep-alive", "server": "cloudflare", "cf-cache-status": "DYNAMIC",
}  # fmt: skip
RATE_HEADERS: dict[str, tuple[str, dict[str, str]]] = {
    "plain": ("openai", PLAIN_HEADERS),
    "openai": ("openai", {
        **PLAIN_HEADERS,
        "x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9993",
        "x-ratelimit-reset-requests": "57.922s", "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "199706", "x-ratelimit-reset-tokens": "1m30.951s",
    }),
    "anthropic": ("anthropic", PLAIN_HEADERS | {
        f"anthropic-ratelimit-{kind}-{part}": value
        for kind in ("requests", "tokens", "input-tokens", "output-tokens")
        for part, value in (("limit", "4000"), ("remaining", "3990"), ("reset", "2026-11-22T20:55:01Z"))
    }),
}  # fmt: skip
CARD = PriceCard.of({"input": "2.50", "cached_input": "1.25", "output": "10.00"}, version="bench")
EVENTS_A_READ = 50


def best_us(call: Callable[[], object], *, repeats: int = 15, calls: int = 20_000) -> float:
    return round(min(timeit.repeat(call, number=calls, repeat=repeats)) / calls * 1e6, 3)


def dialect_of(name: str) -> Dialect:
    dialect = dialect_named(name)
    assert dialect is not None
    return dialect


def chunk_us(name: str, event: bytes) -> float:
    """What one chunk costs of a stream in which fifty arrive at a time."""
    dialect = dialect_of(name)
    reader = dialect.reader(Request(b"{}", name, "m", stream=True))
    reader.feed(event)
    piece = event * EVENTS_A_READ
    assert len(reader.feed(piece)) == EVENTS_A_READ
    return round(best_us(lambda: reader.feed(piece), calls=400) / EVENTS_A_READ, 3)


def price(model: str, tier: str = "", /) -> PriceCard:
    return CARD


def main() -> None:
    asked = arguments(__doc__).parse_args()
    book, minute = PriceBook(), int(datetime(2026, 11, 23, 2, tzinfo=UTC).timestamp()) // 60
    assert book.card_at("deepseek", "deepseek-v4-pro", minute) is not None
    figures: dict[str, Any] = {"reply_us": {}, "reply_cost_us": {}, "chunk_us": {}}
    for form, (name, reply) in REPLIES.items():
        body, read = json.dumps(reply).encode(), dialect_of(name).meter
        metered = read(body)
        assert metered.usage is not None
        assert metered.usage.total_tokens == 1540
        figures["reply_us"][form] = best_us(lambda read=read, body=body: read(body))
        figures["reply_cost_us"][form] = best_us(
            lambda read=read, body=body: meter(read(body), asked_model="gpt-4o", price=price)
        )
        figures["chunk_us"][form] = chunk_us(name, EVENTS[form])
    usage = dialect_of("openai_chat").meter(json.dumps(CHAT).encode())
    assert usage.usage is not None
    figures["cost_from_usage_us"] = best_us(lambda: CARD.cost_nano_usd(usage.usage))  # type: ignore[arg-type]
    figures["meter_us"] = best_us(lambda: meter(usage, asked_model="gpt-4o", price=price))
    figures["price_of_the_minute_us"] = best_us(lambda: book.card_at("deepseek", "deepseek-v4-pro", minute))
    figures["rate_headers_us"] = {
        name: best_us(lambda form=form, headers=headers: read_rate_headers(form, headers))
        for name, (form, headers) in RATE_HEADERS.items()
    }
    show("metering", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
