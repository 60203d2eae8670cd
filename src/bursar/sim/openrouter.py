"""OpenRouter's form: the cost in every usage, its own error bodies, comments in streams, fallbacks between models."""

from __future__ import annotations

from bursar.sim import forms, tiers
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, Tail, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import MINUTE_MS
from bursar.sim.prices import Bill, Model, PriceCard, decimal_usd, usd
from bursar.sim.usage import Usage

UPSTREAMS = {"openai": "OpenAI", "anthropic": "Anthropic", "meta-llama": "DeepInfra", "google": "Google"}
BILLED_IN_FULL = frozenset({"Google"})
"""Providers behind OpenRouter that go on, and bill, when a client leaves; Groq, Mistral and Bedrock are others."""
ALWAYS_LISTED = ("prompt", "completion", "request", "image", "web_search", "internal_reasoning")
ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    404: "not_found",
    429: "rate_limit_exceeded",
}


def upstream(model: Model) -> str:
    """The provider behind OpenRouter that serves this model."""
    return upstream_of(model.id)


def upstream_of(model_id: str) -> str:
    return UPSTREAMS.get(model_id.partition("/")[0], "Sim")


def slug(model: Model) -> str:
    """That provider as a request's preferences name it."""
    return upstream(model).lower()


def envelope(stamp: Stamp, kind: str) -> Json:
    body: Json = {
        "id": stamp.id,
        "provider": upstream(stamp.model),
        "model": stamp.model.reported_name,
        "object": kind,
        "created": stamp.created,
        "system_fingerprint": None,
    }
    return body | {"service_tier": stamp.tier} if stamp.tier else body


def usage(used: Usage, bill: Bill) -> Json:
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        **cost_fields(used, bill),
        "prompt_tokens_details": {
            "cached_tokens": used.cached_tokens,
            "cache_write_tokens": used.cache_write_tokens,
            "audio_tokens": used.audio_prompt_tokens,
            "video_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "audio_tokens": used.audio_completion_tokens,
            "image_tokens": used.image_completion_tokens,
        },
    }


def cost_fields(used: Usage, bill: Bill) -> Json:
    """What a request cost. Where the caller's own key pays that is 0, and what the key paid stands beside it."""
    upstream_nano_usd = bill.upstream_nano_usd
    body: Json = {
        "cost": usd(bill.nano_usd),
        "is_byok": upstream_nano_usd is not None,
        "cost_details": {
            "upstream_inference_cost": None if upstream_nano_usd is None else usd(upstream_nano_usd),
            "upstream_inference_prompt_cost": usd(bill.input_nano_usd),
            "upstream_inference_completions_cost": usd(bill.output_nano_usd),
        },
    }
    if used.web_searches:
        body["cost_details"]["server_tool_cost"] = usd(bill.fees_nano_usd)
        body["server_tool_use_details"] = {"web_search_requests": used.web_searches}
    return body


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
    return {
        "id": model.id,
        "canonical_slug": model.reported_name,
        "name": model.id,
        "created": 1_721_260_800,
        "context_length": model.context_tokens,
        "pricing": pricing(model),
        "top_provider": {
            "context_length": model.context_tokens,
            "max_completion_tokens": model.output_tokens_max,
            "is_moderated": False,
        },
    }


def pricing(model: Model) -> Json:
    """A model's prices as GET models lists them: USD per unit in decimal strings, then what overrides them when."""
    body: Json = {**dict.fromkeys(ALWAYS_LISTED, "0"), **prices(model.card)}
    overrides = []
    for override in model.overrides:
        conditions: Json = {}
        if override.above_tokens is not None:
            conditions["min_prompt_tokens"] = override.above_tokens + 1
        if override.utc_start is not None and override.utc_end is not None:
            conditions |= {"utc_start": clock_time(override.utc_start), "utc_end": clock_time(override.utc_end)}
        overrides.append(conditions | prices(override.card))
    return body | {"overrides": overrides} if overrides else body


def prices(card: PriceCard) -> Json:
    """A card under OpenRouter's names, without what it does not price."""
    return {
        name: decimal_usd(price)
        for name, price in (
            ("prompt", card.input),
            ("completion", card.output),
            ("request", card.request or None),
            ("web_search", card.web_search or None),
            ("internal_reasoning", card.reasoning),
            ("input_cache_read", card.cached),
            ("input_cache_write", card.cache_write),
            ("input_cache_write_1h", card.cache_write_1h),
            ("audio", card.audio_input),
            ("audio_output", card.audio_output),
            ("image_token", card.image_input),
            ("image_output", card.image_output),
        )
        if price is not None
    }


def clock_time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


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
    rate_headers=None,
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
    goes_on="plain",
    tiers=tiers.OPENROUTER,
    speaks=("chat", "embeddings", "responses"),
    cancel_stops=lambda model: upstream(model) not in BILLED_IN_FULL,
)
