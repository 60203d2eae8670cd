"""Groq's form: OpenAI's, with times in the usage, x_groq in streams, and requests limited by the day."""

from __future__ import annotations

from bursar.sim import forms, tiers
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, Tail, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import DAY_MS, openai_headers
from bursar.sim.prices import Bill, Model
from bursar.sim.usage import Usage


def envelope(stamp: Stamp, kind: str) -> Json:
    body: Json = {
        "id": stamp.id,
        "object": kind,
        "created": stamp.created,
        "model": stamp.model.reported_name,
        "system_fingerprint": "fp_5170000001",
    }
    if kind == "chat.completion":
        body |= {"service_tier": stamp.tier or "on_demand", "usage_breakdown": None, "x_groq": {"id": stamp.request_id}}
    return body


def usage(used: Usage, bill: Bill) -> Json:
    prompt_seconds = used.prompt_tokens * 2 / 100_000
    completion_seconds = used.completion_tokens * 3 / 1000
    body: Json = {
        "queue_time": 0.0185,
        "prompt_tokens": used.prompt_tokens,
        "prompt_time": round(prompt_seconds, 9),
        "completion_tokens": used.completion_tokens,
        "completion_time": round(completion_seconds, 9),
        "total_tokens": used.total_tokens,
        "total_time": round(prompt_seconds + completion_seconds, 9),
    }
    if used.cached_tokens:
        body["prompt_tokens_details"] = {"cached_tokens": used.cached_tokens}
    if used.reasoning_tokens:
        body["completion_tokens_details"] = {"reasoning_tokens": used.reasoning_tokens}
    return body


def tail(form: Form, end: Tail) -> list[Json]:
    """Usage in x_groq of the last finish chunk always, and once more in OpenAI's place if it was asked for."""
    chunks = forms.finish_chunks(form, end)
    x_groq: Json = {"id": end.stamp.request_id}
    if end.usage is not None:
        x_groq["usage"] = end.usage
    chunks[-1]["x_groq"] = x_groq
    if end.include_usage and end.usage is not None:
        chunks.append(forms.usage_chunk(form, end))
    return chunks


def failure_body(failure: Failure) -> Json:
    body: Json = {"message": failure.message, "type": failure.kind}
    if failure.code is not None:
        body["code"] = failure.code
    return {"error": body}


def failure_headers(failure: Failure, now_ms: int) -> HeaderList:
    return retry_after(failure)


def stream_failure(stamp: Stamp, failure: Failure) -> bytes:
    body = failure_body(failure)
    body["error"]["status_code"] = failure.status
    return b"event: error\n" + forms.event(body)


def model_row(model: Model) -> Json:
    return {
        "id": model.id,
        "object": "model",
        "created": 1_733_447_754,
        "owned_by": "Meta" if model.id.startswith("llama") else "OpenAI",
        "active": True,
        "context_window": model.context_tokens,
        "public_apps": None,
        "max_completion_tokens": model.output_tokens_max,
    }


GROQ = Form(
    name="groq",
    prefix="/groq/openai/v1",
    needs_key=True,
    speed=Speed(0.15, 0.003),
    request_period_ms=DAY_MS,
    gives_back=True,
    strict=True,
    falls_back=False,
    shows_reasoning=True,
    rate_headers=openai_headers,
    comment=b"",
    reply_id=lambda serial, created: f"chatcmpl-{serial}",
    envelope=envelope,
    choice_extras=lambda finish_reason: {},
    usage=usage,
    tail=tail,
    identity_headers=lambda stamp: [("x-request-id", stamp.request_id), ("x-groq-region", "sim")],
    failure_body=failure_body,
    failure_headers=failure_headers,
    stream_failure=stream_failure,
    model_row=model_row,
    goes_on="plain",
    tiers=tiers.GROQ,
)
