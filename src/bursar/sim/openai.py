"""OpenAI's form: https://platform.openai.com/docs/api-reference, and recorded responses of 2025 and 2026."""

from __future__ import annotations

from bursar.sim import tiers
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, event, openai_tail, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import MINUTE_MS, openai_headers
from bursar.sim.prices import Bill, Model
from bursar.sim.usage import Usage


def envelope(stamp: Stamp, kind: str) -> Json:
    return {
        "id": stamp.id,
        "object": kind,
        "created": stamp.created,
        "model": stamp.model.reported_name,
        "service_tier": stamp.tier or "default",
        "system_fingerprint": "fp_5170000000",
    }


def usage(used: Usage, bill: Bill) -> Json:
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_tokens,
            "audio_tokens": used.audio_prompt_tokens,
            **({"image_tokens": used.image_prompt_tokens} if used.image_prompt_tokens else {}),
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "audio_tokens": used.audio_completion_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def failure_body(failure: Failure) -> Json:
    return {
        "error": {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code},
    }


def failure_headers(failure: Failure, now_ms: int) -> HeaderList:
    if failure.retry_after_ms is None:
        return []
    return [*retry_after(failure), ("retry-after-ms", str(failure.retry_after_ms))]


def model_row(model: Model) -> Json:
    return {"id": model.id, "object": "model", "created": 1_715_367_049, "owned_by": "system"}


OPENAI = Form(
    name="openai",
    prefix="/openai/v1",
    needs_key=True,
    speed=Speed(0.40, 0.012),
    request_period_ms=MINUTE_MS,
    gives_back=False,
    strict=True,
    falls_back=False,
    shows_reasoning=False,
    rate_headers=openai_headers,
    comment=b"",
    reply_id=lambda serial, created: f"chatcmpl-{serial}",
    envelope=envelope,
    choice_extras=lambda finish_reason: {},
    usage=usage,
    tail=openai_tail,
    identity_headers=lambda stamp: [
        ("x-request-id", stamp.request_id),
        ("openai-version", "2020-10-01"),
        ("openai-organization", "org-sim"),
    ],
    failure_body=failure_body,
    failure_headers=failure_headers,
    stream_failure=lambda stamp, failure: event(failure_body(failure)),
    model_row=model_row,
    tiers=tiers.OPENAI,
    speaks=("chat", "embeddings", "responses"),
)
