"""OpenRouter's form: the cost in every usage, its own error bodies, comments in streams, fallbacks between models."""

from __future__ import annotations

from bursar.sim import forms
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, Tail, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import MINUTE_MS
from bursar.sim.prices import Bill, Model, usd
from bursar.sim.usage import Usage

UPSTREAMS = {"openai": "OpenAI", "anthropic": "Anthropic", "meta-llama": "DeepInfra"}
ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    404: "not_found",
    429: "rate_limit_exceeded",
}


def upstream(model: Model) -> str:
    """The provider behind OpenRouter that serves this model."""
    return UPSTREAMS.get(model.id.partition("/")[0], "Sim")


def envelope(stamp: Stamp, kind: str) -> Json:
    return {
        "id": stamp.id,
        "provider": upstream(stamp.model),
        "model": stamp.model.reported_name,
        "object": kind,
        "created": stamp.created,
        "system_fingerprint": None,
    }


def usage(used: Usage, bill: Bill) -> Json:
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        "cost": usd(bill.nano_usd),
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_tokens,
            "cache_write_tokens": used.cache_write_tokens,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": usd(bill.input_nano_usd),
            "upstream_inference_completions_cost": usd(bill.output_nano_usd),
        },
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens, "image_tokens": 0},
    }


def tail(form: Form, end: Tail) -> list[Json]:
    """Finish chunks, then usage always, in a chunk that carries an empty delta."""
    chunks = forms.finish_chunks(form, end)
    if end.usage is not None:
        envelope_body = form.envelope(end.stamp, "chat.completion.chunk")
        chunks.append(forms.chunk(form, envelope_body, 0, {"role": "assistant", "content": ""}) | {"usage": end.usage})
    return chunks


def failure_body(failure: Failure) -> Json:
    message = failure.message
    metadata: Json = {"error_type": ERROR_TYPES.get(failure.status, "provider_error")}
    if failure.code == "model_not_found":
        message = f"No endpoints found for {failure.subject}."
    if failure.status == 401:
        message = "No auth credentials found" if failure.code is None else "User not found."
    if failure.code is not None:
        metadata["provider_code"] = failure.code
    if failure.status >= 429:
        metadata |= {"provider_name": "Sim", "raw": failure.message}
    return {"error": {"message": message, "code": failure.status, "metadata": metadata}, "user_id": "user_sim"}


def failure_headers(failure: Failure, now_ms: int) -> HeaderList:
    found = retry_after(failure)
    if failure.status == 429 and failure.retry_after_ms is not None:
        found += [
            ("X-RateLimit-Limit", str(failure.limit or 20)),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", str(now_ms + failure.retry_after_ms)),
        ]
    return found


def stream_failure(stamp: Stamp, failure: Failure) -> bytes:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    error = {"code": failure.status, "message": failure.message}
    return forms.event(envelope(stamp, "chat.completion.chunk") | {"error": error, "choices": [choice]}) + forms.DONE


def model_row(model: Model) -> Json:
    card = model.card
    pricing = {"prompt": per_token(card.input), "completion": per_token(card.output), "request": "0", "image": "0"}
    if card.cached is not None:
        pricing["input_cache_read"] = per_token(card.cached)
    if card.cache_write is not None:
        pricing["input_cache_write"] = per_token(card.cache_write)
    return {
        "id": model.id,
        "canonical_slug": model.reported_name,
        "name": model.id,
        "created": 1_721_260_800,
        "context_length": model.context_tokens,
        "pricing": pricing,
        "top_provider": {
            "context_length": model.context_tokens,
            "max_completion_tokens": model.output_tokens_max,
            "is_moderated": False,
        },
    }


def per_token(pico_usd: int) -> str:
    """USD per token as OpenRouter writes it: a decimal string without an exponent.

    >>> per_token(150_000)
    '0.00000015'
    """
    whole, rest = divmod(pico_usd, 10**12)
    digits = f"{rest:012d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


OPENROUTER = Form(
    name="openrouter",
    prefix="/openrouter/api/v1",
    needs_key=True,
    speed=Speed(0.55, 0.014),
    request_period_ms=MINUTE_MS,
    gives_back=True,
    strict=False,
    falls_back=True,
    shows_reasoning=True,
    rate_headers=False,
    comment=b": OPENROUTER PROCESSING\n\n",
    reply_id=lambda serial, created: f"gen-{created}-{serial}",
    envelope=envelope,
    choice_extras=lambda finish_reason: {"native_finish_reason": finish_reason},
    usage=usage,
    tail=tail,
    identity_headers=lambda stamp: [("X-Generation-Id", stamp.id)],
    failure_body=failure_body,
    failure_headers=failure_headers,
    stream_failure=stream_failure,
    model_row=model_row,
)
