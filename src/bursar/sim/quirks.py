"""How the providers that speak OpenAI's form depart from it: usage, ends of streams, errors and rate headers.

Encoders only, by provider; the rows that use them are in `compatible`. Source: recorded responses of 2025 and 2026,
the providers' SDKs and references of November 2026; for Gemini's cached tokens openai/openai-python issue 2544.
"""

from __future__ import annotations

from bursar.sim import forms
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, Tail
from bursar.sim.limits import Meter
from bursar.sim.prices import Bill
from bursar.sim.usage import Usage

TICKS_PER_NANO_USD = 10
"""xAI: 10,000,000,000 ticks are a dollar."""

GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def usage_at_the_end(form: Form, tail: Tail) -> list[Json]:
    """Finish chunks of which the last carries the usage, asked for or not."""
    chunks = forms.finish_chunks(form, tail)
    if tail.usage is not None:
        chunks[-1]["usage"] = tail.usage
    return chunks


def totals(used: Usage) -> Json:
    return {
        "prompt_tokens": used.prompt_tokens,
        "total_tokens": used.total_tokens,
        "completion_tokens": used.completion_tokens,
    }


def cached_usage(used: Usage, bill: Bill) -> Json:
    """Totals and what was cached, as Together and Fireworks write it."""
    return {**totals(used), "prompt_tokens_details": {"cached_tokens": used.cached_tokens}}


def deepseek_usage(used: Usage, bill: Bill) -> Json:
    """Cached tokens are a hit, the rest of the prompt a miss."""
    body = {
        **cached_usage(used, bill),
        "prompt_cache_hit_tokens": used.cached_tokens,
        "prompt_cache_miss_tokens": used.prompt_tokens - used.cached_tokens,
    }
    if used.reasoning_tokens:
        body["completion_tokens_details"] = {"reasoning_tokens": used.reasoning_tokens}
    return body


def mistral_usage(used: Usage, bill: Bill) -> Json:
    return {**totals(used), "num_cached_tokens": used.cached_tokens}


def gemini_usage(used: Usage, bill: Bill) -> Json:
    """Completion without thinking, which only the total shows; details only where something came from the cache."""
    body = {**totals(used), "completion_tokens": used.completion_tokens - used.reasoning_tokens}
    return body | ({"prompt_tokens_details": {"cached_tokens": used.cached_tokens}} if used.cached_tokens else {})


def xai_usage(used: Usage, bill: Bill) -> Json:
    """Reasoning beside the completion, not in it, and the cost in ticks."""
    return {
        **totals(used),
        "completion_tokens": used.completion_tokens - used.reasoning_tokens,
        "prompt_tokens_details": {
            "text_tokens": used.prompt_tokens - used.audio_prompt_tokens - used.image_prompt_tokens,
            "audio_tokens": used.audio_prompt_tokens,
            "image_tokens": used.image_prompt_tokens,
            "cached_tokens": used.cached_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens, "audio_tokens": 0},
        "num_sources_used": used.web_searches,
        "cost_in_usd_ticks": bill.nano_usd * TICKS_PER_NANO_USD,
    }


def cerebras_usage(used: Usage, bill: Bill) -> Json:
    return {
        **cached_usage(used, bill),
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def cerebras_headers(meter: Meter, at_ms: int) -> HeaderList:
    """Requests by the day, tokens by the minute, resets in seconds with a fraction."""
    names = {"requests": "requests-day", "tokens": "tokens-minute"}
    return [
        (f"x-ratelimit-{part}-{names[standing.meter]}", value)
        for standing in meter.standings()
        for part, value in (
            ("limit", str(standing.capacity)),
            ("remaining", str(standing.remaining)),
            ("reset", f"{standing.reset_ms / 1000:.3f}"),
        )
    ]


def azure_headers(meter: Meter, at_ms: int) -> HeaderList:
    """OpenAI's names; resets in whole seconds."""
    return [
        (f"x-ratelimit-{part}-{standing.meter}", str(value))
        for standing in meter.standings()
        for part, value in (
            ("limit", standing.capacity),
            ("remaining", standing.remaining),
            ("reset", -(-standing.reset_ms // 1000)),
        )
    ]


def mistral_headers(meter: Meter, at_ms: int) -> HeaderList:
    names = {"requests": "req-minute", "tokens": "tokens-minute"}
    return [
        (f"x-ratelimit-{part}-{names[standing.meter]}", str(value))
        for standing in meter.standings()
        for part, value in (("limit", standing.capacity), ("remaining", standing.remaining))
    ]


def azure_opening(stamp: Stamp) -> list[Json]:
    """What the filters found in the prompt comes first, in a chunk without choices, id or model."""
    filtered = [{"prompt_index": 0, "content_filter_results": {}}]
    return [{"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filtered}]


def azure_failure(failure: Failure) -> Json:
    code = failure.code or str(failure.status)
    return {"error": {"code": "401" if failure.status == 401 else code, "message": failure.message}}


def gemini_failure(failure: Failure) -> list[Json]:
    """Google's error, in a list of one as the compatible door gives it; when to come back is in its details."""
    error: Json = {
        "code": failure.status,
        "message": failure.message,
        "status": GEMINI_STATUSES.get(failure.status, "INTERNAL" if failure.status >= 500 else "UNKNOWN"),
    }
    if failure.retry_after_ms is not None:
        delay = f"{-(-failure.retry_after_ms // 1000)}s"
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return [{"error": error}]


def mistral_failure(failure: Failure) -> Json:
    message: object = failure.message
    if failure.status == 422:
        where = ["body", *(failure.param or "").split(".")]
        message = {"detail": [{"type": failure.code, "loc": where, "msg": failure.message, "input": None}]}
    return {"object": "error", "message": message, "type": failure.kind, "param": failure.param, "code": failure.code}


def xai_failure(failure: Failure) -> Json:
    return {"code": failure.code or failure.kind, "error": failure.message}


def flat_failure(failure: Failure) -> Json:
    """Cerebras: OpenAI's error without its envelope."""
    return {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
