"""The form of a plain OpenAI-compatible server, as vLLM and Ollama speak it: no key, no ids or limits in headers."""

from __future__ import annotations

from bursar.sim import forms
from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, openai_tail, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import MINUTE_MS
from bursar.sim.prices import Bill, Model
from bursar.sim.usage import Usage


def envelope(stamp: Stamp, kind: str) -> Json:
    return {"id": stamp.id, "object": kind, "created": stamp.created, "model": stamp.model.reported_name}


def usage(used: Usage, bill: Bill) -> Json:
    body: Json = {
        "prompt_tokens": used.prompt_tokens,
        "total_tokens": used.total_tokens,
        "completion_tokens": used.completion_tokens,
    }
    if used.cached_tokens:
        body["prompt_tokens_details"] = {"cached_tokens": used.cached_tokens}
    return body


def failure_body(failure: Failure) -> Json:
    kind = {401: "Unauthorized", 404: "NotFoundError", 429: "RateLimitError"}.get(failure.status)
    kind = kind or ("InternalServerError" if failure.status >= 500 else "BadRequestError")
    return {"error": {"message": failure.message, "type": kind, "param": failure.param, "code": failure.status}}


def failure_headers(failure: Failure, now_ms: int) -> HeaderList:
    return retry_after(failure)


def model_row(model: Model) -> Json:
    return {
        "id": model.id,
        "object": "model",
        "created": 1_733_447_754,
        "owned_by": "sim",
        "max_model_len": model.context_tokens,
    }


GENERIC = Form(
    name="generic",
    prefix="/v1",
    needs_key=False,
    speed=Speed(0.08, 0.020),
    request_period_ms=MINUTE_MS,
    gives_back=True,
    strict=False,
    falls_back=False,
    shows_reasoning=False,
    rate_headers=None,
    comment=b"",
    reply_id=lambda serial, created: f"chatcmpl-{serial}",
    envelope=envelope,
    choice_extras=lambda finish_reason: {},
    usage=usage,
    tail=openai_tail,
    identity_headers=lambda stamp: [],
    failure_body=failure_body,
    failure_headers=failure_headers,
    stream_failure=lambda stamp, failure: forms.event(failure_body(failure)) + forms.DONE,
    model_row=model_row,
    goes_on="flag",
)
