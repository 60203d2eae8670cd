"""OpenRouter's record of one request, `GET /generation?id=`: what an attempt cost whose end nobody saw.

Decides what the record says, never what the books make of it. It counts tokens as the model's maker does
(`native_tokens_*`); those of OpenRouter's own counting (`tokens_*`) stand in where the others are missing.

Source: OpenRouter's API reference and SDK schema 1.3.84, November 2026.
"""

from __future__ import annotations

from bursar.wire.dialect import Metered
from bursar.wire.lenient import as_dict, as_text, decode
from bursar.wire.openai_usage import read_usage

__all__ = ["read_generation"]


def read_generation(body: bytes) -> Metered:
    """The record as a reply would have said it; `reported_nano_usd` is None where it does not say what was charged.

    `reply_id` is the id that the record is of. `complete` is False for a generation that was cancelled.

    >>> record = b'{"data":{"id":"gen-1","total_cost":0.0015,"native_tokens_prompt":9,"native_tokens_completion":2}}'
    >>> read_generation(record).reported_nano_usd
    1500000
    """
    data = as_dict(as_dict(decode(body)).get("data"))

    def counted(side: str) -> object:
        native = data.get(f"native_tokens_{side}")
        return data.get(f"tokens_{side}") if native is None else native

    # In the words of a reply's usage, which is read with every doubt that a record deserves too.
    said = {
        "prompt_tokens": counted("prompt"),
        "completion_tokens": counted("completion"),
        "prompt_tokens_details": {"cached_tokens": data.get("native_tokens_cached")},
        "completion_tokens_details": {
            "reasoning_tokens": data.get("native_tokens_reasoning"),
            "image_tokens": data.get("native_tokens_completion_images"),
        },
        "cost": data.get("total_cost"),
        "is_byok": data.get("is_byok"),
        "cost_details": {"upstream_inference_cost": data.get("upstream_inference_cost")},
    }
    reading = read_usage(said)
    return Metered(
        usage=reading.usage,
        reported_nano_usd=reading.reported_nano_usd,
        served_model=as_text(data.get("model")),
        reply_id=as_text(data.get("id")),
        service_tier=as_text(data.get("service_tier")),
        finish_reason=as_text(data.get("finish_reason")),
        complete=data.get("cancelled") is not True,
    )
